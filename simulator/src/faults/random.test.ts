import { expect, test } from 'vitest'
import { seededRandom } from './random.ts'

function numbers(seed: number, purpose: string, count = 1000): number[] {
  const random = seededRandom(seed, purpose)
  return Array.from({ length: count }, random)
}

test('a seed gives the same numbers again, another seed or purpose others', () => {
  expect(numbers(7, 'a')).toEqual(numbers(7, 'a'))
  expect(numbers(7, 'a')).not.toEqual(numbers(8, 'a'))
  expect(numbers(7, 'a')).not.toEqual(numbers(7, 'b'))
})

test('numbers are from 0 to below 1, and spread over all of it', () => {
  const all = numbers(1, 'a', 10_000)
  expect(Math.min(...all)).toBeGreaterThanOrEqual(0)
  expect(Math.max(...all)).toBeLessThan(1)
  const tenths = Map.groupBy(all, (value) => Math.floor(value * 10))
  for (const group of tenths.values()) expect(group.length).toBeGreaterThan(800)
  expect(tenths.size).toBe(10)
})
