/**
 * The values of one signal in consecutive rows, as few bytes and to the last bit.
 *
 * Readings are mostly decimal numbers with few digits that change little: as whole numbers of their last digit, each but
 * the first by its difference from the one before, they take one to three bytes. Other numbers go as they are.
 */
import { WeirError } from '@weir/lib/errors'
import type { SignalValue } from '@weir/lib/messages'
import type { DecodedRow } from '@weir/lib/telemetry'
import type { ByteReader, ByteWriter } from './bytes.ts'

/** First byte of a column. Up to `decimalsMax` it is the number of decimals. */
const decimalsMax = 9
const kinds = { float32: 10, float64: 11, booleans: 12, mixed: 13 } as const
/** First byte of a value in a mixed column. */
const tags = { false: 0, true: 1, float64: 2, text: 3, absent: 4 } as const

const powers = Array.from({ length: decimalsMax + 1 }, (_, decimals) => 10 ** decimals)
/** Whole numbers up to here, times ten to the power that they came from, round to themselves. */
const mantissaMax = 2 ** 50

/** Column by column: its numbers, kept to write them once they are all seen. */
export class ColumnWriter {
  #numbers = new Float64Array(64)

  /** Writes the values of place `column` in the rows from `from` to before `to`. */
  write(writer: ByteWriter, rows: readonly DecodedRow[], from: number, to: number, column: number): void {
    const count = to - from
    if (this.#numbers.length < count) this.#numbers = new Float64Array(2 * count)
    const numbers = this.#numbers
    let booleans = 0
    let others = 0
    for (let place = 0; place < count; place++) {
      const value = rows[from + place]?.values[column]
      if (typeof value === 'number') numbers[place] = value
      else if (typeof value === 'boolean') booleans += 1
      else others += 1
    }
    if (booleans + others === 0) writeNumbers(writer, numbers, count)
    else if (booleans === count) writeBooleans(writer, rows, from, to, column)
    else {
      writer.byte(kinds.mixed)
      for (let row = from; row < to; row++) writeValue(writer, rows[row]?.values[column])
    }
  }
}

/** Reads a column of `count` values, and gives each with its place. Throws STATE_DAMAGED. */
export function readColumn(
  reader: ByteReader,
  count: number,
  take: (place: number, value: SignalValue | undefined) => void,
): void {
  const kind = reader.byte()
  const power = powers[kind]
  if (power !== undefined) {
    let mantissa = 0
    for (let place = 0; place < count; place++) {
      mantissa += reader.signed()
      take(place, mantissa / power)
    }
  } else if (kind === kinds.float32) for (let place = 0; place < count; place++) take(place, reader.float32())
  else if (kind === kinds.float64) for (let place = 0; place < count; place++) take(place, reader.float64())
  else if (kind === kinds.booleans) readBooleans(reader, count, take)
  else if (kind === kinds.mixed) for (let place = 0; place < count; place++) take(place, readValue(reader))
  else throw new WeirError('STATE_DAMAGED', `column: kind ${kind} is unknown`)
}

export function writeValue(writer: ByteWriter, value: SignalValue | undefined): void {
  if (value === undefined) writer.byte(tags.absent)
  else if (typeof value === 'boolean') writer.byte(value ? tags.true : tags.false)
  else if (typeof value === 'number') {
    writer.byte(tags.float64)
    writer.float64(value)
  } else {
    writer.byte(tags.text)
    writer.text(value)
  }
}

/** Throws STATE_DAMAGED. */
export function readValue(reader: ByteReader): SignalValue | undefined {
  const tag = reader.byte()
  switch (tag) {
    case tags.false:
      return false
    case tags.true:
      return true
    case tags.float64:
      return reader.float64()
    case tags.text:
      return reader.text()
    case tags.absent:
      return undefined
    default:
      throw new WeirError('STATE_DAMAGED', `value: tag ${tag} is unknown`)
  }
}

function writeNumbers(writer: ByteWriter, numbers: Float64Array, count: number): void {
  const decimals = decimalsOf(numbers, count)
  if (decimals !== undefined) {
    const power = powers[decimals] ?? 1
    writer.byte(decimals)
    let before = 0
    for (let place = 0; place < count; place++) {
      const mantissa = Math.round((numbers[place] ?? 0) * power)
      writer.signed(mantissa - before)
      before = mantissa
    }
    return
  }
  let short = true
  for (let place = 0; short && place < count; place++) {
    const value = numbers[place] ?? 0
    short = Object.is(Math.fround(value), value)
  }
  writer.byte(short ? kinds.float32 : kinds.float64)
  for (let place = 0; place < count; place++) {
    if (short) writer.float32(numbers[place] ?? 0)
    else writer.float64(numbers[place] ?? 0)
  }
}

/**
 * Decimals with which all of the numbers can be written; undefined where there are too many, and for -0.
 *
 * The quotient of two whole numbers that a double holds exactly is rounded correctly (IEEE 754 §4.3), so it is the double
 * nearest to that decimal number: equal to the value, or the value is another.
 */
function decimalsOf(numbers: Float64Array, count: number): number | undefined {
  let decimals = 0
  let power = 1
  let magnitude = 0
  for (let place = 0; place < count; place++) {
    const value = numbers[place] ?? 0
    while (Math.round(value * power) / power !== value) {
      decimals += 1
      const next = powers[decimals]
      if (next === undefined) return undefined
      power = next
    }
    if (value === 0 && Object.is(value, -0)) return undefined
    magnitude = Math.max(magnitude, Math.abs(value))
  }
  return magnitude * power <= mantissaMax ? decimals : undefined
}

/** Eight to a byte, the first in the lowest bit. */
function writeBooleans(
  writer: ByteWriter,
  rows: readonly DecodedRow[],
  from: number,
  to: number,
  column: number,
): void {
  writer.byte(kinds.booleans)
  for (let first = from; first < to; first += 8) {
    let bits = 0
    for (let row = first; row < Math.min(first + 8, to); row++) {
      if (rows[row]?.values[column] === true) bits |= 1 << (row - first)
    }
    writer.byte(bits)
  }
}

function readBooleans(reader: ByteReader, count: number, take: (place: number, value: boolean) => void): void {
  for (let first = 0; first < count; first += 8) {
    const bits = reader.byte()
    for (let place = first; place < Math.min(first + 8, count); place++)
      take(place, ((bits >> (place - first)) & 1) === 1)
  }
}
