import { randomBytes } from 'node:crypto'
import type { Clock } from '@weir/lib/clock'
import { WeirError } from '@weir/lib/errors'
import type { Database, Statement } from './database.ts'
import type { GroupCommit } from './group-commit.ts'
import type { Destination, HubMessage, QueuedMessage } from './message.ts'
import { Queue, queueNumberMax, queueSpan } from './queue.ts'

export interface StoreEvents {
  /** Something is queued for this target. */
  available(target: string): void
  /** A message outlived its time and is gone. */
  expired(queued: QueuedMessage): void
}

export interface QueueLength {
  readonly target: string
  readonly input: string
  readonly priority: number
  readonly count: number
}

interface DeliveryRow {
  readonly id: number
  readonly input: string
  readonly expiresMs: number | null
  readonly message: number
  readonly head: string
  readonly body: Uint8Array
}

type MessageHead = Omit<HubMessage, 'body'>

/**
 * Messages on disk until they are delivered. Order is kept for each target and priority; the lowest number goes first.
 * A body is stored once, however many queues it waits in.
 */
export class MessageStore {
  readonly #commit: GroupCommit
  readonly #clock: Clock
  readonly #events: StoreEvents
  readonly #statements: Statements
  /** By target, each list by priority. */
  readonly #queues = new Map<string, Queue[]>()
  #queueNumbers = 0
  readonly #epoch: string
  #sequence: number

  constructor(database: Database, commit: GroupCommit, clock: Clock, events: StoreEvents) {
    this.#commit = commit
    this.#clock = clock
    this.#events = events
    this.#statements = prepare(database)
    this.#epoch = this.#readEpoch(database)
    this.#sequence = this.#readQueues(database)
  }

  /** Keeps `message` for every destination; `stored` is called once it is on disk, or with what prevents that. */
  put(message: HubMessage, destinations: readonly Destination[], stored: (error: WeirError | undefined) => void): void {
    if (this.#queueNumbers + destinations.length > queueNumberMax) {
      stored(new WeirError('QUEUE_FULL', `edge-hub: more than ${queueNumberMax} queues; remove its state folder`))
      return
    }
    const deliveries = destinations.map((destination) => {
      const queue = this.#queue(destination.target, destination.priority)
      this.#sequence++
      return { queue, destination, id: queue.number * queueSpan + this.#sequence, sequence: this.#sequence }
    })
    const messageId = this.#sequence
    this.#commit.write(
      () => this.#insert(messageId, message, deliveries),
      (error) => {
        if (error === undefined) {
          for (const { queue, id, sequence, destination } of deliveries) {
            queue.stored = true
            queue.append(id, this.#storeId(sequence), destination, message)
          }
        }
        stored(error)
        if (error === undefined) for (const { queue } of deliveries) this.#events.available(queue.target)
      },
    )
  }

  /**
   * The oldest messages of the highest priority that has any, `max` at most. They stay until `done`. Those that expired
   * are dropped on the way.
   */
  peek(target: string, max: number): QueuedMessage[] {
    for (const queue of this.#queues.get(target) ?? []) {
      if (queue.count === 0) continue
      const messages = this.#live(queue, max)
      if (messages.length > 0) return messages
      // All that was in memory expired: come back for more, and let others have their turn.
      if (queue.count > 0) {
        setImmediate(() => this.#events.available(target))
        return []
      }
    }
    return []
  }

  /** Highest priority with something queued for `target`. */
  highestPriority(target: string): number | undefined {
    return this.#queues.get(target)?.find((queue) => queue.count > 0)?.priority
  }

  /** The message was delivered: forgotten now, deleted from disk soon. */
  done(queued: QueuedMessage): void {
    const queue = this.#queues.get(queued.target)?.find(({ priority }) => priority === queued.priority)
    if (queue?.remove(queued) !== true) return
    this.#commit.later(() => {
      const row = this.#statements.deleteDelivery.get(queued.id)
      if (row === undefined) return
      if (row['shared'] === 0) this.#statements.deleteMessage.run(row['message'] ?? null)
      else this.#statements.deleteUnshared.run(row['message'] ?? null)
    })
  }

