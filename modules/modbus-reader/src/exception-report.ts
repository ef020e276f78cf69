import type { Row, SignalValue } from '@weir/lib/messages'
import { sideOf, type UrgentLimits } from './batch.ts'

/** When a value is worth telling; of `absolute` and `percent` at most one. */
export interface Deadband {
  readonly absolute?: number | undefined
  /** Of the value told last. */
  readonly percent?: number | undefined
  readonly maxSilenceMs: number
}

interface Told {
  readonly value: SignalValue
  readonly atMs: number
}

/**
 * Report by exception, per signal: a value is told where it differs from the one told last by more than the deadband,
 * crosses an urgent limit, follows a time without a good value, or where `maxSilenceMs` have passed. A value is measured
 * against the one told, not against the one before, so that a slow drift is told too.
 */
export class ExceptionReport {
  readonly #deadbands: ReadonlyMap<string, Deadband>
  readonly #urgent: UrgentLimits
  readonly #told = new Map<string, Told>()

  constructor(deadbands: ReadonlyMap<string, Deadband>, urgent: UrgentLimits) {
    this.#deadbands = deadbands
    this.#urgent = urgent
  }

  /** What of a row is worth telling; undefined where nothing is. @param nowMs monotonic time. */
  filter(row: Row, nowMs: number): Row | undefined {
    if (this.#deadbands.size === 0) return row
    for (const signal of Object.keys(row.quality ?? {})) this.#told.delete(signal)
    const values: Record<string, SignalValue> = {}
    let isEmpty = row.quality === undefined
    for (const [signal, value] of Object.entries(row.values)) {
      if (!this.#isNews(signal, value, nowMs)) continue
      values[signal] = value
      isEmpty = false
    }
    return isEmpty ? undefined : { ...row, values }
  }

  #isNews(signal: string, value: SignalValue, nowMs: number): boolean {
    const deadband = this.#deadbands.get(signal)
    if (deadband === undefined) return true
    const told = this.#told.get(signal)
    const isNews =
      told === undefined ||
      nowMs - told.atMs >= deadband.maxSilenceMs ||
      differs(value, told.value, deadband) ||
      this.#crosses(signal, value, told.value)
    if (isNews) this.#told.set(signal, { value, atMs: nowMs })
    return isNews
  }

  #crosses(signal: string, value: SignalValue, told: SignalValue): boolean {
    const limits = this.#urgent.get(signal)
    if (limits === undefined || typeof value !== 'number' || typeof told !== 'number') return false
    return sideOf(value, limits) !== sideOf(told, limits)
  }
}

function differs(value: SignalValue, told: SignalValue, { absolute = 0, percent }: Deadband): boolean {
  if (typeof value !== 'number' || typeof told !== 'number') return value !== told
  return Math.abs(value - told) > (percent === undefined ? absolute : (Math.abs(told) * percent) / 100)
}
