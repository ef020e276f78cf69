import type { AggregateRecord, SignalValue } from '@weir/lib/messages'
import type { DecodedTelemetry } from '@weir/lib/telemetry'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { windowLabel } from './window.ts'
import { type ClosedWindow, type CoreConfig, WindowCore } from './window-core.ts'

/**
 * The same windows, written for plainness: every window keeps its rows, and figures are worked out in two passes when it
 * closes. What it is told of time and order is what the core is told.
 */
class BruteForce {
  readonly #config: CoreConfig
  readonly #devices = new Map<string, { newestMs: number; lastMs: number; windows: KeptWindow[] }>()
  readonly records: Record<string, unknown>[] = []
  late = 0

  constructor(config: CoreConfig) {
    this.#config = config
  }

  take(batch: DecodedTelemetry, processingMs: number): void {
    const device = this.#devices.get(batch.deviceId) ?? { newestMs: -1, lastMs: 0, windows: [] }
    this.#devices.set(batch.deviceId, device)
    device.lastMs = processingMs
    const shortest = Math.min(...Object.values(this.#config.windows).map(({ lengthMs }) => lengthMs))
    for (const { timestampMs, signals, values: list } of batch.rows) {
      const values = Object.fromEntries(signals.map((signal, place) => [signal, list[place] ?? Number.NaN]))
      for (const { lengthMs, lateArrivalMs } of Object.values(this.#config.windows)) {
        const startMs = timestampMs - (timestampMs % lengthMs)
        let window = device.windows.find((each) => each.lengthMs === lengthMs && each.startMs === startMs)
        if (window === undefined) {
          const endMs = startMs + lengthMs
          const passed = device.windows.some((each) => each.closed && each.lengthMs === lengthMs && each.endMs >= endMs)
          const closed = passed || endMs + lateArrivalMs <= device.newestMs
          window = { lengthMs, startMs, endMs, closesAtMs: endMs + lateArrivalMs, rows: [], closed }
          device.windows.push(window)
        }
        if (!window.closed) window.rows.push({ timestampMs, values })
        else if (lengthMs === shortest) this.late += 1
      }
      device.newestMs = Math.max(device.newestMs, timestampMs)
      this.#close(batch.deviceId, device.windows, device.newestMs)
    }
  }

  tick(processingMs: number): void {
    for (const [deviceId, { windows, newestMs, lastMs }] of this.#devices) {
      const idleMs = processingMs - lastMs
      if (idleMs >= this.#config.deviceIdleMs) this.#close(deviceId, windows, newestMs + idleMs)
    }
  }

  #close(deviceId: string, windows: KeptWindow[], nowMs: number): void {
    for (const window of windows) {
      if (window.closed || window.closesAtMs > nowMs) continue
      window.closed = true
      this.records.push({
        identity: `${deviceId} ${windowLabel(window.lengthMs)} ${new Date(window.startMs).toISOString()}`,
        sampleCount: window.rows.length,
        figures: figures(window.rows),
      })
    }
  }
}

interface KeptRow {
  readonly timestampMs: number
  readonly values: Readonly<Record<string, SignalValue>>
}
interface KeptWindow {
  readonly lengthMs: number
  readonly startMs: number
  readonly endMs: number
  readonly closesAtMs: number
  readonly rows: KeptRow[]
  closed: boolean
}

function figures(rows: readonly KeptRow[]): Record<string, number> {
  const found: Record<string, number> = {}
  for (const name of new Set(rows.flatMap(({ values }) => Object.keys(values)))) {
    const kept = rows.filter(({ values }) => name in values)
    const numbers = kept.map(({ values }) => Number(values[name]))
    const avg = numbers.reduce((sum, value) => sum + value, 0) / numbers.length
    const squares = numbers.reduce((sum, value) => sum + (value - avg) ** 2, 0)
    found[`avg_${name}`] = avg
    if (numbers.length > 1) found[`std_${name}`] = Math.sqrt(squares / (numbers.length - 1))
    found[`min_${name}`] = Math.min(...numbers)
    found[`max_${name}`] = Math.max(...numbers)
    found[`peak_${name}`] = numbers.reduce((peak, value) => (Math.abs(value) > Math.abs(peak) ? value : peak))
    found[`last_${name}`] = Number(kept.reduce((a, b) => (b.timestampMs >= a.timestampMs ? b : a)).values[name])
    found[`count_${name}`] = numbers.length
  }
  return found
}

const baseMs = Date.UTC(2026, 10, 21, 12)
const config: CoreConfig = {
  windows: {
    minute: { lengthMs: 60_000, lateArrivalMs: 5_000 },
    quick: { lengthMs: 5_000, lateArrivalMs: 2_000 },
  },
  rules: { all: { order: 1, select: '*', functions: ['avg', 'std', 'min', 'max', 'peak', 'last', 'count'] } },
  deviceIdleMs: 30_000,
  clockSkewMs: 86_400_000,
  devicesMax: 10,
  signalsPerDeviceMax: 10,
  openWindowsPerDeviceMax: 100,
}

/** Rows that mostly go on in time, sometimes back, sometimes far ahead; and pauses. */
const value = fc.integer({ min: -80_000, max: 80_000 }).map((eighths) => eighths / 8)
const row = fc.record({
  stepMs: fc.oneof(
    { weight: 8, arbitrary: fc.integer({ min: 0, max: 2_000 }) },
    fc.integer({ min: -70_000, max: 90_000 }),
  ),
  values: fc.dictionary(fc.constantFrom('temperature', 'flow', 'level'), value, { minKeys: 1 }),
})
const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ deviceId: fc.constantFrom('press-4', 'pump-2'), rows: fc.array(row, { maxLength: 8 }) }),
  },
  fc.record({ pauseMs: fc.integer({ min: 100, max: 100_000 }) }),
)
type Step = { deviceId: string; rows: { stepMs: number; values: Record<string, number> }[] } | { pauseMs: number }

