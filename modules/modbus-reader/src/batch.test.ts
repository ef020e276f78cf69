import type { QualityReason, Row } from '@weir/lib/messages'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type BatchSettings, DeviceBatch } from './batch.ts'

const timestamp = '2026-01-01T00:00:00.000Z'
const good = (value: number): Row => ({ timestamp, values: { temperature: value } })
const bad = (reason: QualityReason): Row => ({ timestamp, values: {}, quality: { temperature: reason } })

function batchOf(settings: Partial<BatchSettings> = {}): DeviceBatch {
  return new DeviceBatch({
    publishIntervalMs: 1000,
    pollIntervalMs: 250,
    urgent: new Map([['temperature', { above: 80, below: 5 }]]),
    valuesMax: 1000,
    ...settings,
  })
}

describe('a batch', () => {
  it('holds four polls of 250 ms for a publish interval of 1 s, even if they come a little early or late', () => {
    for (const jitterMs of [-20, 0, 20]) {
      const batch = batchOf()
      const verdicts = [0, 250, 500, 750].map((ms, index) =>
        batch.add('g', good(20), ms + (index === 3 ? jitterMs : 0)),
      )
      expect(verdicts).toEqual(['hold', 'hold', 'hold', 'publish'])
      expect(batch.take()).toHaveLength(4)
    }
  })

  it('lets a row wait for nothing where the next poll comes after the publish interval', () => {
    const batch = batchOf({ pollIntervalMs: 1000 })
    expect(batch.add('g', good(20), 0)).toBe('publish')
  })

  it('says when it must go, counted from its first row', () => {
    const batch = batchOf()
    expect(batch.dueMs).toBeUndefined()
    batch.add('g', good(20), 100)
    batch.add('g', good(20), 350)
    expect(batch.dueMs).toBe(1100)
    batch.take()
    expect(batch.dueMs).toBeUndefined()
  })

  it('never holds more values than it may', () => {
    const batch = batchOf({ valuesMax: 3, publishIntervalMs: 60_000 })
    expect([0, 250, 500].map((ms) => batch.add('g', good(20), ms))).toEqual(['hold', 'hold', 'publish'])
  })

  it('goes at once when a value crosses an urgent limit, and when it comes back, but not while it stays beyond', () => {
    const batch = batchOf()
    const verdictOf = (value: number) => {
      const verdict = batch.add('g', good(value), 0)
      batch.take()
      return verdict
    }
    const values = [79, 80, 80.1, 90, 81, 79.9, 40, 4, 3, 90, 5, 20]
    expect(values.map(verdictOf)).toEqual([
      'hold',
      'hold',
      'publish',
      'hold',
      'hold',
      'publish',
      'hold',
      'publish',
      'hold',
      'publish',
      'publish',
      'hold',
    ])
  })

  it('goes at once when the first value after a start lies beyond a limit', () => {
    expect(batchOf().add('g', good(90), 0)).toBe('publish')
  })

  it('does not go at once for a value that was away and is still beyond', () => {
    const batch = batchOf()
    batch.add('g', good(90), 0)
    batch.add('g', bad('noAnswer'), 250)
    expect(batch.add('g', good(91), 500)).toBe('hold')
  })

  it('takes one row per change of quality of a device that is away', () => {
    const batch = batchOf()
    const reasons: QualityReason[] = ['noAnswer', 'noAnswer', 'linkDown', 'linkDown', 'noAnswer']
    for (const reason of reasons) batch.add('g', bad(reason), 0)
    expect(batch.take().map((row) => row.quality?.['temperature'])).toEqual(['noAnswer', 'linkDown', 'noAnswer'])
    batch.add('g', good(20), 0)
    batch.add('g', bad('noAnswer'), 0)
    expect(batch.take()).toHaveLength(2)
  })

  it('follows each poll group by itself', () => {
    const batch = batchOf()
    for (const group of ['a', 'b', 'a', 'b']) batch.add(group, bad('noAnswer'), 0)
    expect(batch.take()).toHaveLength(2)
  })

  it('keeps every row with a good value, in order, whatever comes between', () => {
    const rows = fc.array(
      fc.oneof(fc.double({ noNaN: true }).map(good), fc.constantFrom(bad('noAnswer'), bad('linkDown'))),
    )
    fc.assert(
      fc.property(rows, (all) => {
        const batch = batchOf()
        const taken = all.flatMap((row, index) => (batch.add('g', row, index * 250) === 'hold' ? [] : batch.take()))
        const kept = [...taken, ...batch.take()]
        const withValues = (list: readonly Row[]) => list.filter((row) => row.quality === undefined)
        expect(withValues(kept)).toEqual(withValues(all))
      }),
    )
  })
})
