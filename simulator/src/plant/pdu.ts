/**
 * A Modbus unit as its registers and coils, and its answers to requests: MODBUS Application Protocol V1.1b3, section 6.
 * Written apart from the reader's own client, so that both sides cannot share a mistake.
 */

export const exceptions = {
  illegalFunction: 1,
  illegalDataAddress: 2,
  illegalDataValue: 3,
  gatewayTargetFailed: 11,
} as const

/** The four tables of a unit; addresses from 0 to the table's length are defined, all others are refused. */
export interface ModbusUnit {
  readonly coil: Uint8Array
  readonly discrete: Uint8Array
  readonly holding: Uint16Array
  readonly input: Uint16Array
}

const readBitsMax = 2000
const readRegistersMax = 125
const writeBitsMax = 1968
const writeRegistersMax = 123

class ModbusException {
  readonly code: number

  constructor(code: number) {
    this.code = code
  }
}

function byte(pdu: Uint8Array, at: number): number {
  const value = pdu[at]
  if (value === undefined) throw new ModbusException(exceptions.illegalDataValue)
  return value
}

function word(pdu: Uint8Array, at: number): number {
  return (byte(pdu, at) << 8) | byte(pdu, at + 1)
}

function checkRange(table: { length: number }, address: number, quantity: number, quantityMax: number): void {
  if (quantity < 1 || quantity > quantityMax) throw new ModbusException(exceptions.illegalDataValue)
  if (address + quantity > table.length) throw new ModbusException(exceptions.illegalDataAddress)
}

function readBits(code: number, table: Uint8Array, pdu: Uint8Array): Uint8Array {
  const address = word(pdu, 1)
  const quantity = word(pdu, 3)
  checkRange(table, address, quantity, readBitsMax)
  const bytes = Math.ceil(quantity / 8)
  const answer = new Uint8Array(2 + bytes)
  answer[0] = code
  answer[1] = bytes
  for (let index = 0; index < quantity; index++) {
    if (table[address + index] === 1) answer[2 + (index >> 3)] = (answer[2 + (index >> 3)] ?? 0) | (1 << (index & 7))
  }
  return answer
}

function readRegisters(code: number, table: Uint16Array, pdu: Uint8Array): Uint8Array {
  const address = word(pdu, 1)
  const quantity = word(pdu, 3)
  checkRange(table, address, quantity, readRegistersMax)
  const answer = new Uint8Array(2 + quantity * 2)
  answer[0] = code
  answer[1] = quantity * 2
  for (let index = 0; index < quantity; index++) {
    const value = table[address + index] ?? 0
    answer[2 + index * 2] = value >> 8
    answer[3 + index * 2] = value & 0xff
  }
  return answer
}

function writeSingleCoil(unit: ModbusUnit, pdu: Uint8Array): Uint8Array {
  const value = word(pdu, 3)
  if (value !== 0 && value !== 0xff00) throw new ModbusException(exceptions.illegalDataValue)
  checkRange(unit.coil, word(pdu, 1), 1, writeBitsMax)
  unit.coil[word(pdu, 1)] = value === 0 ? 0 : 1
  return pdu.slice(0, 5)
}

function writeSingleRegister(unit: ModbusUnit, pdu: Uint8Array): Uint8Array {
  const value = word(pdu, 3)
  checkRange(unit.holding, word(pdu, 1), 1, writeRegistersMax)
  unit.holding[word(pdu, 1)] = value
  return pdu.slice(0, 5)
}

function writeCoils(unit: ModbusUnit, pdu: Uint8Array): Uint8Array {
  const address = word(pdu, 1)
  const quantity = word(pdu, 3)
  checkRange(unit.coil, address, quantity, writeBitsMax)
  if (byte(pdu, 5) !== Math.ceil(quantity / 8)) throw new ModbusException(exceptions.illegalDataValue)
  const bits = Array.from({ length: quantity }, (_, index) => (byte(pdu, 6 + (index >> 3)) >> (index & 7)) & 1)
  unit.coil.set(bits, address)
  return pdu.slice(0, 5)
}

function writeRegisters(unit: ModbusUnit, pdu: Uint8Array): Uint8Array {
  const address = word(pdu, 1)
  const quantity = word(pdu, 3)
  checkRange(unit.holding, address, quantity, writeRegistersMax)
  if (byte(pdu, 5) !== quantity * 2) throw new ModbusException(exceptions.illegalDataValue)
  const words = Array.from({ length: quantity }, (_, index) => word(pdu, 6 + index * 2))
  unit.holding.set(words, address)
  return pdu.slice(0, 5)
}

function execute(unit: ModbusUnit, code: number, pdu: Uint8Array): Uint8Array {
  switch (code) {
    case 1:
      return readBits(code, unit.coil, pdu)
    case 2:
      return readBits(code, unit.discrete, pdu)
    case 3:
      return readRegisters(code, unit.holding, pdu)
    case 4:
      return readRegisters(code, unit.input, pdu)
    case 5:
      return writeSingleCoil(unit, pdu)
    case 6:
      return writeSingleRegister(unit, pdu)
    case 15:
      return writeCoils(unit, pdu)
    case 16:
      return writeRegisters(unit, pdu)
    default:
      throw new ModbusException(exceptions.illegalFunction)
  }
}

/**
 * The answer of `unit` to a request; `undefined` is a unit that nobody has, for which a gateway answers.
 * A request that is refused changes nothing. Never throws for what a client may send.
 */
export function answerRequest(unit: ModbusUnit | undefined, pdu: Uint8Array): Uint8Array {
  const code = pdu[0] ?? 0
  try {
    if (unit === undefined) throw new ModbusException(exceptions.gatewayTargetFailed)
    return execute(unit, code, pdu)
  } catch (error) {
    if (error instanceof ModbusException) return Uint8Array.of(code | 0x80, error.code)
    throw error
  }
}
