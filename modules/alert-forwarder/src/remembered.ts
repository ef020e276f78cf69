/** A set of names that holds the newest `max`: the oldest are forgotten first. */
export class Remembered {
  readonly #names: Set<string>
  #max: number

  constructor(max: number, names: Iterable<string> = []) {
    this.#max = max
    this.#names = new Set(names)
    this.#trim()
  }

  has(name: string): boolean {
    return this.#names.has(name)
  }

  add(name: string): void {
    this.#names.add(name)
    this.#trim()
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
