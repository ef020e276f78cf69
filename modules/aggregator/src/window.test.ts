import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { windowLabel, windowStartMs } from './window.ts'

describe('windowLabel', () => {
  it.each([
    [15_000, '15s'],
    [60_000, '1m'],
    [90_000, '90s'],
    [900_000, '15m'],
    [3_600_000, '1h'],
    [86_400_000, '1d'],
    [250, '250ms'],
  ])('names %i ms by the largest unit that measures it whole: %s', (lengthMs, label) => {
    expect(windowLabel(lengthMs)).toBe(label)
  })
})

describe('windowStartMs', () => {
  it('puts every instant into exactly one window, which begins at a multiple of its length', () => {
    const instant = fc.integer({ min: 0, max: Date.UTC(2100, 0, 1) })
    fc.assert(
      fc.property(instant, fc.constantFrom(100, 15_000, 60_000, 3_600_000), (timestampMs, lengthMs) => {
        const startMs = windowStartMs(timestampMs, lengthMs)
        expect(startMs % lengthMs).toBe(0)
        expect(timestampMs).toBeGreaterThanOrEqual(startMs)
        expect(timestampMs).toBeLessThan(startMs + lengthMs)
      }),
    )
  })

  it('begins hours and minutes where the clock in UTC does', () => {
    const noon = Date.UTC(2026, 10, 21, 12, 34, 56, 789)
    expect(new Date(windowStartMs(noon, 3_600_000)).toISOString()).toBe('2026-11-21T12:00:00.000Z')
    expect(new Date(windowStartMs(noon, 900_000)).toISOString()).toBe('2026-11-21T12:30:00.000Z')
  })
})
