import { expect, test } from 'vitest'
import { Rate } from './rates.ts'

test('a rate is taken over the last seconds alone', () => {
  const rate = new Rate(5000)
  expect(rate.perS).toBe(0)
  rate.add(0, 0)
  expect(rate.perS).toBe(0)
  rate.add(100, 1000)
  expect(rate.perS).toBe(100)
  for (let second = 2; second <= 10; second++) rate.add(100 + (second - 1) * 10, second * 1000)
  expect(rate.perS).toBe(10)
})

test('a count that begins anew is no negative rate', () => {
  const rate = new Rate(5000)
  rate.add(1000, 0)
  rate.add(10, 1000)
  expect(rate.perS).toBe(0)
})
