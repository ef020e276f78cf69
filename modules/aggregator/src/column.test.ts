import type { SignalValue } from '@weir/lib/messages'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ByteReader, ByteWriter } from './bytes.ts'
import { ColumnWriter, readColumn } from './column.ts'

function written(values: readonly SignalValue[]): Buffer {
  const writer = new ByteWriter()
  const rows = values.map((value) => ({ timestampMs: 0, signals: ['level'], values: [value], bad: [] }))
  new ColumnWriter().write(writer, rows, 0, rows.length, 0)
  return Buffer.from(writer.written)
}

function readBack(bytes: Buffer, count: number): unknown[] {
  const values: unknown[] = []
  const reader = new ByteReader(bytes)
  readColumn(reader, count, (place, value) => {
    values[place] = value
  })
  expect(reader.atEnd).toBe(true)
  return values
}

const decimal = fc.tuple(fc.integer({ min: -1e9, max: 1e9 }), fc.nat(9)).map(([mantissa, decimals]) => {
  return Number((mantissa / 10 ** decimals).toFixed(decimals))
})
const finite = fc.double({ noDefaultInfinity: true, noNaN: true })
const number = fc.oneof(
  decimal,
  fc.float({ noDefaultInfinity: true, noNaN: true }),
  finite,
  fc.maxSafeInteger(),
  fc.constantFrom(0, -0, 5e-324, Number.MAX_VALUE, -Number.MAX_VALUE, 2 ** 50, 2 ** 53, 0.1 + 0.2, 1e21, 1e-9),
)
const value = fc.oneof(number, fc.boolean(), fc.string({ unit: 'binary' }))

describe('a column', () => {
  it.each([
    ['decimals', decimal],
    ['numbers', number],
    ['floats', fc.float({ noDefaultInfinity: true, noNaN: true })],
    ['booleans', fc.boolean()],
    ['values of any kind', value],
  ])('brings back %s bit by bit', (_what, kind: fc.Arbitrary<SignalValue>) => {
    fc.assert(
      fc.property(fc.array(kind, { minLength: 1, maxLength: 40 }), (values) => {
        expect(readBack(written(values), values.length)).toStrictEqual(values)
      }),
      { numRuns: 500 },
    )
  })

  it('takes a byte per reading that changes by little, three for the first', () => {
    const readings = Array.from({ length: 100 }, (_, place) => Number((61.5 + (place % 7) / 100).toFixed(2)))
    expect(written(readings)).toHaveLength(1 + 2 + 99)
  })

  it('takes four bytes per number that came as a float32', () => {
    expect(written([Math.fround(61.53), Math.fround(0.1)])).toHaveLength(1 + 8)
  })

  it('of an unknown kind is damaged', () => {
    expect(() => readBack(Buffer.from([99, 0]), 1)).toThrow(expect.objectContaining({ code: 'STATE_DAMAGED' }))
  })
})
