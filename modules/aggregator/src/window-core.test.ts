import { aggregateRecordSchema, type QualityReason, type SignalValue } from '@weir/lib/messages'
import type { DecodedRow, DecodedTelemetry } from '@weir/lib/telemetry'
import { describe, expect, it } from 'vitest'
import type { AggregationRule } from './config.ts'
import { type CoreConfig, type CoreOutcome, type Moment, WindowCore } from './window-core.ts'

const noonMs = Date.UTC(2026, 10, 21, 12)
const allOf = (functions: AggregationRule['functions']): Record<string, AggregationRule> => ({
  default: { order: 100, select: '*', functions },
})
const config: CoreConfig = {
  windows: { main: { lengthMs: 15_000, lateArrivalMs: 2_000 } },
  rules: allOf(['avg', 'count', 'last']),
  deviceIdleMs: 30_000,
  clockSkewMs: 60_000,
  devicesMax: 10,
  signalsPerDeviceMax: 5,
  openWindowsPerDeviceMax: 4,
}
/** The clock of the gateway is a minute past the last of the rows used here. */
const now: Moment = { processingMs: 0, wallMs: noonMs + 600_000 }

type Values = Readonly<Record<string, SignalValue>>

/** A row with these good values, and these bad ones. */
function row(timestampMs: number, values: Values, bad: Readonly<Record<string, QualityReason>> = {}): DecodedRow {
  return {
    timestampMs,
    signals: Object.keys(values),
    values: Object.values(values),
    bad: Object.entries(bad).map(([signal, reason]) => ({ signal, reason, value: undefined })),
  }
}

function message(...rows: DecodedRow[]): DecodedTelemetry {
  return {
    deviceId: 'press-4',
    deviceType: undefined,
    location: undefined,
    clockTrusted: true,
    part: undefined,
    units: undefined,
    rows,
  }
}

/** Rows of `press-4`; seconds are counted from noon. */
function rows(...each: readonly (readonly [second: number, value: SignalValue])[]): DecodedTelemetry {
  return message(...each.map(([second, value]) => row(noonMs + second * 1_000, { temperature: value })))
}

const summaries = ({ closed }: CoreOutcome) =>
  closed.map(({ record }) => `${record.windowStart.slice(11, 19)}/${record.window}: ${record.sampleCount}`)

describe('a window', () => {
  it('holds its first instant and not its end', () => {
    const core = new WindowCore(config)
    const { closed } = core.take(rows([0, 1], [14.999, 3], [15, 100], [17, 100]), now)
    expect(closed.map(({ record }) => [record.windowStart, record.windowEnd, record['avg_temperature']])).toEqual([
      ['2026-11-21T12:00:00.000Z', '2026-11-21T12:00:15.000Z', 2],
    ])
  })

  it('closes when the newest row has passed its end by lateArrivalMs, not before', () => {
    const core = new WindowCore(config)
    expect(summaries(core.take(rows([0, 1], [16.999, 1]), now))).toEqual([])
    expect(summaries(core.take(rows([17, 1]), now))).toEqual(['12:00:00/15s: 1'])
  })

  it('takes rows out of order until it closes, and never after', () => {
    const core = new WindowCore(config)
    core.take(rows([0, 1], [16, 1], [14, 1]), now)
    expect(summaries(core.take(rows([17, 1]), now))).toEqual(['12:00:00/15s: 2'])
    expect(summaries(core.take(rows([14, 1], [40, 1]), now))).toEqual(['12:00:15/15s: 2'])
    expect(core.rows).toMatchObject({ taken: 6, late: 1, closed: 4, open: 1 })
  })

  it('that no row opened in time stays closed to late ones', () => {
    const core = new WindowCore(config)
    core.take(rows([60, 1], [3, 1]), now)
    expect(core.rows).toMatchObject({ taken: 2, late: 1, open: 1 })
  })

  it('is the own of its device: one that is behind loses nothing to one that is ahead', () => {
    const core = new WindowCore(config)
    core.take(rows([300, 1]), now)
    core.take({ ...rows([0, 1]), deviceId: 'pump-2' }, now)
    expect(core.rows).toMatchObject({ late: 0, open: 2 })
  })

  it('of each length sees every row, and the shortest accounts for it', () => {
    const core = new WindowCore({
      ...config,
      windows: { long: { lengthMs: 60_000, lateArrivalMs: 0 }, short: { lengthMs: 15_000, lateArrivalMs: 0 } },
    })
    const outcome = core.take(rows([0, 1], [20, 2], [61, 3]), now)
    expect(summaries(outcome)).toEqual(['12:00:00/15s: 1', '12:00:15/15s: 1', '12:00:00/1m: 2'])
    expect(outcome.closed.map(({ accounted }) => accounted)).toEqual([1, 1, 0])
    core.take(rows([14, 1]), now)
    expect(core.rows).toMatchObject({ taken: 4, late: 1, lateElsewhere: 1, open: 1, closed: 2 })
    expect(core.accountingWindow.id).toBe('short')
  })

  it('gives a record that follows its contract', () => {
    const core = new WindowCore({ ...config, rules: allOf(['avg', 'min', 'max', 'std', 'last', 'peak', 'count']) })
    const batch = { ...rows([0, 1], [1, 2.5], [2, -7], [20, 1]), deviceType: 'press', location: 'hall-1' }
    const [closed] = core.take(batch, now).closed
    expect(aggregateRecordSchema.parse(closed?.record)).toEqual({
      schemaVersion: 1,
      deviceId: 'press-4',
      deviceType: 'press',
      location: 'hall-1',
      window: '15s',
      windowStart: '2026-11-21T12:00:00.000Z',
      windowEnd: '2026-11-21T12:00:15.000Z',
      revision: 0,
      sampleCount: 3,
      badCount: 0,
      clockTrusted: true,
      avg_temperature: -1.16666667,
      min_temperature: -7,
      max_temperature: 2.5,
      std_temperature: 5.10718448,
      last_temperature: -7,
      peak_temperature: -7,
      count_temperature: 3,
    })
  })

  it('says when any of its rows was stamped by a clock not to be believed', () => {
    const core = new WindowCore(config)
    core.take({ ...rows([0, 1]), clockTrusted: false }, now)
    expect(core.take(rows([1, 1], [17, 1]), now).closed[0]?.record.clockTrusted).toBe(false)
  })
})

