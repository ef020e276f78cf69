/** An item of a queue as it is held in memory; its payload stays on the disk. */
export interface Entry {
  readonly id: number
  readonly priority: number
  /** What it counts against the bound. */
  readonly bytes: number
  /** Where it lies now; after a move no longer its id. */
  sequence: number
  state: 'waiting' | 'taken' | 'gone'
}

/** Slots left behind at the front of a list before it is cut: few enough to waste little, enough to cut seldom. */
const staleSlotsMax = 1024

/** The waiting items of one priority, by id. Items that are gone are passed over. */
export class Line {
  /** Of the waiting items. */
  bytes = 0
  #entries: Entry[] = []
  #head = 0
  /** Given back, oldest first; all of them older than any in `#entries`, since those are taken in order. */
  #returned: Entry[] = []

  push(entry: Entry): void {
    this.#entries.push(entry)
    this.bytes += entry.bytes
  }

  putBack(entry: Entry): void {
    const index = this.#returned.findIndex((other) => other.id > entry.id)
    this.#returned.splice(index < 0 ? this.#returned.length : index, 0, entry)
    this.bytes += entry.bytes
  }

  /** The oldest waiting item. */
  first(): Entry | undefined {
    while (this.#returned[0]?.state === 'gone') this.#returned.shift()
    if (this.#returned[0] !== undefined) return this.#returned[0]
    while (this.#entries[this.#head]?.state === 'gone') this.#step()
    return this.#entries[this.#head]
  }

  /** Takes the oldest waiting item out of the line. */
  shift(): Entry | undefined {
    const entry = this.first()
    if (entry === undefined) return undefined
    this.bytes -= entry.bytes
    if (this.#returned[0] === entry) this.#returned.shift()
    else this.#step()
    return entry
  }

  #step(): void {
    this.#head++
    if (this.#head < staleSlotsMax || this.#head < this.#entries.length / 2) return
    this.#entries = this.#entries.slice(this.#head)
    this.#head = 0
  }
}

/** All items by where they lie on the disk. An item that was moved has a slot for each place; only the last one counts. */
export class Order {
  #entries: Entry[] = []
  #sequences: number[] = []
  #head = 0

  /** Takes note that an item now lies at `entry.sequence`, which is after all others. */
  push(entry: Entry): void {
    this.#entries.push(entry)
    this.#sequences.push(entry.sequence)
  }

  /** The item nearest to the start of the journal. */
  first(): Entry | undefined {
    this.#head = this.#next(this.#head)
    if (this.#head >= staleSlotsMax && this.#head >= this.#entries.length / 2) {
      this.#entries = this.#entries.slice(this.#head)
      this.#sequences = this.#sequences.slice(this.#head)
      this.#head = 0
    }
    return this.#entries[this.#head]
  }

  /** The item after `first()`. */
  second(): Entry | undefined {
    return this.first() === undefined ? undefined : this.#entries[this.#next(this.#head + 1)]
  }

  /** Items from the start on that take `bytesMax` together, at least one. */
  firstOnes(bytesMax: number): Entry[] {
    const entries: Entry[] = []
    this.first()
    let bytes = 0
    for (let slot = this.#next(this.#head); ; slot = this.#next(slot + 1)) {
      const entry = this.#entries[slot]
      if (entry === undefined) return entries
      bytes += entry.bytes
      if (bytes > bytesMax && entries.length > 0) return entries
      entries.push(entry)
    }
  }

  #next(from: number): number {
    let slot = from
    for (let entry = this.#entries[slot]; entry !== undefined; entry = this.#entries[++slot]) {
      if (entry.state !== 'gone' && entry.sequence === this.#sequences[slot]) break
    }
    return slot
  }
}
