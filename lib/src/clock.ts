/** Unix time in milliseconds, and a monotonic time that no clock step moves. Passed in everywhere, so that tests own time. */
export interface Clock {
  /** Wall clock, Unix milliseconds. May step when the gateway's time is set. */
  nowMs(): number
  /** Milliseconds since an arbitrary start; never goes back. */
  monotonicMs(): number
  /** Calls `run` once after `delayMs` of monotonic time. */
  setTimer(run: () => void, delayMs: number): Timer
}

export interface Timer {
  cancel(): void
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer(run, delayMs) {
    const timer = setTimeout(run, Math.max(0, delayMs))
    return { cancel: () => clearTimeout(timer) }
  },
}

/** Resolves after `delayMs` on `clock`. */
export function sleep(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    clock.setTimer(resolve, delayMs)
  })
}

/** Settles as `work` does; rejects with `late()` where that takes longer than `timeoutMs`. */
export async function within<Result>(
  clock: Clock,
  timeoutMs: number,
  work: Promise<Result>,
  late: () => Error,
): Promise<Result> {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = clock.setTimer(() => reject(late()), timeoutMs)
  try {
    return await Promise.race([work, promise])
  } finally {
    timer.cancel()
  }
}

/** A clock that stands still until it is told to move; timers due run in order of their time. For tests and replays. */
export class ManualClock implements Clock {
  #nowMs: number
  #monotonicMs = 0
  #timers: { dueMs: number; order: number; run: () => void }[] = []
  #order = 0

  constructor(startMs = Date.UTC(2026, 0, 1)) {
    this.#nowMs = startMs
  }

  nowMs(): number {
    return this.#nowMs
  }

  monotonicMs(): number {
    return this.#monotonicMs
  }

  setTimer(run: () => void, delayMs: number): Timer {
    const timer = { dueMs: this.#monotonicMs + Math.max(0, delayMs), order: this.#order++, run }
    this.#timers.push(timer)
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== timer)
      },
    }
  }

  /** Moves both times on by `milliseconds`, running each timer that falls due at its own moment. */
  advance(milliseconds: number): void {
    const endMs = this.#monotonicMs + milliseconds
    for (;;) {
      const next = this.#timers
        .filter((timer) => timer.dueMs <= endMs)
        .sort((a, b) => a.dueMs - b.dueMs || a.order - b.order)[0]
      if (next === undefined) break
      this.#timers = this.#timers.filter((timer) => timer !== next)
      this.#move(next.dueMs)
      next.run()
    }
    this.#move(endMs)
  }

  /** Steps the wall clock alone, as NTP or an operator does. */
  step(milliseconds: number): void {
    this.#nowMs += milliseconds
  }

  #move(monotonicMs: number): void {
    this.#nowMs += monotonicMs - this.#monotonicMs
    this.#monotonicMs = monotonicMs
  }
}
