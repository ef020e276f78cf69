import type { Clock, Timer } from '@weir/lib/clock'
import { errorText, WeirError } from '@weir/lib/errors'
import type { Database } from './database.ts'

/** Work that nobody waits for is written at the latest after this, or with this much of it. */
const laterDelayMs = 50
const laterWorksMax = 1000

interface Write {
  readonly apply: () => void
  readonly settled: (error: WeirError | undefined) => void
}

/**
 * Gathers writes of an event-loop turn into one transaction. Between two commits passes at least as long as the first took,
 * so that syncing takes half of the time at most, however slow the disk is, and groups grow with the load.
 */
export class GroupCommit {
  readonly #database: Database
  readonly #clock: Clock
  #writes: Write[] = []
  #later: (() => void)[] = []
  #turn: NodeJS.Immediate | undefined
  #timer: Timer | undefined
  #endedMs = 0
  #tookMs = 0
  #closed = false

  constructor(database: Database, clock: Clock) {
    this.#database = database
    this.#clock = clock
  }

  /**
   * `apply` runs in the next transaction. `settled` is called once that is on disk, in the order of the calls; or with
   * STATE_UNWRITABLE when nothing of the group was written.
   */
  write(apply: () => void, settled: (error: WeirError | undefined) => void): void {
    if (this.#closed) {
      settled(new WeirError('STATE_UNWRITABLE', 'edge-hub: the store is closed'))
      return
    }
    this.#writes.push({ apply, settled })
    this.#turn ??= setImmediate(() => this.#whenDue())
  }

  /** `apply` runs in some transaction soon. Lost when the process ends before: only for what may happen again. */
  later(apply: () => void): void {
    if (this.#closed) return
    this.#later.push(apply)
    if (this.#later.length >= laterWorksMax) this.#turn ??= setImmediate(() => this.#whenDue())
    else this.#timer ??= this.#clock.setTimer(() => this.flush(), laterDelayMs)
  }

  #whenDue(): void {
    this.#turn = undefined
    const leftMs = this.#endedMs + this.#tookMs - this.#clock.monotonicMs()
    if (leftMs <= 0) this.flush()
    // Timers have steps of 1 ms; turns of the loop take in what arrives meanwhile.
    else if (leftMs < 1) this.#turn = setImmediate(() => this.#whenDue())
    else {
      this.#timer?.cancel()
      this.#timer = this.#clock.setTimer(() => this.flush(), leftMs)
    }
  }

  /** Writes all that waits, now. */
  flush(): void {
    if (this.#closed) return
    if (this.#turn !== undefined) clearImmediate(this.#turn)
    this.#timer?.cancel()
    this.#turn = undefined
    this.#timer = undefined
    const writes = this.#writes
    const later = this.#later
    if (writes.length === 0 && later.length === 0) return
    this.#writes = []
    this.#later = []
    const startMs = this.#clock.monotonicMs()
    const error = this.#commit(writes, later)
    this.#endedMs = this.#clock.monotonicMs()
    this.#tookMs = this.#endedMs - startMs
    for (const { settled } of writes) settled(error)
  }

  /** Writes all that waits; what comes later is refused. */
  close(): void {
    this.flush()
    this.#closed = true
    this.#timer?.cancel()
  }

  #commit(writes: readonly Write[], later: (() => void)[]): WeirError | undefined {
    try {
      this.#database.transaction(() => {
        for (const apply of later) apply()
        for (const { apply } of writes) apply()
      })
      return undefined
    } catch (error) {
      this.#later = later.concat(this.#later)
      this.#timer ??= this.#clock.setTimer(() => this.flush(), 1000)
      return new WeirError('STATE_UNWRITABLE', `edge-hub: the store cannot be written: ${errorText(error)}`, {
        cause: error,
      })
    }
  }
}
