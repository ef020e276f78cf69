import { placesOf, swapsBytes } from './byte-order.ts'
import type { Encoding } from './decode.ts'
import { isHalfRegister, isInteger, type RegisterType, rangeOf, registersOf } from './registers.ts'

/** IEEE 754 half precision of a number within its range, halves to even. */
function float16Bits(value: number): number {
  const size = Math.abs(value)
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0
  const exponent = size === 0 ? -14 : Math.max(-14, Math.floor(Math.log2(size)))
  const scaled = size / 2 ** (exponent - 10)
  const below = Math.floor(scaled)
  const rest = scaled - below
  const fraction = rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below
  return sign | (((exponent + 14) << 10) + fraction)
}

function bcdBits(value: number): number {
  return Number.parseInt(String(value), 16)
}

/** The bytes of a raw value, from the highest to the lowest. */
function bytesOf(type: RegisterType, raw: number): Buffer {
  const bytes = Buffer.alloc(registersOf(type) * 2)
  if (type === 'float16') bytes.writeUInt16BE(float16Bits(raw))
  else if (type === 'float32') bytes.writeFloatBE(raw)
  else if (type === 'float64') bytes.writeDoubleBE(raw)
  else if (type === 'int64') bytes.writeBigInt64BE(BigInt(raw))
  else if (type === 'uint64') bytes.writeBigUInt64BE(BigInt(raw))
  else if (raw < 0) bytes.writeIntBE(raw, 0, bytes.length)
  else bytes.writeUIntBE(type.startsWith('bcd') ? bcdBits(raw) : raw, 0, bytes.length)
  return bytes
}

function registersIn(bytes: Buffer): number[] {
  return Array.from({ length: bytes.length / 2 }, (_, index) => bytes.readUInt16BE(index * 2))
}

function encodeText({ byteOrder, length = 0 }: Encoding, value: string): number[] {
  const bytes = Buffer.alloc(length + (length % 2))
  if (value.length > length || [...value].some((each) => each === '\0' || each > '\u00ff')) {
    throw new RangeError(`${JSON.stringify(value)} does not fit ${length} characters of ISO 8859-1`)
  }
  bytes.write(value, 'latin1')
  return registersIn(swapsBytes(byteOrder) ? bytes.swap16() : bytes)
}

/**
 * Registers, in the order of their addresses, that decode to `value`: the inverse of decode.ts.
 * Integers are rounded to the nearest raw value.
 * @throws RangeError where the type cannot hold the value, or for a signal that shares its register with others.
 */
export function encodeRegisters(encoding: Encoding, value: number | string): number[] {
  const { type, byteOrder, scale, offset } = encoding
  if (type === 'bit' || (type !== 'string' && isHalfRegister(type))) {
    throw new RangeError(`${type === 'bit' ? 'a bit' : type} takes no whole register`)
  }
  if (type === 'string') return encodeText(encoding, String(value))
  const exact = (Number(value) - offset) / scale
  const raw = isInteger(type) ? Math.round(exact) : exact
  const { min, max } = rangeOf(type)
  if (Number.isNaN(raw) || raw < min || raw > max) {
    throw new RangeError(`${value} is outside ${type}: raw ${raw}, expected ${min} to ${max}`)
  }
  const bytes = bytesOf(type, raw)
  const ordered = Buffer.alloc(bytes.length)
  placesOf(byteOrder, bytes.length / 2).forEach((place, index) => {
    ordered[place] = bytes[index] ?? 0
  })
  return registersIn(ordered)
}
