/** Limits of the protocol (MODBUS Application Protocol V1.1b3, section 6) and of the reader. */

/** Registers that one request of function code 3 or 4 may read. */
export const requestRegistersMax = 125
/** Bits that one request of function code 1 or 2 may read. */
export const requestBitsMax = 2000
/** Addresses of a table: 0 to 65535. */
export const tableAddresses = 65_536
/** Unit ids: 1 to 247 are devices on a bus; 0 and 255 stand for the gateway or the device itself on TCP. */
export const unitIdMax = 255
