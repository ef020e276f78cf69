import { describe, expect, test } from 'vitest'
import { dailyLoad, overheatingPeriodMs, plantSignal, seededNoise } from './signals.ts'

const temperatures = ['press-4', 'pump-2', 'mill-3', 'oven-1']

describe('the plant', () => {
  test('is the same for the same seed and another for another', () => {
    for (const device of temperatures) {
      const one = plantSignal(device, 'temperature', 1)
      expect(plantSignal(device, 'temperature', 1)(12_345)).toBe(one(12_345))
      expect(plantSignal(device, 'temperature', 2)(12_345)).not.toBe(one(12_345))
    }
  })

  test.each([1, 7, 4711])('overheats oven-1 once per period, from 20 to 25 s until 42 to 48 s (seed %d)', (seed) => {
    const temperature = plantSignal('oven-1', 'temperature', seed)
    for (const periodStartMs of [0, overheatingPeriodMs, 100 * overheatingPeriodMs]) {
      const above: number[] = []
      for (let ms = 0; ms < overheatingPeriodMs; ms += 50) if (temperature(periodStartMs + ms) > 80) above.push(ms)
      const first = above[0] ?? Number.NaN
      const last = above.at(-1) ?? Number.NaN
      expect(first).toBeGreaterThanOrEqual(20_000)
      expect(first).toBeLessThanOrEqual(25_000)
      expect(last).toBeGreaterThanOrEqual(42_000)
      expect(last).toBeLessThanOrEqual(48_000)
      // Without a break between, so that it is one alarm, and far below the deadband before the period is over.
      expect(above.length).toBe((last - first) / 50 + 1)
      expect(temperature(periodStartMs + 55_000)).toBeLessThan(72)
    }
  })

  test('keeps every other temperature well below 80 for a day', () => {
    for (const device of temperatures.filter((id) => id !== 'oven-1')) {
      const temperature = plantSignal(device, 'temperature', 1)
      for (let ms = 0; ms < 24 * 3_600_000; ms += 60_000) expect(temperature(ms)).toBeLessThan(70)
    }
  })

  test('wears the bearing of mill-3: vibration grows over the hours', () => {
    const vibration = plantSignal('mill-3', 'vibration', 1)
    const mean = (fromMs: number): number => {
      let sum = 0
      for (let tick = 0; tick < 1000; tick++) sum += vibration(fromMs + tick * 50)
      return sum / 1000
    }
    const hours = [0, 2, 4, 6, 8].map((hour) => mean(hour * 3_600_000))
    for (let index = 1; index < hours.length; index++) expect(hours[index]).toBeGreaterThan(hours[index - 1] ?? 0)
  })

  test('starts its machines up', () => {
    const speed = plantSignal('mill-3', 'speed', 1)
    expect(speed(0)).toBeLessThan(20)
    expect(speed(30_000)).toBeGreaterThan(1000)
  })

  test('works more by day than by night', () => {
    const at = (hourOfDay: number): number => dailyLoad(((hourOfDay - 8 + 24) % 24) * 3_600_000)
    expect(at(13)).toBeGreaterThan(at(1) + 0.3)
  })

  test('renews a sensor only at its own pace', () => {
    const temperature = plantSignal('press-4', 'temperature', 1)
    expect(temperature(1_000)).toBe(temperature(1_499))
    expect(temperature(1_000)).not.toBe(temperature(1_500))
  })
})

test('noise is standard normal', () => {
  const noise = seededNoise('a/b', 3)
  const values = Array.from({ length: 20_000 }, (_, tick) => noise(tick))
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1)
  expect(Math.abs(mean)).toBeLessThan(0.03)
  expect(variance).toBeGreaterThan(0.95)
  expect(variance).toBeLessThan(1.05)
})
