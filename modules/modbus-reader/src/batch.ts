import type { QualityReason, Row, SignalValue } from '@weir/lib/messages'

/** `urgent` limits by signal. */
export type UrgentLimits = ReadonlyMap<string, { above?: number | undefined; below?: number | undefined }>

export interface BatchSettings {
  readonly publishIntervalMs: number
  /** Shortest time between two polls of the device. */
  readonly pollIntervalMs: number
  readonly urgent: UrgentLimits
  /** Values after which a batch does not wait any longer, so that no message grows without limit. */
  readonly valuesMax: number
}

/** What becomes of the batch after a row: it waits, or it goes. */
export type Verdict = 'hold' | 'publish'

/** Part of a poll interval by which a poll may come early without leaving its batch waiting for one more. */
const pollSlack = 0.1

type Side = 'above' | 'below' | 'inside'

/**
 * Rows of one device on their way into one message.
 *
 * - Rows are held up to `publishIntervalMs`, counted from the first of them; they go at once where waiting for the next
 *   poll would pass that time anyway.
 * - A value that crosses one of its urgent limits, in either direction, sends the batch at once; a value that stays
 *   beyond does not. It passes nothing that waits: receivers rely on the order of a device's rows. The first value after
 *   a start crosses if it lies beyond. A bad value crosses nothing.
 * - A row with any good value names every bad one beside it. A row without a good value (the device is away) is taken
 *   only where its reasons differ from those of the poll before, per poll group.
 */
export class DeviceBatch {
  readonly #settings: BatchSettings
  readonly #sides = new Map<string, Side>()
  readonly #lastReasons = new Map<string, string>()
  #rows: Row[] = []
  #values = 0
  #dueMs: number | undefined

  constructor(settings: BatchSettings) {
    this.#settings = settings
  }

  /** Monotonic time at which the batch must go; undefined while it is empty. */
  get dueMs(): number | undefined {
    return this.#dueMs
  }

  /** @param group poll group that the row is of. @param nowMs monotonic time. */
  add(group: string, row: Row, nowMs: number): Verdict {
    const signals = Object.keys(row.values)
    if (!this.#isNews(group, signals.length > 0, row.quality)) return 'hold'
    this.#rows.push(row)
    this.#values += Math.max(1, signals.length)
    this.#dueMs ??= nowMs + this.#settings.publishIntervalMs
    if (this.#crossesAny(row.values)) return 'publish'
    const isLast = nowMs + this.#settings.pollIntervalMs * (1 + pollSlack) > this.#dueMs
    return isLast || this.#values >= this.#settings.valuesMax ? 'publish' : 'hold'
  }

  /** Empties the batch. */
  take(): Row[] {
    const rows = this.#rows
    this.#rows = []
    this.#values = 0
    this.#dueMs = undefined
    return rows
  }

  #isNews(group: string, hasValues: boolean, quality: Row['quality']): boolean {
    const reasons = hasValues ? '' : reasonsText(quality ?? {})
    const isNews = hasValues || this.#lastReasons.get(group) !== reasons
    this.#lastReasons.set(group, reasons)
    return isNews
  }

  #crossesAny(values: Readonly<Record<string, SignalValue>>): boolean {
    let crosses = false
    for (const [signal, limits] of this.#settings.urgent) {
      const value = values[signal]
      if (typeof value !== 'number') continue
      const side = sideOf(value, limits)
      if (side !== (this.#sides.get(signal) ?? 'inside')) crosses = true
      this.#sides.set(signal, side)
    }
    return crosses
  }
}

function reasonsText(quality: Readonly<Record<string, QualityReason>>): string {
  return JSON.stringify(quality)
}

/** On which side of its urgent limits a value lies. */
export function sideOf(
  value: number,
  { above, below }: { above?: number | undefined; below?: number | undefined },
): Side {
  if (above !== undefined && value > above) return 'above'
  return below !== undefined && value < below ? 'below' : 'inside'
}
