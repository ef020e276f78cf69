import { ManualClock } from '@weir/lib/clock'
import { describe, expect, test } from 'vitest'
import type { CloudMessage } from './cloud-message.ts'
import { DeviceToCloudLimits } from './limits.ts'

function messages(count: number, bytes = 10): CloudMessage[] {
  return Array.from({ length: count }, () => ({
    source: 'DeviceMessages',
    moduleId: 'm',
    properties: {},
    systemProperties: {},
    body: Buffer.alloc(bytes),
    edgeEnqueuedMs: 0,
    enqueuedMs: 0,
  }))
}

describe('device-to-cloud limits', () => {
  test.each([
    ['S1', 1, 100],
    ['S1', 9, 108],
    ['S2', 1, 120],
    ['S3', 1, 6000],
  ] as const)('%s with %i units takes %i sends a second', (tier, units, rate) => {
    const clock = new ManualClock()
    const limits = new DeviceToCloudLimits(tier, units, clock)
    expect(limits.take(messages(rate))).toBe(0)
    expect(limits.take(messages(1))).toBeGreaterThan(0)
    clock.advance(1000)
    expect(limits.take(messages(rate))).toBe(0)
  })

  test('says when to try again, and then takes the batch', () => {
    const clock = new ManualClock()
    const limits = new DeviceToCloudLimits('S1', 1, clock)
    limits.take(messages(100))
    const retryAfterMs = limits.take(messages(10))
    expect(retryAfterMs).toBe(100)
    clock.advance(retryAfterMs)
    expect(limits.take(messages(10))).toBe(0)
  })

  test('a batch larger than a second of sends passes in the end', () => {
    const clock = new ManualClock()
    const limits = new DeviceToCloudLimits('S1', 1, clock)
    expect(limits.take(messages(250))).toBe(0)
    expect(limits.take(messages(250))).toBe(2500)
  })

  test('the quota of a day counts 4 KiB blocks and begins anew at midnight UTC', () => {
    const clock = new ManualClock(Date.UTC(2026, 0, 1, 23, 59, 30))
    const limits = new DeviceToCloudLimits('S1', 1, clock)
    const batch = messages(100, 250 * 1024)
    let batches = 0
    while (limits.take(batch) === 0) {
      batches++
      clock.advance(1000)
      clock.step(-1000)
    }
    expect(batches).toBe(Math.floor(400_000 / (100 * 63)))
    const retryAfterMs = limits.take(batch)
    clock.advance(retryAfterMs)
    expect(limits.take(batch)).toBe(0)
  })

  test('the size of a message counts its properties', () => {
    const limits = new DeviceToCloudLimits('S1', 1, new ManualClock())
    const [fits] = messages(1, 256 * 1024)
    expect(fits && limits.takesSize(fits)).toBe(true)
    expect(fits && limits.takesSize({ ...fits, properties: { a: '' } })).toBe(false)
  })
})
