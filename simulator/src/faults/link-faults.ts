/** Faults of the line between the edge hub and the hub stand-in, at the stand-in's end. */
import type { Clock } from '@weir/lib/clock'

export interface LinkFault {
  /** Connections are closed as they come. */
  readonly isCut: boolean
  /** Each frame takes so much longer, in both directions. */
  readonly delayMs: number
}

export const noLinkFault: LinkFault = { isCut: false, delayMs: 0 }

/** One direction of a line: what goes in comes out later, in the same order whatever becomes of the delay meanwhile. */
export class DelayLine {
  readonly #clock: Clock
  readonly #waiting: { readonly dueMs: number; readonly arrive: () => void }[] = []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Calls `arrive` after `delayMs`, and not before what went in earlier; at once where nothing stands against that. */
  pass(delayMs: number, arrive: () => void): void {
    if (delayMs === 0 && this.#waiting.length === 0) {
      arrive()
      return
    }
    this.#waiting.push({ dueMs: this.#clock.monotonicMs() + delayMs, arrive })
    if (this.#waiting.length === 1) this.#wait()
  }

  #wait(): void {
    const first = this.#waiting[0]
    if (first === undefined) return
    this.#clock.setTimer(() => this.#arrived(), Math.max(0, first.dueMs - this.#clock.monotonicMs()))
  }

  #arrived(): void {
    // The timer was for the first, which may be a fraction of a millisecond early.
    const nowMs = Math.max(this.#clock.monotonicMs(), this.#waiting[0]?.dueMs ?? 0)
    for (let first = this.#waiting[0]; first !== undefined && first.dueMs <= nowMs; first = this.#waiting[0]) {
      // Left in place while it arrives, so that what it causes queues behind it.
      first.arrive()
      this.#waiting.shift()
    }
    this.#wait()
  }
}