describe('values that are not good', () => {
  it('are left out of the figures and counted', () => {
    const core = new WindowCore(config)
    core.take(message(row(noonMs, { temperature: 20 }, { flow: 'uncertain', level: 'noAnswer' })), now)
    const [closed] = core.take(rows([17, 1]), now).closed
    expect(closed?.record).toMatchObject({ sampleCount: 1, badCount: 2, avg_temperature: 20 })
    expect(closed?.record).not.toHaveProperty('avg_flow')
    expect(core.values).toEqual({ taken: 4, bad: 2, refused: 0 })
  })

  it('make a bad row where there is no other: a window of such rows has no samples', () => {
    const core = new WindowCore(config)
    core.take(message(row(noonMs, {}, { temperature: 'noAnswer' })), now)
    const [closed] = core.take(rows([17, 1]), now).closed
    expect(closed?.record).toMatchObject({ sampleCount: 0, badCount: 1 })
    expect(core.rows).toMatchObject({ taken: 2, bad: 1, open: 1, closed: 0 })
  })

  it('open no window where a row has no values at all', () => {
    const core = new WindowCore(config)
    core.take(message(row(noonMs, {})), now)
    expect(core.rows).toMatchObject({ taken: 1, bad: 1 })
    expect([...core.openWindows()]).toEqual([])
  })
})