/** Turns steps into inputs with times, and gives each to `take` or `tick`. */
function play(
  steps: readonly Step[],
  take: (batch: DecodedTelemetry, ms: number) => void,
  tick: (ms: number) => void,
): void {
  const reached = new Map<string, number>()
  let processingMs = 0
  for (const each of steps) {
    if ('pauseMs' in each) {
      processingMs += each.pauseMs
      tick(processingMs)
      continue
    }
    const rows = each.rows.map(({ stepMs, values }) => {
      const timestampMs = Math.max(baseMs, (reached.get(each.deviceId) ?? baseMs) + stepMs)
      reached.set(each.deviceId, timestampMs)
      return { timestampMs, signals: Object.keys(values), values: Object.values(values), bad: [] }
    })
    const { deviceId } = each
    take(
      {
        deviceId,
        deviceType: undefined,
        location: undefined,
        clockTrusted: true,
        part: undefined,
        units: undefined,
        rows,
      },
      processingMs,
    )
  }
}

const moment = (processingMs: number) => ({ processingMs, wallMs: baseMs + 86_400_000 })

/** Plays steps through a core, saving and restoring it as it goes where `restartEvery` says so. */
function run(steps: readonly Step[], restartEvery = Number.POSITIVE_INFINITY) {
  let core = new WindowCore(config)
  let inputs = 0
  const closed: ClosedWindow[] = []
  const input = (outcome: { closed: readonly ClosedWindow[] }) => {
    closed.push(...outcome.closed)
    inputs += 1
    if (inputs % restartEvery === 0) core = WindowCore.restore(config, JSON.parse(JSON.stringify(core.save())))
  }
  play(
    steps,
    (batch, ms) => input(core.take(batch, moment(ms))),
    (ms) => input(core.tick(moment(ms))),
  )
  return { core, closed }
}

function plain({ record }: { record: AggregateRecord }) {
  const found = Object.entries(record).filter(([name]) => name.includes('_'))
  return {
    identity: `${record.deviceId} ${record.window} ${record.windowStart}`,
    sampleCount: record.sampleCount,
    figures: Object.fromEntries(found) as Record<string, number>,
  }
}

const byIdentity = (a: { identity?: unknown }, b: { identity?: unknown }) =>
  String(a.identity) < String(b.identity) ? -1 : 1

describe('windows, for any rows in any order', () => {
  it('hold what a brute-force replay finds', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const reference = new BruteForce(config)
        play(
          steps,
          (batch, ms) => reference.take(batch, ms),
          (ms) => reference.tick(ms),
        )
        const { core, closed } = run(steps)
        const records = closed.map(plain).sort(byIdentity)
        const expected = reference.records.sort(byIdentity)
        expect(records.map(({ identity, sampleCount }) => ({ identity, sampleCount }))).toEqual(
          expected.map(({ identity, sampleCount }) => ({ identity, sampleCount })),
        )
        records.forEach(({ figures: found }, place) => {
          const wanted = expected[place]?.['figures'] as Record<string, number>
          expect(Object.keys(found).sort()).toEqual(Object.keys(wanted).sort())
          for (const [name, figure] of Object.entries(found)) {
            const tolerance = /^(avg|std)_/.test(name) ? 1e-8 * Math.max(1, Math.abs(wanted[name] ?? 0)) : 0
            expect(Math.abs(figure - (wanted[name] ?? Number.NaN))).toBeLessThanOrEqual(tolerance)
          }
        })
        expect(core.rows.late).toBe(reference.late)
      }),
      { numRuns: 300 },
    )
  })

  it('come out once each', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const identities = run(steps).closed.map((each) => plain(each).identity)
        expect(new Set(identities).size).toBe(identities.length)
      }),
    )
  })

  it('account for each row in exactly one place', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const { core, closed } = run(steps)
        const { rows } = core
        expect(rows.late + rows.bad + rows.refused + rows.open + rows.closed).toBe(rows.taken)
        const label = windowLabel(core.accountingWindow.lengthMs)
        const counted = closed.filter(({ record }) => record.window === label)
        expect(counted.reduce((sum, { record }) => sum + record.sampleCount, 0)).toBe(rows.closed)
        expect([...core.openWindows()].reduce((sum, { window }) => sum + window.accounted, 0)).toBe(rows.open)
      }),
    )
  })

  it('are the same whether or not the module was stopped and started between any two inputs', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), fc.integer({ min: 1, max: 5 }), (steps, restartEvery) => {
        const whole = run(steps)
        const parted = run(steps, restartEvery)
        expect(JSON.stringify(parted.closed)).toBe(JSON.stringify(whole.closed))
        expect(parted.core.save()).toEqual(whole.core.save())
      }),
    )
  })
})
