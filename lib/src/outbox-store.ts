import type { OutputMessage } from './hub.ts'

/** A message in the outbox. */
export interface StoredMessage {
  readonly id: number
  readonly message: OutputMessage
  readonly urgent: boolean
}

/** What gave way because the queue was full. */
export type Dropped = (message: OutputMessage) => void

/** Where messages wait for the hub: urgent ones in a lane of their own, each lane in the order of `append`. */
export interface OutboxStore {
  /** Messages that are not done, taken ones included, and their bytes. */
  readonly messages: number
  readonly bytes: number
  /** How long the oldest message that a power cut would cost has waited for the disk; 0: none would be lost. */
  readonly unsyncedMs: number
  /**
   * Stores a message; where there is no room the oldest give way, urgent ones last. Throws QUEUE_FULL where that is not
   * enough, STATE_UNWRITABLE where the disk refuses.
   */
  append(message: OutputMessage, urgent: boolean): void
  /** The next message not yet taken, urgent ones first; it stays until `done`. */
  take(): StoredMessage | undefined
  /** What was taken and is not done waits again, in its old place. */
  giveBack(): void
  /** Throws STATE_UNWRITABLE. */
  done(id: number): void
  /** Brings to the disk what a power cut would cost. Throws STATE_UNWRITABLE. */
  sync(): void
  /** The hub takes nothing now: whatever is only in memory goes to the disk, where there is one. Throws STATE_UNWRITABLE. */
  away(): void
  /** Leaves on the disk what is there. */
  close(): void
}

/** What holding a message costs beside its bytes. */
const overheadBytes = 200

/** Bytes that a message is counted with: its body, its properties and what holding it costs. */
export function heldBytes(message: OutputMessage): number {
  let bytes = overheadBytes + message.body.length
  for (const [name, value] of Object.entries(message.properties)) bytes += name.length + value.length
  return bytes
}

class Lane {
  #items: (StoredMessage | undefined)[] = []
  #head = 0

  push(item: StoredMessage): void {
    this.#items.push(item)
  }

  shift(): StoredMessage | undefined {
    const item = this.#items[this.#head]
    if (item === undefined) return undefined
    // Its place is kept for a while; the message, with its body, is not.
    this.#items[this.#head] = undefined
    this.#head += 1
    if (this.#head > 1024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
    return item
  }

  /** Puts items, in their order, before all others. */
  unshift(items: readonly StoredMessage[]): void {
    this.#items = [...items, ...this.#items.slice(this.#head)]
    this.#head = 0
  }
}

/** Messages in memory only. */
export class MemoryOutboxStore implements OutboxStore {
  readonly #bytesMax: number
  readonly #onDropped: Dropped
  readonly #urgent = new Lane()
  readonly #normal = new Lane()
  readonly #taken = new Map<number, StoredMessage>()
  #id = 0
  #messages = 0
  #bytes = 0

  constructor(bytesMax: number, onDropped: Dropped) {
    this.#bytesMax = bytesMax
    this.#onDropped = onDropped
  }

  get messages(): number {
    return this.#messages
  }

  get bytes(): number {
    return this.#bytes
  }

  get unsyncedMs(): number {
    return 0
  }

  append(message: OutputMessage, urgent: boolean): void {
    const item = { id: this.#id++, message, urgent }
    this.#messages += 1
    this.#bytes += heldBytes(message)
    ;(urgent ? this.#urgent : this.#normal).push(item)
    while (this.#bytes > this.#bytesMax) {
      const oldest = this.#normal.shift() ?? this.#urgent.shift()
      if (oldest === undefined) return
      this.#release(oldest)
      this.#onDropped(oldest.message)
    }
  }

  take(): StoredMessage | undefined {
    const item = this.#urgent.shift() ?? this.#normal.shift()
    if (item !== undefined) this.#taken.set(item.id, item)
    return item
  }

  giveBack(): void {
    const items = [...this.#taken.values()].sort((a, b) => a.id - b.id)
    this.#taken.clear()
    this.#urgent.unshift(items.filter((item) => item.urgent))
    this.#normal.unshift(items.filter((item) => !item.urgent))
  }

  done(id: number): void {
    const item = this.#taken.get(id)
    if (item === undefined) return
    this.#taken.delete(id)
    this.#release(item)
  }

  sync(): void {}

  away(): void {}

  close(): void {}

  #release(item: StoredMessage): void {
    this.#messages -= 1
    this.#bytes -= heldBytes(item.message)
  }
}
