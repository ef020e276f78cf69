import type { AggregationRule } from './config.ts'
import type { Plan } from './plan.ts'
import type { Source } from './record.ts'
import { Statistics } from './statistics.ts'
import { type Numbering, type OpenWindow, refusedSignal } from './window.ts'

/** What the aggregator holds of one device. */
export class Device {
  source: Source
  /** Names by number. */
  readonly signals: string[] = []
  /** Unit by the signal's number, where its reader has named one. */
  readonly units = new Map<number, string>()
  readonly #numberBySignal = new Map<string, number>()
  /** Time of the newest row, Unix milliseconds: the watermark. */
  newestMs = Number.NEGATIVE_INFINITY
  /** When the last message came, in processing time. */
  lastMessageMs: number
  open: OpenWindow[] = []
  /** The window that took the last row, for each kind of window of the plan. */
  current: (OpenWindow | undefined)[] = []
  /** true: some window in `open` is of a length that the plan has no more. */
  hasRetired = false
  /** The least `closesAtMs` of the open windows. */
  nextCloseMs = Number.POSITIVE_INFINITY
  /** End of the last window closed, by length: nothing before it opens again, whatever becomes of the configuration. */
  readonly closedUpToMs = new Map<number, number>()
  #lastSignals: readonly string[] = []
  #lastSignalsMax = 0
  #lastNumbering: Numbering = { numbers: [], refused: 0 }
  #rules: { readonly plan: Plan; readonly source: Source; readonly bySignal: (AggregationRule | null)[] } | undefined

  constructor(source: Source, processingMs: number) {
    this.source = source
    this.lastMessageMs = processingMs
  }

  /** Numbers of `signals`; the rows of a message mostly share one list, so the answer for the last is kept. */
  numbersOf(signals: readonly string[], signalsMax: number): Numbering {
    if (signals === this.#lastSignals && signalsMax === this.#lastSignalsMax) return this.#lastNumbering
    const numbers = signals.map((signal) => this.#numberOf(signal, signalsMax))
    this.#lastSignals = signals
    this.#lastSignalsMax = signalsMax
    this.#lastNumbering = { numbers, refused: numbers.filter((number) => number === refusedSignal).length }
    for (const window of this.open) window.statistics.reserve(this.signals.length)
    return this.#lastNumbering
  }

  #numberOf(signal: string, signalsMax: number): number {
    const known = this.#numberBySignal.get(signal)
    if (known !== undefined) return known
    if (this.signals.length >= signalsMax) return refusedSignal
    const number = this.signals.push(signal) - 1
    this.#numberBySignal.set(signal, number)
    return number
  }

  newStatistics(): Statistics {
    return new Statistics(this.signals.length)
  }

  describe(deviceType: string | undefined, location: string | undefined): void {
    const { source } = this
    if (source.deviceType === deviceType && source.location === location) return
    this.source = { deviceId: source.deviceId, deviceType, location }
  }

  /** Notes the units of signals that it knows. */
  name(units: Readonly<Record<string, string>>): void {
    for (const [signal, unit] of Object.entries(units)) {
      const number = this.#numberBySignal.get(signal)
      if (number !== undefined) this.units.set(number, unit)
    }
  }

  addWindow(window: OpenWindow): void {
    this.open.push(window)
    this.nextCloseMs = Math.min(this.nextCloseMs, window.closesAtMs)
  }

  /** Takes the windows that close at `nowMs` out of the open ones, oldest first. */
  takeClosing(nowMs: number): OpenWindow[] {
    const closing = this.open.filter((window) => window.closesAtMs <= nowMs)
    closing.sort((a, b) => a.endMs - b.endMs || a.lengthMs - b.lengthMs)
    this.open = this.open.filter((window) => window.closesAtMs > nowMs)
    this.current = []
    this.hasRetired &&= this.open.length > 0
    this.nextCloseMs = this.open.reduce((least, window) => Math.min(least, window.closesAtMs), Number.POSITIVE_INFINITY)
    for (const { lengthMs, endMs } of closing) {
      this.closedUpToMs.set(lengthMs, Math.max(endMs, this.closedUpToMs.get(lengthMs) ?? endMs))
    }
    return closing
  }

  /** Rule for a signal's number under `plan`; remembered for the plan asked last. */
  ruleFor(plan: Plan, signal: number): AggregationRule | undefined {
    const { source } = this
    if (this.#rules?.plan !== plan || this.#rules.source !== source) this.#rules = { plan, source, bySignal: [] }
    const { bySignal } = this.#rules
    const known = bySignal[signal]
    if (known !== undefined) return known ?? undefined
    const rule = plan.ruleFor({ ...source, signal: this.signals[signal] ?? '' })?.rule
    bySignal[signal] = rule ?? null
    return rule
  }
}
