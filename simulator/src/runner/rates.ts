/** How fast a growing count grows, over the last few seconds. */
export class Rate {
  readonly #windowMs: number
  readonly #samples: { atMs: number; count: number }[] = []

  constructor(windowMs: number) {
    this.#windowMs = windowMs
  }

  add(count: number, nowMs: number): void {
    this.#samples.push({ atMs: nowMs, count })
    // One sample at or before the window's begin stays, so that the window is whole.
    while ((this.#samples[1]?.atMs ?? Number.POSITIVE_INFINITY) <= nowMs - this.#windowMs) this.#samples.shift()
  }

  /** Per second; 0 before there are two samples. */
  get perS(): number {
    const first = this.#samples[0]
    const last = this.#samples.at(-1)
    if (first === undefined || last === undefined || last.atMs <= first.atMs) return 0
    return Math.max(0, ((last.count - first.count) * 1000) / (last.atMs - first.atMs))
  }
}
