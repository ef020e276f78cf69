import { expect, it } from 'vitest'
import { UnitRefusals } from './refusals.ts'

const minuteMs = 60_000

it('a refused range closes every read that covers it, and no other', () => {
  const refusals = new UnitRefusals(60 * minuteMs)
  refusals.learn({ table: 'holding', from: 10, to: 12 }, 0)
  const mayRead = (from: number, to: number) => refusals.mayRead('holding', from, to)
  expect([mayRead(0, 11), mayRead(11, 20), mayRead(10, 12), mayRead(0, 20)]).toEqual([true, true, false, false])
  expect(refusals.mayRead('input', 0, 20)).toBe(true)
})

it('a refused border may begin or end a read, but not lie within one', () => {
  const refusals = new UnitRefusals(60 * minuteMs)
  refusals.learn({ table: 'holding', from: 10, to: 10 }, 0)
  const mayRead = (from: number, to: number) => refusals.mayRead('holding', from, to)
  expect([mayRead(0, 10), mayRead(10, 20), mayRead(9, 11)]).toEqual([true, true, false])
})

it('what is refused is tried again after a minute, then ever less often, and told once', () => {
  const refusals = new UnitRefusals(5 * minuteMs)
  const refusal = { table: 'holding', from: 10, to: 11 } as const
  const keptMinutes: number[] = []
  const isNew: boolean[] = []
  let nowMs = 0
  for (let time = 0; time < 5; time++) {
    isNew.push(refusals.learn(refusal, nowMs))
    const learnedMs = nowMs
    while (!refusals.forgetDue(nowMs)) nowMs += minuteMs
    keptMinutes.push((nowMs - learnedMs) / minuteMs)
    expect(refusals.mayRead('holding', 10, 11)).toBe(true)
  }
  expect(keptMinutes).toEqual([1, 2, 4, 5, 5])
  expect(isNew).toEqual([true, false, false, false, false])
})
