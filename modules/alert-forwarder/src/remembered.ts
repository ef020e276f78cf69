/** A set of names that holds the newest `max`: the oldest are forgotten first. */
export class Remembered {
  readonly #names: Set<string>
  #max: number

  constructor(max: number, names: Iterable<string> = []) {
    this.#max = max
    this.#names = new Set(names)
    this.#trim()
  }

  /** Adds `name`; false when it was there. */
  add(name: string): boolean {
    if (this.#names.has(name)) return false
    this.#names.add(name)
    this.#trim()
    return true
  }

  resize(max: number): void {
    this.#max = max
    this.#trim()
  }

  get size(): number {
    return this.#names.size
  }

  /** Oldest first. */
  names(): string[] {
    return [...this.#names]
  }

  #trim(): void {
    for (const name of this.#names) {
      if (this.#names.size <= this.#max) return
      this.#names.delete(name)
    }
  }
}
