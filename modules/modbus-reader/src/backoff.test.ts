import fc from 'fast-check'
import { expect, it } from 'vitest'
import { backoffDelayMs } from './backoff.ts'

const limits = { retryDelayMsMin: 500, retryDelayMsMax: 30_000 }

it('doubles from the minimum to the maximum', () => {
  const delays = [1, 2, 3, 7, 100, 5000].map((failures) => backoffDelayMs(failures, limits, () => 0.999_999_999))
  expect(delays.map(Math.round)).toEqual([500, 1000, 2000, 30_000, 30_000, 30_000])
})

it('stays between half the delay and the delay', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 10_000 }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (failures, random) => {
        const delayMs = backoffDelayMs(failures, limits, () => random)
        expect(delayMs).toBeGreaterThanOrEqual(limits.retryDelayMsMin / 2)
        expect(delayMs).toBeLessThanOrEqual(limits.retryDelayMsMax)
      },
    ),
  )
})
