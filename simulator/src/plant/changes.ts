/** The latest changes of one signal: when its registers changed, and to what. A ring of fixed size. */
export class ChangeRing {
  readonly #timesMs: Float64Array
  readonly #values: Float64Array
  #count = 0

  constructor(changesMax: number) {
    this.#timesMs = new Float64Array(changesMax)
    this.#values = new Float64Array(changesMax)
  }

  add(timeMs: number, value: number): void {
    const at = this.#count % this.#timesMs.length
    this.#timesMs[at] = timeMs
    this.#values[at] = value
    this.#count++
  }

  /** Unix milliseconds of the latest change up to `untilMs` that made the value `value`, give or take `tolerance`. */
  find(value: number, tolerance: number, untilMs: number): number | undefined {
    const oldest = Math.max(0, this.#count - this.#timesMs.length)
    for (let index = this.#count - 1; index >= oldest; index--) {
      const at = index % this.#timesMs.length
      const timeMs = this.#timesMs[at] ?? Number.NaN
      if (timeMs <= untilMs && Math.abs((this.#values[at] ?? Number.NaN) - value) <= tolerance) return timeMs
    }
    return undefined
  }
}
