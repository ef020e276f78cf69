import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { editDistance, nearest } from './nearest.ts'

describe('editDistance', () => {
  it.each([
    ['', '', 0],
    ['adress', 'address', 1],
    ['gian', 'gain', 1],
    ['kitten', 'sitting', 3],
    ['abc', '', 3],
  ])('%s to %s is %i', (a, b, distance) => {
    expect(editDistance(a, b, 10)).toBe(distance)
  })

  it('is the same both ways, and 0 for equal texts only', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 6 })
    fc.assert(
      fc.property(text, text, (a, b) => {
        expect(editDistance(a, b, 10)).toBe(editDistance(b, a, 10))
        expect(editDistance(a, b, 10) === 0).toBe(a === b)
      }),
    )
  })
})

describe('nearest', () => {
  const keys = ['address', 'unitId', 'pollIntervalMs', 'host']

  it.each([
    ['adress', 'address'],
    ['Address', 'address'],
    ['unitid', 'unitId'],
    ['pollInterval', 'pollIntervalMs'],
    ['colour', undefined],
    ['x', undefined],
  ])('of %s is %s', (name, expected) => {
    expect(nearest(name, keys)).toBe(expected)
  })

  it('gives up on a name too long to be a typing error', () => {
    expect(nearest('a'.repeat(100_000), keys)).toBeUndefined()
  })
})
