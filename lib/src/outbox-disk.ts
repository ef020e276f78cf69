import type { Clock } from './clock.ts'
import { errorText, WeirError } from './errors.ts'
import type { OutputMessage } from './hub.ts'
import { journalEventText } from './journal/event.ts'
import { type FileSystem, nodeFileSystem } from './journal/file-system.ts'
import { openQueue, type Queue } from './journal/queue.ts'
import type { Log } from './log.ts'
import { type Dropped, heldBytes, MemoryOutboxStore, type OutboxStore, type StoredMessage } from './outbox-store.ts'

/** Priorities in the queue of journal/queue.ts, by age: what was in flight is older than what waited in memory. */
const priorities = { urgent: 0, wasInflight: 3, wasInMemory: 4, normal: 5 } as const
type Priority = (typeof priorities)[keyof typeof priorities]

const headerLengthBytes = 4

/** A message as the queue holds it: length of the header (u32), header (JSON), body. */
export function encodeMessage({ output, messageId, properties, body }: OutputMessage): Buffer {
  const header = Buffer.from(JSON.stringify({ output, messageId, properties }))
  const length = Buffer.allocUnsafe(headerLengthBytes)
  length.writeUInt32LE(header.length)
  return Buffer.concat([length, header, body])
}

/** Throws STATE_DAMAGED. */
export function decodeMessage(payload: Buffer): OutputMessage {
  try {
    const bodyStart = headerLengthBytes + payload.readUInt32LE()
    const text = payload.toString('utf8', headerLengthBytes, bodyStart)
    const header = JSON.parse(text) as Omit<OutputMessage, 'body'>
    return { ...header, body: payload.subarray(bodyStart) }
  } catch (error) {
    throw new WeirError('STATE_DAMAGED', `outbox: a message cannot be read: ${errorText(error)}`, { cause: error })
  }
}

export interface DiskOutboxOptions {
  readonly folder: string
  readonly bytesMax: number
  readonly fsyncIntervalMs: number
  readonly clock: Clock
  readonly log: Log
  readonly fileSystem?: FileSystem
  onDropped: Dropped
}

/** Messages with the system before `append` returns: safe from the end of the process, and after `sync` from a power cut. */
export class DiskOutboxStore implements OutboxStore {
  readonly #queue: Queue
  readonly #log: Log
  readonly #taken = new Set<number>()

  /** Throws STATE_LOCKED, STATE_NEWER, STATE_UNWRITABLE. */
  constructor(options: DiskOutboxOptions) {
    const { folder, bytesMax, fsyncIntervalMs, clock, log, onDropped } = options
    this.#log = log
    this.#queue = openQueue({
      folder,
      bytesMax,
      fsyncIntervalMs,
      clock,
      fileSystem: options.fileSystem ?? nodeFileSystem,
      whenFull: 'dropOldest',
      onDropped: ({ payload }) => onDropped(decodeMessage(payload)),
      onEvent: (event) => log.warning(`outbox: ${journalEventText(event)}`),
    })
  }

  get messages(): number {
    return this.#queue.size
  }

  get bytes(): number {
    return this.#queue.stats().itemBytes
  }

  get unsyncedMs(): number {
    return this.#queue.stats().unsyncedMs
  }

  append(message: OutputMessage, urgent: boolean): void {
    this.put(message, urgent ? priorities.urgent : priorities.normal)
  }

  put(message: OutputMessage, priority: Priority): void {
    this.#queue.put(encodeMessage(message), { priority })
  }

  take(): StoredMessage | undefined {
    for (let item = this.#queue.take(); item !== undefined; item = this.#queue.take()) {
      try {
        const message = decodeMessage(item.payload)
        this.#taken.add(item.id)
        return { id: item.id, message, urgent: item.priority === priorities.urgent }
      } catch (error) {
        this.#log.error(errorText(error))
        this.#queue.done(item.id)
      }
    }
    return undefined
  }

  giveBack(): void {
    for (const id of this.#taken) this.#queue.putBack(id)
    this.#taken.clear()
  }

  done(id: number): void {
    this.#taken.delete(id)
    this.#queue.done(id)
  }

  sync(): void {
    this.#queue.sync()
  }

  away(): void {}

  close(): void {
    this.#queue.close()
  }
}

/** What the hub takes quickly never touches the disk; what it does not take goes there, in its order. */
export class SpillingOutboxStore implements OutboxStore {
  readonly #disk: DiskOutboxStore
  readonly #memory: MemoryOutboxStore
  readonly #memoryBytesMax: number
  /** Until everything older has left, new messages queue behind it on the disk. */
  #isAway = true
  /** The newest message of memory that was ever in flight. */
  #takenThrough = -1

  constructor(disk: DiskOutboxStore, memoryBytesMax: number) {
    this.#disk = disk
    this.#memoryBytesMax = memoryBytesMax
    this.#memory = new MemoryOutboxStore(Number.POSITIVE_INFINITY, () => {})
  }

  get messages(): number {
    return this.#memory.messages + this.#disk.messages
  }

  get bytes(): number {
    return this.#memory.bytes + this.#disk.bytes
  }

  get unsyncedMs(): number {
    return this.#disk.unsyncedMs
  }

  append(message: OutputMessage, urgent: boolean): void {
    const full = this.#memory.bytes + heldBytes(message) > this.#memoryBytesMax
    if (full && !this.#isAway) this.#spill()
    // Whatever is on the disk is older: a newer message in memory would overtake it.
    if (full || this.#isAway || this.#disk.messages > 0) this.#disk.append(message, urgent)
    else this.#memory.append(message, urgent)
  }

  /** What is in memory is older than what is on the disk. Ids are even there, odd here. */
  take(): StoredMessage | undefined {
    const kept = this.#memory.take()
    if (kept !== undefined) {
      this.#takenThrough = Math.max(this.#takenThrough, kept.id)
      return { ...kept, id: kept.id * 2 }
    }
    const stored = this.#disk.take()
    if (stored !== undefined) return { ...stored, id: stored.id * 2 + 1 }
    this.#isAway = false
    return undefined
  }

  giveBack(): void {
    this.#memory.giveBack()
    this.#disk.giveBack()
  }

  done(id: number): void {
    if (id % 2 === 0) this.#memory.done(id / 2)
    else this.#disk.done((id - 1) / 2)
  }

  sync(): void {
    this.#disk.sync()
  }

  away(): void {
    this.#isAway = true
    this.#spill()
  }

  close(): void {
    this.#memory.giveBack()
    this.#spill()
    this.#disk.close()
  }

  /** Moves what waits in memory to the disk, ahead of what came there while it waited. */
  #spill(): void {
    for (let item = this.#memory.take(); item !== undefined; item = this.#memory.take()) {
      const aged = item.id <= this.#takenThrough ? priorities.wasInflight : priorities.wasInMemory
      this.#disk.put(item.message, item.urgent ? priorities.urgent : aged)
      this.#memory.done(item.id)
    }
  }
}
