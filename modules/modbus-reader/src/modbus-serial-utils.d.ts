declare module 'modbus-serial/utils/crc16.js' {
  /** CRC of a Modbus RTU frame. */
  export default function crc16(bytes: Uint8Array): number
}
