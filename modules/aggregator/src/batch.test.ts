import { messageBytesMax } from '@weir/lib/limits'
import { aggregateSchema, type SignalValue } from '@weir/lib/messages'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Batch, type DecidedMessage } from './batch.ts'
import type { ClosedWindow } from './window-core.ts'

function closed(deviceId: string, minute: number, fields: Readonly<Record<string, SignalValue>> = {}): ClosedWindow {
  const startMs = Date.UTC(2026, 10, 21) + minute * 60_000
  return {
    accounted: 60,
    record: {
      schemaVersion: 1,
      deviceId,
      window: '1m',
      windowStart: new Date(startMs).toISOString(),
      windowEnd: new Date(startMs + 60_000).toISOString(),
      revision: 0,
      sampleCount: 60,
      badCount: 0,
      clockTrusted: true,
      ...fields,
    },
  }
}

const limits = { maxDelayMs: 1_000, recordsMax: 3 }
const recordsOf = (message: DecidedMessage | undefined) =>
  aggregateSchema.parse(JSON.parse(String(message?.outgoing.body)))

describe('a batch', () => {
  it('waits maxDelayMs from its first record, and then leaves as one message', () => {
    const batch = new Batch(limits)
    expect(batch.add([closed('press-4', 0)], 100)).toEqual([])
    expect(batch.add([closed('pump-2', 0)], 1_099)).toEqual([])
    expect(batch.dueMs).toBe(1_100)
    expect(batch.due(1_099)).toEqual([])
    const [message] = batch.due(1_100)
    expect(recordsOf(message).map(({ deviceId }) => deviceId)).toEqual(['press-4', 'pump-2'])
    expect(message).toMatchObject({ records: 2, accounted: 120, leftOut: 0 })
    expect(message?.outgoing).toMatchObject({ output: 'aggregates', messageType: 'aggregate' })
    expect(batch.dueMs).toBeUndefined()
    expect(batch.due(9_999)).toEqual([])
  })

  it('leaves at once where records may not wait', () => {
    const batch = new Batch({ ...limits, maxDelayMs: 0 })
    expect(batch.add([closed('press-4', 0), closed('pump-2', 0)], 0).map(({ records }) => records)).toEqual([2])
  })

  it('holds no more than recordsMax records', () => {
    const batch = new Batch(limits)
    const minutes = [0, 1, 2, 3, 4, 5, 6]
    const messages = batch.add(
      minutes.map((minute) => closed('press-4', minute)),
      0,
    )
    expect(messages.map(({ records }) => records)).toEqual([3, 3])
    expect(batch.accounted).toBe(60)
  })

  it('never makes a message that the hub would refuse, and splits no record', () => {
    const note = fc.string({ unit: 'grapheme', minLength: 0, maxLength: 4_000 })
    const wide = fc.record({ notes: fc.array(note, { maxLength: 20 }), copies: fc.integer({ min: 1, max: 8 }) })
    fc.assert(
      fc.property(fc.array(wide, { maxLength: 12 }), (records) => {
        const batch = new Batch({ maxDelayMs: 1_000, recordsMax: 1_000 })
        const windows = records.map(({ notes, copies }, minute) => {
          const figures = notes.map((text, place) => [`last_s${place}`, text.repeat(copies)])
          return closed('press-4', minute, Object.fromEntries(figures))
        })
        const messages = [...batch.add(windows, 0), ...batch.due(1_000)]
        for (const { outgoing } of messages) expect(outgoing.body.length).toBeLessThan(messageBytesMax)
        const starts = messages.flatMap((message) => {
          const body: { windowStart: string }[] = JSON.parse(String(message.outgoing.body))
          return body.map(({ windowStart }) => windowStart)
        })
        expect(starts).toEqual(windows.map(({ record }) => record.windowStart))
      }),
      { numRuns: 30 },
    )
  })

  it('says how many figures of a record wider than a message are left out', () => {
    const batch = new Batch({ ...limits, maxDelayMs: 0 })
    const wide = Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`last_s${n}`, 'x'.repeat(4_000)]))
    const [message] = batch.add([closed('press-4', 0, wide)], 0)
    const kept = Object.keys(recordsOf(message)[0] ?? {}).filter((name) => name.startsWith('last_')).length
    expect(kept).toBeGreaterThan(50)
    expect(message?.leftOut).toBe(100 - kept)
  })

  it('names the content: equal windows give an equal messageId, whatever their order, and others another', () => {
    const idOf = (...windows: ClosedWindow[]) =>
      new Batch({ ...limits, maxDelayMs: 0 }).add(windows, 0)[0]?.outgoing.messageId
    const [a, b] = [closed('press-4', 0), closed('pump-2', 0)]
    expect(idOf(a, b)).toBe(idOf(b, a))
    expect(idOf(a, b)).not.toBe(idOf(a))
    expect(idOf(a)).not.toBe(idOf(closed('press-4', 1)))
  })

  it('carries as properties what all records share', () => {
    const propertiesOf = (...windows: ClosedWindow[]) =>
      new Batch({ ...limits, maxDelayMs: 0 }).add(windows, 0)[0]?.outgoing.properties
    const press = { deviceType: 'press', location: 'hall-1' }
    expect(propertiesOf(closed('press-4', 0, press), closed('press-4', 1, press))).toEqual({
      deviceId: 'press-4',
      ...press,
    })
    expect(propertiesOf(closed('press-4', 0, press), closed('press-5', 0, press))).toEqual(press)
    expect(propertiesOf(closed('press-4', 0, press), closed('pump-2', 0))).toEqual({})
  })

  it('survives a restart: the same messages leave at the same time', () => {
    const batch = new Batch(limits)
    batch.add([closed('press-4', 0, { avg_level: 1.5 }), closed('pump-2', 0)], 100)
    const restored = Batch.restore(limits, JSON.parse(JSON.stringify(batch.save())))
    expect(restored.dueMs).toBe(batch.dueMs)
    expect(restored.due(1_100)).toEqual(batch.due(1_100))
  })
})
