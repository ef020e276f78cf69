import { hash } from 'node:crypto'

/**
 * A map that remembers at least the last `entriesMax` keys set and at most twice as many; older ones are forgotten.
 * Keys are kept as 48 bits of their SHA-1: about 60 bytes an entry, and less than one chance in 10,000 that any two of
 * 200,000 keys are taken for one.
 */
export class RecentMap<Value> {
  readonly #entriesMax: number
  #current = new Map<number, Value>()
  #previous = new Map<number, Value>()

  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax
  }

  get(key: string): Value | undefined {
    const compact = compactKey(key)
    return this.#current.get(compact) ?? this.#previous.get(compact)
  }

  set(key: string, value: Value): void {
    if (this.#current.size >= this.#entriesMax) {
      this.#previous = this.#current
      this.#current = new Map()
    }
    this.#current.set(compactKey(key), value)
  }
}

/** Remembers keys; see RecentMap. */
export class RecentSet {
  readonly #keys: RecentMap<true>

  constructor(entriesMax: number) {
    this.#keys = new RecentMap(entriesMax)
  }

  has(key: string): boolean {
    return this.#keys.get(key) !== undefined
  }

  /** false where the key was there already. */
  add(key: string): boolean {
    if (this.has(key)) return false
    this.#keys.set(key, true)
    return true
  }
}

function compactKey(key: string): number {
  return hash('sha1', key, 'buffer').readUIntBE(0, 6)
}
