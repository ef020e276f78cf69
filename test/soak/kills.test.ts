import { expect, test } from 'vitest'
import { planKills } from './kills.ts'

const plan = { processes: ['a', 'b'], killsEach: 50, seed: 7, pauseMsMin: 100, pauseMsMax: 200 }

test('a plan kills each process as often as it says, within its pauses', () => {
  const kills = planKills(plan)
  expect(kills.filter(({ process }) => process === 'a')).toHaveLength(50)
  expect(kills.filter(({ process }) => process === 'b')).toHaveLength(50)
  expect(kills.every(({ pauseMs }) => pauseMs >= 100 && pauseMs < 200)).toBe(true)
})

test('equal seeds give equal plans, others do not', () => {
  expect(planKills(plan)).toEqual(planKills(plan))
  expect(planKills({ ...plan, seed: 8 })).not.toEqual(planKills(plan))
})
