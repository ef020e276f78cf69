import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { alertTypeOf, judgeLimits, type Side } from './limits.ts'

const rule = { high: 80, low: 10, deadband: 2 }

describe('limits', () => {
  it.each<[Side, number, Side]>([
    ['inside', 80, 'inside'],
    ['inside', 80.01, 'high'],
    ['high', 79, 'high'],
    ['high', 78.01, 'high'],
    ['high', 78, 'inside'],
    ['inside', 10, 'inside'],
    ['inside', 9.99, 'low'],
    ['low', 11.99, 'low'],
    ['low', 12, 'inside'],
    ['high', 5, 'low'],
    ['low', 90, 'high'],
  ])('from %s, %d leads to %s', (before, value, after) => {
    expect(judgeLimits(before, value, rule)).toBe(after)
  })

  it('changes side at most once while a value dances within the deadband of a limit', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 78.001, max: 82, noNaN: true }), { minLength: 1, maxLength: 50 }),
        (values) => {
          let side: Side = 'inside'
          let changes = 0
          for (const value of values) {
            const next = judgeLimits(side, value, rule)
            if (next !== side) changes += 1
            side = next
          }
          expect(changes).toBeLessThanOrEqual(1)
        },
      ),
    )
  })

  it('names the alert after the side and the signal', () => {
    expect(alertTypeOf({}, 'high', 'oil-temperature')).toBe('HIGH_OIL_TEMPERATURE')
    expect(alertTypeOf({ alertType: 'TOO_HOT' }, 'high', 'oil-temperature')).toBe('TOO_HOT')
  })
})
