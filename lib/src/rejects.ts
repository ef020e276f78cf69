import type { Clock } from './clock.ts'
import { rejectLogIntervalMs, rejectReasonsMax } from './limits.ts'
import type { Log } from './log.ts'
import type { Counter } from './metrics.ts'

interface Reason {
  count: number
  logged: number
  loggedMs: number
}

/** Counts what is kept out, by reason, and logs each reason at most once a minute with the count since. */
export class Rejects {
  readonly #log: Log
  readonly #clock: Clock
  readonly #counter: Counter
  readonly #reasons = new Map<string, Reason>()

  constructor(log: Log, clock: Clock, counter: Counter) {
    this.#log = log
    this.#clock = clock
    this.#counter = counter
  }

  add(reason: string, detail: string, count = 1): void {
    let name = reason
    let entry = this.#reasons.get(name)
    if (entry === undefined && this.#reasons.size >= rejectReasonsMax) {
      name = 'other'
      entry = this.#reasons.get(name)
    }
    if (entry === undefined) {
      entry = { count: 0, logged: 0, loggedMs: Number.NEGATIVE_INFINITY }
      this.#reasons.set(name, entry)
    }
    entry.count += count
    this.#counter.add(count, { reason: name })
    const nowMs = this.#clock.monotonicMs()
    if (nowMs - entry.loggedMs < rejectLogIntervalMs) return
    const since = entry.count - entry.logged
    entry.loggedMs = nowMs
    entry.logged = entry.count
    this.#log.warning(
      since === 1 ? `kept out, ${name}: ${detail}` : `kept out, ${name}: ${since} times, last: ${detail}`,
    )
  }

  /** Count by reason since the start. */
  counts(): Record<string, number> {
    return Object.fromEntries([...this.#reasons].map(([reason, entry]) => [reason, entry.count]))
  }
}
