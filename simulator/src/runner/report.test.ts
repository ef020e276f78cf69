import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { faultsOf, lostRows, makeReport, percentile, type RunFigures } from './report.ts'
import type { ModuleStatus } from './supervisor.ts'

const aggregator: ModuleStatus = {
  name: 'aggregator',
  state: 'running',
  restarts: 0,
  pid: 17,
  rssBytes: 80_000_000,
  rssBytesMax: 90_000_000,
  cpuS: 1.2345,
  lastExit: undefined,
}

const run: RunFigures = {
  durationS: 60.04,
  settings: { pollMs: 250, publishMs: 1000, windowMs: 15_000 },
  modules: [aggregator],
  perRow: { messages: 960, bytes: 400_000, blocks: 960 },
  perMessage: { messages: 240, bytes: 240_000, blocks: 240 },
  sent: { messages: 6, bytes: 12_000, blocks: 6 },
  rows: { taken: 960, keptBefore: 0, counted: 900, refused: 10, kept: 50 },
  duplicated: 0,
  alertsRaised: 1,
  alertLatenciesMs: [180.4],
}

describe('the report', () => {
  test('has the shape that is promised, and nothing else', () => {
    expect(makeReport(run)).toEqual({
      durationS: 60,
      settings: { pollMs: 250, publishMs: 1000, windowMs: 15_000 },
      modules: { aggregator: { state: 'running', restarts: 0, rssBytesMax: 90_000_000, cpuS: 1.23 } },
      receipt: {
        perRow: {
          raw: { messages: 960, bytes: 400_000, blocks: 960 },
          sent: { messages: 6, bytes: 12_000, blocks: 6 },
          savedPct: { messages: 99.38, bytes: 97, blocks: 99.38 },
        },
        perMessage: {
          raw: { messages: 240, bytes: 240_000, blocks: 240 },
          sent: { messages: 6, bytes: 12_000, blocks: 6 },
          savedPct: { messages: 97.5, bytes: 95, blocks: 97.5 },
        },
      },
      delivery: { lost: 0, duplicated: 0 },
      alerts: { raised: 1, latencyMsP50: 180, latencyMsP99: 180 },
    })
  })

  test('has no latency where nothing was raised', () => {
    expect(makeReport({ ...run, alertsRaised: 0, alertLatenciesMs: [] }).alerts).toEqual({
      raised: 0,
      latencyMsP50: null,
      latencyMsP99: null,
    })
  })

  test('names every fault of a run', () => {
    const died: ModuleStatus = { ...aggregator, state: 'backoff', restarts: 1, lastExit: 'SIGKILL' }
    const report = makeReport({ ...run, rows: { ...run.rows, kept: 47 }, duplicated: 2 })
    expect(faultsOf([died], report)).toEqual([
      'aggregator died (SIGKILL); 1 restart, now backoff',
      '3 rows lost',
      '2 records reached the hub twice',
    ])
    expect(faultsOf([aggregator], makeReport(run))).toEqual([])
  })
})

test('every row taken that is neither counted, refused nor kept is lost', () => {
  const count = fc.nat({ max: 1_000_000 })
  fc.assert(
    fc.property(count, count, count, count, count, (counted, refused, kept, keptBefore, lost) => {
      const taken = counted + refused + kept + lost - keptBefore
      expect(lostRows({ taken, keptBefore, counted, refused, kept })).toBe(lost)
    }),
  )
})

test('a percentile is one of the values, by nearest rank', () => {
  expect(percentile([30, 10, 20], 0.5)).toBe(20)
  expect(percentile([30, 10, 20], 0.99)).toBe(30)
  expect(percentile([30, 10, 20], 0)).toBe(10)
  expect(percentile([], 0.5)).toBeNull()
})