describe('an idle device', () => {
  it('closes a window once its time is over by the clock, and not before it is idle', () => {
    const core = new WindowCore(config)
    core.take(rows([10, 1]), { ...now, processingMs: 1_000 })
    expect(summaries(core.tick({ ...now, processingMs: 30_999 }))).toEqual([])
    expect(summaries(core.tick({ ...now, processingMs: 31_000 }))).toEqual(['12:00:00/15s: 1'])
  })

  it('keeps a long window open for its return', () => {
    const core = new WindowCore({ ...config, windows: { hour: { lengthMs: 3_600_000, lateArrivalMs: 0 } } })
    core.take(rows([0, 1]), { ...now, processingMs: 0 })
    expect(summaries(core.tick({ ...now, processingMs: 3_599_999 }))).toEqual([])
    core.take(rows([1_800, 1]), { ...now, wallMs: noonMs + 3_600_000, processingMs: 3_599_999 })
    expect(core.rows).toMatchObject({ late: 0, open: 2 })
  })

  it('that comes back with rows it had kept loses only those of the window that closed', () => {
    const core = new WindowCore(config)
    core.take(rows([10, 1]), { ...now, processingMs: 0 })
    core.tick({ ...now, processingMs: 120_000 })
    core.take(rows([11, 1], [16, 1], [31, 1], [46, 1], [61, 1]), { ...now, processingMs: 120_000 })
    expect(core.rows).toMatchObject({ taken: 6, late: 1, closed: 3, open: 2 })
  })

  it('is forgotten after a week, and its place is free again', () => {
    const core = new WindowCore({ ...config, devicesMax: 1 })
    core.take(rows([10, 1]), { ...now, processingMs: 0 })
    core.tick({ ...now, processingMs: 60_000 })
    core.tick({ ...now, processingMs: 7 * 86_400_000 - 1 })
    expect(core.devices).toBe(1)
    core.tick({ ...now, processingMs: 7 * 86_400_000 })
    expect(core.devices).toBe(0)
  })
})

describe('a row from the future', () => {
  const wall = { processingMs: 0, wallMs: noonMs }

  it('beyond clockSkewMs closes no window and is refused by name', () => {
    const core = new WindowCore(config)
    const outcome = core.take(rows([0, 1], [3_600, 1], [1, 1]), wall)
    expect(outcome.closed).toEqual([])
    expect(outcome.refusals).toEqual([
      { reason: 'fromFuture', count: 1, detail: 'press-4: stamped 2026-11-21T13:00:00.000Z' },
    ])
    expect(core.rows).toMatchObject({ taken: 3, refused: 1, open: 2, late: 0 })
  })

  it('within clockSkewMs is as good as any', () => {
    const core = new WindowCore(config)
    expect(summaries(core.take(rows([0, 1], [60, 1]), wall))).toEqual(['12:00:00/15s: 1'])
  })

  it('is told by no clock that was never set', () => {
    const core = new WindowCore(config)
    expect(summaries(core.take(rows([0, 1], [17, 1]), { processingMs: 0, wallMs: 0 }))).toEqual(['12:00:00/15s: 1'])
  })

  it('is taken where the clock was set back under rows on their way, without moving the watermark', () => {
    const core = new WindowCore(config)
    core.take(rows([0, 1]), wall)
    const setBack = { processingMs: 1_000, wallMs: noonMs - 3_600_000 }
    expect(summaries(core.take(rows([1, 1], [40, 1], [2, 1]), setBack))).toEqual([])
    expect(core.rows).toMatchObject({ taken: 4, late: 0, refused: 0, open: 4 })
  })
})

describe('limits', () => {
  it('refuse the rows of a device too many, by name, and go on with the others', () => {
    const core = new WindowCore({ ...config, devicesMax: 1 })
    core.take(rows([0, 1]), now)
    const { refusals } = core.take({ ...rows([0, 1], [1, 1]), deviceId: 'pump-2' }, now)
    expect(refusals).toEqual([{ reason: 'tooManyDevices', count: 2, detail: 'pump-2: exceeds 1 devices' }])
    expect(core.rows).toMatchObject({ taken: 3, refused: 2, open: 1 })
  })

  it('refuse the values of a signal too many, and count the row by its others', () => {
    const core = new WindowCore({ ...config, signalsPerDeviceMax: 2 })
    const rowOf = (...names: string[]) => row(noonMs, Object.fromEntries(names.map((name) => [name, 1])))
    const { refusals } = core.take(message(rowOf('a', 'b', 'c', 'd'), rowOf('c')), now)
    expect(refusals).toMatchObject([{ reason: 'tooManySignals', count: 3 }])
    expect(core.rows).toMatchObject({ taken: 2, open: 1, refused: 1 })
    expect(core.values).toEqual({ taken: 5, bad: 0, refused: 3 })
  })

  it('refuse rows that would open a window too many', () => {
    const core = new WindowCore({ ...config, windows: { second: { lengthMs: 1_000, lateArrivalMs: 60_000 } } })
    const { refusals } = core.take(rows([0, 1], [1, 1], [2, 1], [3, 1], [4, 1], [5, 1], [3, 1]), now)
    expect(refusals).toMatchObject([{ reason: 'tooManyOpenWindows', count: 2 }])
    expect(core.rows).toMatchObject({ taken: 7, open: 5, refused: 2 })
  })
})

