import type { QualityReason, SignalValue } from '@weir/lib/messages'
import { type ByteOrder, placesOf, swapsBytes } from './byte-order.ts'
import { type RegisterType, registersOf } from './registers.ts'
import { scalingFor } from './scale.ts'
import type { SignalType } from './signal-config.ts'

/** A value, or undefined where there is no good one. */
export type Decoded = SignalValue | undefined

/** Why the device's bytes make no good value. */
export interface Bad {
  readonly bad: QualityReason
}
export const invalidValue: Bad = { bad: 'invalidValue' }
export const outOfRange: Bad = { bad: 'outOfRange' }

/** Reads one value out of an answer's data: `at` is a byte for registers, a bit for coils and discrete inputs. */
export type Converter = (data: Buffer, at: number) => SignalValue | Bad

/** Where a value lies in an answer, and the column of the result that it fills. */
export interface Field {
  readonly at: number
  readonly column: number
  readonly convert: Converter
}

/** How a signal's value is stored; the keys are those of its configuration. */
export interface Encoding {
  readonly type: SignalType
  readonly byteOrder: ByteOrder
  readonly scale: number
  readonly offset: number
  readonly decimals?: number | undefined
  readonly bit?: number | undefined
  readonly length?: number | undefined
  readonly trim?: boolean | undefined
  readonly asText?: boolean | undefined
  readonly invalid?: readonly (number | string)[] | undefined
  readonly range?:
    | { readonly min?: number | undefined; readonly max?: number | undefined; readonly clamp: boolean }
    | undefined
}

/** The raw number in bytes that lie from the highest to the lowest; NaN where they are none. */
type RawReader = (bytes: Buffer, at: number) => number

/** IEEE 754 half precision: sign, 5 bits of exponent, 10 of fraction. */
function float16Of(bits: number): number {
  const sign = bits >> 15 === 0 ? 1 : -1
  const exponent = (bits >> 10) & 0x1f
  const fraction = bits & 0x3ff
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25)
}

/** Binary coded decimal: one digit in four bits. */
function bcdOf(bits: number, digits: number): number {
  let value = 0
  for (let digit = digits - 1; digit >= 0; digit--) {
    const nibble = (bits >>> (digit * 4)) & 0xf
    if (nibble > 9) return Number.NaN
    value = value * 10 + nibble
  }
  return value
}

const rawReaders: Record<RegisterType, RawReader> = {
  int8High: (bytes, at) => bytes.readInt8(at),
  int8Low: (bytes, at) => bytes.readInt8(at + 1),
  uint8High: (bytes, at) => bytes.readUInt8(at),
  uint8Low: (bytes, at) => bytes.readUInt8(at + 1),
  int16: (bytes, at) => bytes.readInt16BE(at),
  uint16: (bytes, at) => bytes.readUInt16BE(at),
  int32: (bytes, at) => bytes.readInt32BE(at),
  uint32: (bytes, at) => bytes.readUInt32BE(at),
  int64: (bytes, at) => bytes.readInt32BE(at) * 2 ** 32 + bytes.readUInt32BE(at + 4),
  uint64: (bytes, at) => bytes.readUInt32BE(at) * 2 ** 32 + bytes.readUInt32BE(at + 4),
  float16: (bytes, at) => float16Of(bytes.readUInt16BE(at)),
  float32: (bytes, at) => bytes.readFloatBE(at),
  float64: (bytes, at) => bytes.readDoubleBE(at),
  bcd16: (bytes, at) => bcdOf(bytes.readUInt16BE(at), 4),
  bcd32: (bytes, at) => bcdOf(bytes.readUInt32BE(at), 8),
}

const scratch = Buffer.alloc(8)

/** `read` on bytes that lie in another order. */
function inOrder<Raw>(
  read: (bytes: Buffer, at: number) => Raw,
  order: ByteOrder,
  registers: number,
): (bytes: Buffer, at: number) => Raw {
  const places = placesOf(order, registers)
  if (places.every((place, index) => place === index)) return read
  return (data, at) => {
    for (let index = 0; index < places.length; index++) scratch[index] = data[at + (places[index] ?? 0)] ?? 0
    return read(scratch, 0)
  }
}

/** Hexadecimal digits as the bytes of `registers` registers. */
function bytesOfHex(hex: string, registers: number): Buffer {
  return Buffer.from(hex.slice(2).padStart(registers * 4, '0'), 'hex')
}

