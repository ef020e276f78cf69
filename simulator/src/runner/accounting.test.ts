import type { Clock } from '@weir/lib/clock'
import type { JsonValue } from '@weir/lib/json'
import { describe, expect, test } from 'vitest'
import { type AccountSources, aggregatorRows, noBaseline, settle, takeBaseline } from './accounting.ts'
import { lostRows } from './report.ts'

/** A clock on which waiting takes no time. */
function instantClock(): Clock {
  let nowMs = 0
  return {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    setTimer(run, delayMs) {
      nowMs += delayMs
      queueMicrotask(run)
      return { cancel: () => undefined }
    },
  }
}

function status(rows: Partial<Record<'late' | 'bad' | 'refused' | 'open' | 'unsent', number>>): JsonValue {
  return {
    rowsLate: rows.late ?? 0,
    rowsBad: rows.bad ?? 0,
    rowsRefused: rows.refused ?? 0,
    rowsOpen: rows.open ?? 0,
    rowsInUnsentRecords: rows.unsent ?? 0,
    accountedWindow: '15s',
  }
}

function sources(over: Partial<AccountSources>): AccountSources {
  return {
    queued: async () => 0,
    taken: () => 0,
    aggregatorStatus: async () => status({}),
    windows: () => ({}),
    ...over,
  }
}

const label = new Set<string>()

describe('the account of rows', () => {
  test('finds every row that was counted, kept out or kept', async () => {
    const account = await settle(
      sources({
        taken: () => 100,
        aggregatorStatus: async () => status({ late: 1, bad: 2, refused: 3, open: 4, unsent: 10 }),
        windows: () => ({
          '15s': { windows: 2, rows: 80, badValues: 0 },
          '1m': { windows: 1, rows: 60, badValues: 0 },
        }),
      }),
      instantClock(),
      label,
      noBaseline,
    )
    expect(account).toEqual({ taken: 100, keptBefore: 0, counted: 80, refused: 6, kept: 14 })
    expect(lostRows(account)).toBe(0)
  })

  test('waits for messages that are under way', async () => {
    let asked = 0
    const account = await settle(
      sources({
        queued: async () => (++asked < 5 ? 1 : 0),
        taken: () => 10,
        windows: () => ({ '15s': { windows: 1, rows: asked < 8 ? 0 : 10, badValues: 0 } }),
      }),
      instantClock(),
      label,
      noBaseline,
    )
    expect(lostRows(account)).toBe(0)
  })

  test('waits as long as a long queue gets shorter', async () => {
    let queued = 1000
    const account = await settle(
      sources({
        queued: async () => --queued,
        taken: () => 10,
        windows: () => ({ '15s': { windows: 1, rows: queued === 0 ? 10 : 0, badValues: 0 } }),
      }),
      instantClock(),
      label,
      noBaseline,
    )
    expect(lostRows(account)).toBe(0)
  })

  test('counts the windows that accounted for rows before they were changed too', async () => {
    const account = await settle(
      sources({
        taken: () => 100,
        windows: () => ({
          '15s': { windows: 2, rows: 70, badValues: 0 },
          '5s': { windows: 1, rows: 30, badValues: 0 },
        }),
      }),
      instantClock(),
      new Set(['5s']),
      noBaseline,
    )
    expect(account.counted).toBe(100)
  })

  test('calls lost what is found nowhere once the time is over', async () => {
    const account = await settle(
      sources({ taken: () => 10, aggregatorStatus: async () => status({ open: 7 }) }),
      instantClock(),
      label,
      noBaseline,
    )
    expect(lostRows(account)).toBe(3)
  })

  test('believes nothing of an aggregator that does not answer', async () => {
    const silent = sources({ taken: () => 10, aggregatorStatus: async () => undefined, queued: async () => undefined })
    expect(lostRows(await settle(silent, instantClock(), label, { kept: 2, refused: 5, counted: 0 }))).toBe(12)
  })

  test('takes rows of an earlier run neither for lost nor for new', async () => {
    const before = sources({
      aggregatorStatus: async () => status({ late: 2, open: 30 }),
      windows: () => ({ '15s': { windows: 1, rows: 5, badValues: 0 } }),
    })
    const baseline = await takeBaseline(before, instantClock())
    expect(baseline).toEqual({ kept: 30, refused: 2, counted: 5 })
    const after = sources({
      taken: () => 100,
      aggregatorStatus: async () => status({ late: 3, open: 20 }),
      windows: () => ({ '15s': { windows: 3, rows: 114, badValues: 0 } }),
    })
    const account = await settle(after, instantClock(), label, baseline)
    expect(account).toEqual({ taken: 100, keptBefore: 30, counted: 109, refused: 1, kept: 20 })
    expect(lostRows(account)).toBe(0)
  })
})

test('a status without one of the figures is none', () => {
  expect(aggregatorRows(status({ bad: 1 }))).toEqual({ refused: 1, kept: 0, window: '15s' })
  expect(aggregatorRows({ rowsLate: 1 })).toBeUndefined()
  expect(aggregatorRows('away')).toBeUndefined()
})
