import { expect, it } from 'vitest'
import { UnitHealth } from './health.ts'

const limits = { timeoutsMax: 3, retryDelayMsMin: 100, retryDelayMsMax: 400 }
const fresh = () => new UnitHealth(limits, () => 0)

it('a unit is away after its time-outs in a row, and one answer starts the count anew', () => {
  const unit = fresh()
  expect(unit.answered()).toBe(true)
  expect([unit.silent(0), unit.silent(0)]).toEqual([false, false])
  expect(unit.answered()).toBe(false)
  expect([unit.silent(0), unit.silent(0), unit.silent(0)]).toEqual([false, false, true])
  expect(unit.state).toBe('down')
  expect(unit.silent(0)).toBe(false)
  expect(unit.answered()).toBe(true)
  expect(unit.state).toBe('up')
})

it('a unit that is away is asked ever less, down to the ceiling, and at once again when it answers', () => {
  const unit = fresh()
  unit.silent(0)
  unit.silent(0)
  expect(unit.mayAsk(0)).toBe(true)
  const asksAfterMs = [1, 2, 3, 4, 5].map(() => {
    unit.silent(0)
    return [50, 100, 200, 400].find((ms) => unit.mayAsk(ms))
  })
  expect(asksAfterMs).toEqual([50, 100, 200, 200, 200])
  unit.answered()
  expect(unit.mayAsk(0)).toBe(true)
})

it('a unit whose link is down is away without a back-off of its own', () => {
  const unit = fresh()
  expect([unit.cutOff(), unit.cutOff()]).toEqual([true, false])
  expect(unit.mayAsk(0)).toBe(true)
})