/** Raw values that the device means as "no value". Hexadecimal ones are the bits; of a half register those of its byte. */
function sentinels<Raw>(
  invalid: readonly (number | string)[],
  registers: number,
  isHigh: boolean,
  read: (bytes: Buffer, at: number) => Raw,
  ofNumber: (value: number) => Raw,
): ReadonlySet<Raw> {
  return new Set(
    invalid.map((each) => {
      if (typeof each === 'number') return ofNumber(each)
      const bytes = bytesOfHex(each, registers)
      return read(isHigh ? bytes.swap16() : bytes, 0)
    }),
  )
}

const readCoil: Converter = (data, at) => (((data[at >> 3] ?? 0) >> (at & 7)) & 1) === 1

function registerBitConverter(bit: number, byteOrder: ByteOrder): Converter {
  const read = inOrder(rawReaders.uint16, byteOrder, 1)
  return (data, at) => ((read(data, at) >> bit) & 1) === 1
}

/** One byte is one character (ISO 8859-1); the text ends at the first NUL. */
function stringConverter({ byteOrder, length = 0, trim = true }: Encoding): Converter {
  const isSwapped = swapsBytes(byteOrder)
  const bytes = length + (length % 2)
  return (data, at) => {
    const field = data.subarray(at, at + bytes)
    const text = (isSwapped ? Buffer.from(field).swap16() : field).toString('latin1', 0, length)
    const end = text.indexOf('\0')
    const whole = end === -1 ? text : text.slice(0, end)
    return trim ? whole.trim() : whole
  }
}

/** A 64-bit integer as its decimal digits, exact whatever its size. */
function textConverter(type: RegisterType, byteOrder: ByteOrder, invalid: readonly (number | string)[]): Converter {
  const readWhole = (bytes: Buffer, at: number): bigint =>
    type === 'int64' ? bytes.readBigInt64BE(at) : bytes.readBigUInt64BE(at)
  const read = inOrder(readWhole, byteOrder, 4)
  const bad = sentinels(invalid, 4, false, readWhole, BigInt)
  return (data, at) => {
    const raw = read(data, at)
    return bad.has(raw) ? invalidValue : String(raw)
  }
}

/** Keeps a value within what is possible: beyond, it is the limit (clamp) or no value. */
function rangeCheck(range: Encoding['range']): (value: number) => number | Bad {
  if (range === undefined) return (value) => value
  const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY, clamp } = range
  if (clamp) return (value) => Math.min(max, Math.max(min, value))
  return (value) => (value < min || value > max ? outOfRange : value)
}

function numberConverter(type: RegisterType, encoding: Encoding): Converter {
  const registers = registersOf(type)
  const read = inOrder(rawReaders[type], encoding.byteOrder, registers)
  const bad = sentinels(encoding.invalid ?? [], registers, type.endsWith('High'), rawReaders[type], Number)
  const toValue = scalingFor(type, encoding.scale, encoding.offset, encoding.decimals)
  const check = rangeCheck(encoding.range)
  const is64 = type === 'int64' || type === 'uint64'
  return (data, at) => {
    const raw = read(data, at)
    if (bad.has(raw)) return invalidValue
    // Beyond 2^53 a number would be rounded: a wrong value that looks good.
    if (is64 && !Number.isSafeInteger(raw)) return outOfRange
    const value = toValue(raw)
    return Number.isFinite(value) ? check(value) : invalidValue
  }
}

/** The converter of a signal, decided once at start, so that decoding branches on no configuration. */
export function converterFor(encoding: Encoding): Converter {
  const { type, bit, byteOrder, asText = false, invalid = [] } = encoding
  if (type === 'bit') return bit === undefined ? readCoil : registerBitConverter(bit, byteOrder)
  if (type === 'string') return stringConverter(encoding)
  return asText ? textConverter(type, byteOrder, invalid) : numberConverter(type, encoding)
}

/**
 * Decodes every field of an answer into its column of `out`; a column without a good value gets undefined there and its
 * reason in `reasons`. `data` must be as long as its request asked for.
 */
export function decode(
  data: Buffer,
  fields: readonly Field[],
  out: Decoded[],
  reasons: (QualityReason | undefined)[] = [],
): void {
  for (const { at, column, convert } of fields) {
    const value = convert(data, at)
    if (typeof value === 'object') {
      out[column] = undefined
      reasons[column] = value.bad
    } else out[column] = value
  }
}
