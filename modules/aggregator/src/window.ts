/** Tumbling windows on event time, aligned to 1970-01-01T00:00Z: pure arithmetic, and what an open one holds. */

import type { DecodedRow } from '@weir/lib/telemetry'
import type { Plan } from './plan.ts'
import type { Statistics } from './statistics.ts'

/** A kind of window, as configured. */
export interface WindowKind {
  readonly id: string
  readonly lengthMs: number
  readonly lateArrivalMs: number
}

const units = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
] as const

/** Name of a length in records: the largest unit that measures it whole, e.g. `15s`, `90s`, `1m`, `15m`, `1h`, `1d`. */
export function windowLabel(lengthMs: number): string {
  const unit = units.find(([, unitMs]) => lengthMs % unitMs === 0)
  return unit === undefined ? `${lengthMs}ms` : `${lengthMs / unit[1]}${unit[0]}`
}

/** First instant of the window of `lengthMs` that holds `timestampMs`. */
export function windowStartMs(timestampMs: number, lengthMs: number): number {
  return Math.floor(timestampMs / lengthMs) * lengthMs
}

/** Stands for the number of a signal that is refused because its device has too many. */
export const refusedSignal = -1

/** Numbers for a list of signals, in its order. */
export interface Numbering {
  readonly numbers: readonly number[]
  /** How many of them are `refusedSignal`. */
  readonly refused: number
}

/** A window of one device that takes rows. It keeps the plan under which it was opened, and is finished under it. */
export class OpenWindow {
  readonly plan: Plan
  readonly lengthMs: number
  readonly startMs: number
  readonly endMs: number
  /** The newest row at which the window closes. */
  readonly closesAtMs: number
  statistics: Statistics
  /** Rows with at least one good value. */
  samples = 0
  /** Values that were not good. */
  badValues = 0
  /** Of `samples`, those for which this window answers in the account of rows: see WindowCore. */
  accounted = 0
  clockTrusted = true

  constructor(plan: Plan, kind: Omit<WindowKind, 'id'>, startMs: number, statistics: Statistics) {
    this.plan = plan
    this.lengthMs = kind.lengthMs
    this.startMs = startMs
    this.endMs = startMs + kind.lengthMs
    this.closesAtMs = this.endMs + kind.lateArrivalMs
    this.statistics = statistics
  }

  get lateArrivalMs(): number {
    return this.closesAtMs - this.endMs
  }

  /**
   * Takes a row that it holds.
   * @param one How much the row counts: 1, or 0 where another part of it has counted.
   */
  take(row: DecodedRow, { numbers, refused }: Numbering, clockTrusted: boolean, one: number): void {
    const { statistics } = this
    const { values, timestampMs } = row
    for (let place = 0; place < values.length; place++) {
      const signal = numbers[place] ?? refusedSignal
      const value = values[place]
      if (signal === refusedSignal) continue
      if (typeof value === 'number') statistics.addNumber(signal, value, false, timestampMs)
      else if (typeof value === 'string') statistics.addText(signal, value, timestampMs)
      else statistics.addNumber(signal, value === true ? 1 : 0, true, timestampMs)
    }
    if (values.length > refused) this.samples += one
    this.badValues += row.bad.length
    if (!clockTrusted) this.clockTrusted = false
  }

  holds(timestampMs: number): boolean {
    return timestampMs >= this.startMs && timestampMs < this.endMs
  }
}
