import { ManualClock } from '@weir/lib/clock'
import { describe, expect, test } from 'vitest'
import { DeviceMessages } from './device-messages.ts'

function setUp() {
  const clock = new ManualClock()
  const messages = new DeviceMessages(clock)
  const send = (body: string, expiryMs?: number) => messages.send('d', { body, properties: {}, expiryMs })
  return { clock, messages, send }
}

describe('cloud-to-device messages', () => {
  test('come in order, and one that is held does not block the next', () => {
    const { messages, send } = setUp()
    for (const body of ['a', 'b']) send(body)
    expect([messages.receive('d')?.body, messages.receive('d')?.body, messages.receive('d')]).toEqual([
      'a',
      'b',
      undefined,
    ])
  })

  test('come again when abandoned or when the lock runs out, and are gone once completed or rejected', () => {
    const { clock, messages, send } = setUp()
    send('a')
    messages.settle('d', messages.receive('d')?.lockToken ?? '', 'abandon')
    const second = messages.receive('d')
    clock.advance(60_000)
    expect(() => messages.settle('d', second?.lockToken ?? '', 'complete')).toThrow(
      expect.objectContaining({ status: 412 }),
    )
    const third = messages.receive('d')
    expect(third?.deliveryCount).toBe(3)
    messages.settle('d', third?.lockToken ?? '', 'complete')
    send('b')
    messages.settle('d', messages.receive('d')?.lockToken ?? '', 'reject')
    expect(messages.receive('d')).toBeUndefined()
  })

  test('are given up after ten deliveries or when they expire', () => {
    const { clock, messages, send } = setUp()
    send('a')
    for (let delivery = 1; delivery <= 10; delivery++) {
      messages.settle('d', messages.receive('d')?.lockToken ?? '', 'abandon')
    }
    expect(messages.receive('d')).toBeUndefined()
    send('b', 1000)
    clock.advance(1000)
    expect(messages.receive('d')).toBeUndefined()
  })

  test('beyond the limits are refused', () => {
    const { messages, send } = setUp()
    expect(() => send('x'.repeat(65_536))).toThrow(expect.objectContaining({ status: 413 }))
    expect(() => send('x', 3 * 24 * 3_600_000)).toThrow(expect.objectContaining({ status: 400 }))
    for (let index = 0; index < 50; index++) send('x')
    expect(() => send('x')).toThrow(/50 messages wait already/)
    for (let index = 1; index < 1000; index++) messages.send(`d${index}`, { body: 1, properties: {} })
    expect(() => messages.send('one-more', { body: 1, properties: {} })).toThrow(/1000 devices/)
  })
})
