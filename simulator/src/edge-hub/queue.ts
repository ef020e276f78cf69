import type { Destination, HubMessage, QueuedMessage } from './message.ts'

/** A queue owns the ids from its number * 2^40; the store counts sequences up to 2^40, one for each delivery. */
export const queueSpan = 2 ** 40
/** Ids stay below 2^53. */
export const queueNumberMax = 2 ** 13 - 1
/** What of a queue is in memory at most: so many messages, and about so many bytes. */
const windowMessagesMax = 128
const windowBytesMax = 2 * 1024 * 1024

/** Reads messages of a queue from disk: those with ids in (after, upTo], in order. */
export type ReadQueue = (after: number, upTo: number) => Iterable<QueuedMessage>

/**
 * Messages for one target with one priority, in order. They live on disk; a window of the oldest is in memory. While the
 * window holds all there is, new messages enter it straight from their commit, and live traffic is never read back.
 */
export class Queue {
  readonly number: number
  readonly target: string
  readonly priority: number
  /** Its own row is on disk. */
  stored = false
  /** Messages not yet done, and the same by input. */
  count = 0
  readonly countByInput = new Map<string, number>()
  readonly #read: ReadQueue
  /** In order of ids; an entry stays until it is done. */
  readonly #window = new Map<number, QueuedMessage>()
  #windowBytes = 0
  /** Ids up to this one were in the window; ids up to `#newest` are on disk. */
  #loaded: number
  #newest: number

  constructor(number: number, target: string, priority: number, read: ReadQueue) {
    this.number = number
    this.target = target
    this.priority = priority
    this.#read = read
    this.#loaded = number * queueSpan
    this.#newest = this.#loaded
  }

  /** Tells of messages found on disk when the store was opened. */
  found(input: string, messages: number, newest: number): void {
    this.#add(input, messages)
    this.#newest = Math.max(this.#newest, newest)
  }

  /** A message that is on disk now. Calls come in order of ids. */
  append(id: number, storeId: string, { target, input, priority, expiresMs }: Destination, message: HubMessage): void {
    this.#add(input, 1)
    if (this.#loaded === this.#newest && this.#hasRoom()) {
      this.#enter({ id, storeId, target, input, priority, expiresMs, message })
    }
    this.#newest = id
  }

  /**
   * The oldest messages that have not expired, `max` at most, and those that have expired before them. Looks at what is in
   * memory; reads from disk at most once.
   */
  first(max: number, nowMs: number): { readonly live: QueuedMessage[]; readonly expired: QueuedMessage[] } {
    if (this.#window.size < Math.min(max, this.count) && this.#loaded < this.#newest && this.#hasRoom()) this.#load()
    const live: QueuedMessage[] = []
    const expired: QueuedMessage[] = []
    for (const queued of this.#window.values()) {
      if (live.length >= max) break
      if (queued.expiresMs !== undefined && queued.expiresMs <= nowMs) expired.push(queued)
      else live.push(queued)
    }
    return { live, expired }
  }

  /** Forgets a message of the window. @returns false where it was done before. */
  remove(queued: QueuedMessage): boolean {
    if (!this.#window.delete(queued.id)) return false
    this.#windowBytes -= queued.message.body.length
    this.#add(queued.input, -1)
    return true
  }

  #load(): void {
    for (const queued of this.#read(this.#loaded, this.#newest)) {
      this.#enter(queued)
      if (!this.#hasRoom()) return
    }
    this.#loaded = this.#newest
  }

  #enter(queued: QueuedMessage): void {
    this.#window.set(queued.id, queued)
    this.#windowBytes += queued.message.body.length
    this.#loaded = queued.id
  }

  #hasRoom(): boolean {
    return this.#window.size < windowMessagesMax && this.#windowBytes < windowBytesMax
  }

  #add(input: string, messages: number): void {
    this.count += messages
    this.countByInput.set(input, (this.countByInput.get(input) ?? 0) + messages)
  }
}
