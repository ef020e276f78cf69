import fc from 'fast-check'
import { expect, test } from 'vitest'
import { encode, type RegisterType, store, unitFor } from './registers.ts'

test.each([
  ['int16', -1, [0xffff]],
  ['int16', 40_000, [0x7fff]],
  ['uint16', -5, [0]],
  ['int32', -2, [0xffff, 0xfffe]],
  ['uint32', 4_000_000_000, [0xee6b, 0x2800]],
  ['float32', 1, [0x3f80, 0]],
  ['bit', 1, [1]],
  ['uint16', Number.NaN, [0]],
] as const)('%s holds %d as %j', (type, value, words) => {
  expect(encode(value, { type, scale: 1, offset: 0, byteOrder: 'ABCD' }).words).toEqual(words)
})

test('what a reader shows is within half a step of the value, whatever type, scale and offset', () => {
  const types: RegisterType[] = ['int16', 'uint16', 'int32', 'uint32', 'float32']
  fc.assert(
    fc.property(
      fc.constantFrom(...types),
      fc.constantFrom(0.01, 0.1, 1, 2),
      fc.constantFrom(-40, 0, 10),
      fc.double({ min: 0, max: 300, noNaN: true }),
      (type, scale, offset, above) => {
        const value = offset + above
        expect(Math.abs(encode(value, { type, scale, offset, byteOrder: 'CDAB' }).shown - value)).toBeLessThanOrEqual(
          scale / 2 + 1e-4,
        )
      },
    ),
  )
})

test('storing says whether a register changed', () => {
  const place = { table: 'holding', address: 2, type: 'uint32', scale: 1, offset: 0, byteOrder: 'ABCD' } as const
  const unit = unitFor([place])
  expect(unit.holding.length).toBe(4)
  expect(store(unit, place, [1, 2])).toBe(true)
  expect(store(unit, place, [1, 2])).toBe(false)
  expect([...unit.holding]).toEqual([0, 0, 1, 2])
})

test.each([
  ['ABCD', [0x0102, 0x0304]],
  ['BADC', [0x0201, 0x0403]],
  ['CDAB', [0x0304, 0x0102]],
  ['DCBA', [0x0403, 0x0201]],
] as const)('the byte order %s lays 0x01020304 down as %j', (byteOrder, words) => {
  expect(encode(0x01020304, { type: 'uint32', scale: 1, offset: 0, byteOrder }).words).toEqual(words)
})