describe('rows split by columns', () => {
  it('count once, with the values of all parts', () => {
    const core = new WindowCore({ ...config, rules: allOf(['last']) })
    const part = (number: number, values: Values) => ({ ...message(row(noonMs, values)), part: number })
    core.take(part(1, { a: 1 }), now)
    core.take(part(2, { b: 2 }), now)
    const [closed] = core.take(rows([17, 1]), now).closed
    expect(closed?.record).toMatchObject({ sampleCount: 1, last_a: 1, last_b: 2 })
    expect(core.rows).toMatchObject({ taken: 2, closed: 1, open: 1 })
  })
})

describe('a change of the configuration', () => {
  it('finishes open windows under the old rules, and begins the next under the new', () => {
    const core = new WindowCore(config)
    core.take(rows([0, 1]), now)
    core.configure({ ...config, rules: allOf(['max']) })
    const { closed } = core.take(rows([1, 3], [17, 5], [32, 1]), now)
    expect(closed.map(({ record }) => record)).toMatchObject([
      { sampleCount: 2, avg_temperature: 2 },
      { sampleCount: 1, max_temperature: 5 },
    ])
    expect(closed[0]?.record).not.toHaveProperty('max_temperature')
    expect(closed[1]?.record).not.toHaveProperty('avg_temperature')
  })

  it('finishes windows of a length that is gone, with all their rows, and opens no more of them', () => {
    const core = new WindowCore(config)
    core.take(rows([0, 1]), now)
    core.configure({ ...config, windows: { main: { lengthMs: 60_000, lateArrivalMs: 2_000 } } })
    expect(summaries(core.take(rows([14, 1], [20, 1], [40, 1], [62, 1]), now))).toEqual([
      '12:00:00/15s: 2',
      '12:00:00/1m: 3',
    ])
    expect(core.rows).toMatchObject({ taken: 5, open: 1, closed: 4, late: 0 })
  })

  it('opens no window again that has closed, whatever it may be late by', () => {
    const core = new WindowCore(config)
    core.take(rows([0, 1], [18, 1]), now)
    core.configure({ ...config, windows: { main: { lengthMs: 15_000, lateArrivalMs: 60_000 } } })
    core.take(rows([1, 1]), now)
    expect(core.rows).toMatchObject({ late: 1, open: 1, closed: 1 })
  })

  it('that removes a length and brings it back finds its open window again', () => {
    const core = new WindowCore(config)
    core.take(rows([0, 1]), now)
    core.configure({ ...config, windows: { main: { lengthMs: 60_000, lateArrivalMs: 2_000 } } })
    core.take(rows([1, 1]), now)
    core.configure(config)
    expect(summaries(core.take(rows([2, 1], [17, 1]), now))).toEqual(['12:00:00/15s: 3'])
  })
})

describe('a restart', () => {
  const restart = (core: WindowCore, next: CoreConfig) =>
    WindowCore.restore(next, JSON.parse(JSON.stringify(core.save())))

  it('keeps open windows and sends each once', () => {
    const core = new WindowCore(config)
    core.take(rows([0, 1], [14, 3]), now)
    const restarted = restart(core, config)
    expect(restarted.rows).toEqual(core.rows)
    const { closed } = restarted.take(rows([13, 2], [17, 1]), now)
    expect(closed[0]?.record).toMatchObject({ sampleCount: 3, avg_temperature: 2, last_temperature: 3 })
  })

  it('does not open a closed window again', () => {
    const core = new WindowCore(config)
    core.take(rows([0, 1], [17, 1]), now)
    const restarted = restart(core, config)
    restarted.take(rows([1, 1]), now)
    expect(restarted.rows).toMatchObject({ late: 1, closed: 1, open: 1 })
  })

  it('under another configuration finishes open windows under the old one', () => {
    const core = new WindowCore(config)
    core.take(rows([0, 1]), now)
    const other = {
      ...config,
      windows: { main: { lengthMs: 60_000, lateArrivalMs: 0 } },
      rules: allOf(['max']),
    }
    const { closed } = restart(core, other).take(rows([1, 3], [60, 1]), now)
    expect(closed.map(({ record }) => record)).toMatchObject([
      { window: '15s', sampleCount: 2, avg_temperature: 2 },
      { window: '1m', sampleCount: 1, max_temperature: 3 },
    ])
  })
})