  lengths(): QueueLength[] {
    return [...this.#queues.values()]
      .flat()
      .flatMap(({ target, priority, countByInput }) =>
        Array.from(countByInput, ([input, count]) => ({ target, input, priority, count })),
      )
  }

  /** Drops what expired at the head of each queue, of targets too that never fetch. Call it now and then. */
  async sweep(): Promise<void> {
    for (const queue of [...this.#queues.values()].flat()) {
      while (queue.count > 0 && this.#live(queue, 1).length === 0) await new Promise(setImmediate)
    }
  }

  #live(queue: Queue, max: number): QueuedMessage[] {
    const { live, expired } = queue.first(max, this.#clock.nowMs())
    for (const queued of expired) {
      this.done(queued)
      this.#events.expired(queued)
    }
    return live
  }

  #insert(
    messageId: number,
    { body, ...head }: HubMessage,
    deliveries: readonly { readonly queue: Queue; readonly destination: Destination; readonly id: number }[],
  ): void {
    const { insertMessage, insertQueue, insertDelivery, setSequence } = this.#statements
    insertMessage.run(messageId, JSON.stringify(head), body)
    const shared = deliveries.length > 1 ? 1 : 0
    for (const { id, destination, queue } of deliveries) {
      if (!queue.stored) insertQueue.run(queue.number, queue.target, queue.priority)
      insertDelivery.run(id, messageId, destination.input, destination.expiresMs ?? null, shared)
    }
    setSequence.run(this.#sequence)
  }

  #queue(target: string, priority: number): Queue {
    const known = this.#queues.get(target)?.find((queue) => queue.priority === priority)
    return known ?? this.#addQueue(this.#queueNumbers + 1, target, priority)
  }

  #addQueue(number: number, target: string, priority: number): Queue {
    const queue = new Queue(number, target, priority, (after, upTo) => this.#read(queue, after, upTo))
    const queues = this.#queues.get(target) ?? []
    queues.push(queue)
    queues.sort((one, other) => one.priority - other.priority)
    this.#queues.set(target, queues)
    this.#queueNumbers = Math.max(this.#queueNumbers, number)
    return queue
  }

  *#read({ target, priority }: Queue, after: number, upTo: number): Iterable<QueuedMessage> {
    for (const row of this.#statements.readQueue.iterate(after, upTo) as Iterable<unknown>) {
      const { id, input, expiresMs, head, body } = row as DeliveryRow
      yield {
        id,
        storeId: this.#storeId(id % queueSpan),
        target,
        input,
        priority,
        expiresMs: expiresMs ?? undefined,
        message: { ...(JSON.parse(head) as MessageHead), body: Buffer.from(body.buffer, body.byteOffset, body.length) },
      }
    }
  }

  #storeId(sequence: number): string {
    return `${this.#epoch}-${sequence}`
  }

  #readEpoch(database: Database): string {
    const known = this.#statements.getMeta.get('epoch')?.['value']
    if (typeof known === 'string') return known
    const epoch = randomBytes(6).toString('base64url')
    database.transaction(() => this.#statements.setMeta.run('epoch', epoch))
    return epoch
  }

  /** Finds what waits. @returns the last sequence given out. */
  #readQueues(database: Database): number {
    for (const row of database.prepare('SELECT id, target, priority FROM queue').all()) {
      this.#addQueue(Number(row['id']), String(row['target']), Number(row['priority'])).stored = true
    }
    const byNumber = new Map([...this.#queues.values()].flat().map((queue) => [queue.number, queue]))
    const waiting = database.prepare(
      `SELECT id / ${queueSpan} AS number, input, count(*) AS messages, max(id) AS newest FROM delivery GROUP BY 1, 2`,
    )
    for (const row of waiting.all()) {
      byNumber.get(Number(row['number']))?.found(String(row['input']), Number(row['messages']), Number(row['newest']))
    }
    return Number(this.#statements.getMeta.get('sequence')?.['value'] ?? 0)
  }
}

type Statements = Readonly<Record<keyof typeof statements, Statement>>

const statements = {
  getMeta: 'SELECT value FROM meta WHERE name = ?',
  setMeta: 'INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)',
  setSequence: "INSERT OR REPLACE INTO meta (name, value) VALUES ('sequence', ?)",
  insertQueue: 'INSERT OR IGNORE INTO queue (id, target, priority) VALUES (?, ?, ?)',
  insertMessage: 'INSERT INTO message (id, head, body) VALUES (?, ?, ?)',
  insertDelivery: 'INSERT INTO delivery (id, message, input, expiresMs, shared) VALUES (?, ?, ?, ?, ?)',
  readQueue: `SELECT d.id, d.input, d.expiresMs, d.message, m.head, m.body
    FROM delivery d JOIN message m ON m.id = d.message WHERE d.id > ? AND d.id <= ? ORDER BY d.id`,
  deleteDelivery: 'DELETE FROM delivery WHERE id = ? RETURNING message, shared',
  deleteMessage: 'DELETE FROM message WHERE id = ?',
  deleteUnshared: `DELETE FROM message WHERE id = ?1
    AND NOT EXISTS (SELECT 1 FROM delivery WHERE message = ?1 AND shared = 1)`,
} as const

function prepare(database: Database): Statements {
  return Object.fromEntries(
    Object.entries(statements).map(([name, sql]) => [name, database.prepare(sql)]),
  ) as unknown as Statements
}
