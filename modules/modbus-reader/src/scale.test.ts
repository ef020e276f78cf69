import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { roundTo, scalingFor } from './scale.ts'

describe('scaling', () => {
  it.each([
    [215, 0.1, 0, 21.5],
    [3, 0.1, 0, 0.3],
    [-3, 0.1, 0, -0.3],
    [1005, 0.01, 0, 10.05],
    [7, 1e-7, 0, 7e-7],
    [57, 0.01, -40, -39.43],
    [3, 0.1, 0.05, 0.35],
    [5, 2, 1, 11],
  ])('of the integer %d by %d and %d gives %d, without float noise', (raw, scale, offset, value) => {
    expect(scalingFor('int16', scale, offset, undefined)(raw)).toBe(value)
  })

  it.each([
    [1005, 0.001, 2, 1.01],
    [-5, 0.01, 1, 0],
    [12_345, 0.01, 0, 123],
    [215, 0.1, 3, 21.5],
  ])('of the integer %d by %d with %d decimals gives %d', (raw, scale, decimals, value) => {
    expect(scalingFor('int16', scale, 0, decimals)(raw)).toBe(value)
  })

  it('by 1 and 0 leaves every number as it is', () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true }), (raw) => {
        expect(scalingFor('float32', 1, 0, undefined)(raw)).toBe(raw + 0)
      }),
    )
  })

  it('of any integer by any decimal scale has no more decimals than the scale', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
        fc.integer({ min: 1, max: 99_999 }),
        fc.integer({ min: 0, max: 8 }),
        (raw, digits, places) => {
          const scale = Number(`${digits}e-${places}`)
          const value = scalingFor('int32', scale, 0, undefined)(raw)
          expect(value).toBe(Number(`${BigInt(raw) * BigInt(digits)}e-${places}`) + 0)
        },
      ),
    )
  })

  it('rounds to the decimals and leaves what is too large for them', () => {
    expect(roundTo(21.100000381469727, 2)).toBe(21.1)
    expect(roundTo(-0.001, 2)).toBe(0)
    expect(roundTo(3e300, 10)).toBe(3e300)
    expect(roundTo(Number.POSITIVE_INFINITY, 2)).toBe(Number.POSITIVE_INFINITY)
  })

  it('by a scale too fine for integers still follows the formula', () => {
    expect(scalingFor('uint32', 1 / 3, 0, undefined)(3)).toBe(1)
    expect(scalingFor('uint32', 1 / 3, 0, 3)(4)).toBe(1.333)
  })
})
