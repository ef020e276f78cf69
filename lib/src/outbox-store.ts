import type { OutputMessage } from './hub.ts'

/** A message in the outbox; `id` rises with the order in which messages were published. */
export interface StoredMessage {
  readonly id: number
  readonly message: OutputMessage
  readonly urgent: boolean
  readonly bytes: number
}

/** Where messages wait for the hub: urgent ones in a lane of their own, each lane in its order. */
export interface OutboxStore {
  /** Messages held, taken ones included, and their bytes. */
  readonly messages: number
  readonly bytes: number
  append(message: OutputMessage, urgent: boolean): void
  /** The next message not yet taken, urgent ones first; it stays until `done`. */
  take(): StoredMessage | undefined
  /** What was taken and not done waits again, in its old place. */
  giveBack(): void
  done(id: number): void
  /** Gives up the oldest message that is neither urgent nor taken; where only urgent ones wait, the oldest of them. */
  dropOldest(): StoredMessage | undefined
}

/** Bytes that a message is counted with: its body, its properties and what holding it costs. */
export function heldBytes(message: OutputMessage): number {
  let bytes = 200 + message.body.length
  for (const [name, value] of Object.entries(message.properties)) bytes += name.length + value.length
  return bytes
}

class Lane {
  #items: StoredMessage[] = []
  #head = 0

  push(item: StoredMessage): void {
    this.#items.push(item)
  }

  shift(): StoredMessage | undefined {
    const item = this.#items[this.#head]
    if (item === undefined) return undefined
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

export class MemoryOutboxStore implements OutboxStore {
  readonly #urgent = new Lane()
  readonly #normal = new Lane()
  readonly #taken = new Map<number, StoredMessage>()
  #id = 0
  #messages = 0
  #bytes = 0

  get messages(): number {
    return this.#messages
  }

  get bytes(): number {
    return this.#bytes
  }

  append(message: OutputMessage, urgent: boolean): void {
    const item = { id: this.#id++, message, urgent, bytes: heldBytes(message) }
    this.#messages += 1
    this.#bytes += item.bytes
    ;(urgent ? this.#urgent : this.#normal).push(item)
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

  dropOldest(): StoredMessage | undefined {
    const item = this.#normal.shift() ?? this.#urgent.shift()
    if (item !== undefined) this.#release(item)
    return item
  }

  #release(item: StoredMessage): void {
    this.#messages -= 1
    this.#bytes -= item.bytes
  }
}
