import { type Clock, sleep } from './clock.ts'
import { errorText, WeirError } from './errors.ts'
import type { Hub } from './hub.ts'
import { hubRefusalsMax, hubRetryMsFirst, hubRetryMsMax } from './limits.ts'
import type { Log } from './log.ts'

export interface ReopenerParts {
  readonly hub: Pick<Hub, 'open'>
  readonly clock: Clock
  readonly log: Log
  random(): number
  /** The hub refused this module again and again. */
  giveUp(error: WeirError): void
}

/** A connection that lasted this long was a good one: after it the pauses begin anew. */
const goodConnectionMs = 10_000
const logIntervalMs = 60_000

/** Opens the hub, and opens it again whenever it is lost, with pauses that double and are spread at random. */
export class Reopener {
  readonly #parts: ReopenerParts
  #retryMs = hubRetryMsFirst
  #openedMs = Number.NEGATIVE_INFINITY
  #loggedMs = Number.NEGATIVE_INFINITY
  #refusals = 0
  #working = false
  /** Lost between the end of `open` and this hearing of it. */
  #lostMeanwhile = false
  #stopped = false

  constructor(parts: ReopenerParts) {
    this.#parts = parts
  }

  open(): void {
    if (this.#working || this.#stopped) return
    this.#working = true
    void this.#openUntilDone()
  }

  /** The connection was lost: opens at once after a good connection, else after a pause. */
  lost(): void {
    this.#lostMeanwhile = true
    if (this.#working || this.#stopped) return
    const lastedMs = this.#parts.clock.monotonicMs() - this.#openedMs
    if (lastedMs >= goodConnectionMs) this.#retryMs = hubRetryMsFirst
    this.#working = true
    void (lastedMs >= goodConnectionMs ? Promise.resolve() : this.#pause()).then(() => this.#openUntilDone())
  }

  stop(): void {
    this.#stopped = true
  }

  async #openUntilDone(): Promise<void> {
    while (!this.#stopped) {
      this.#lostMeanwhile = false
      try {
        await this.#parts.hub.open()
        this.#openedMs = this.#parts.clock.monotonicMs()
        this.#refusals = 0
        if (!this.#lostMeanwhile) break
      } catch (error) {
        if (!this.#goOn(error)) break
      }
      await this.#pause()
    }
    this.#working = false
  }

  #goOn(error: unknown): boolean {
    const refused = error instanceof WeirError && error.reaction === 'stop'
    this.#refusals = refused ? this.#refusals + 1 : 0
    if (refused && this.#refusals >= hubRefusalsMax) {
      this.#parts.giveUp(error)
      return false
    }
    const nowMs = this.#parts.clock.monotonicMs()
    if (nowMs - this.#loggedMs >= logIntervalMs) {
      this.#loggedMs = nowMs
      this.#parts.log.warning(`${errorText(error)}; trying again until it opens`)
    }
    return true
  }

  #pause(): Promise<void> {
    const pauseMs = this.#retryMs * (0.5 + this.#parts.random() / 2)
    this.#retryMs = Math.min(this.#retryMs * 2, hubRetryMsMax)
    return sleep(this.#parts.clock, pauseMs)
  }
}
