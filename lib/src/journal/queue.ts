/**
 * # Queue: a journal whose items are taken by priority and done in any order
 *
 * ## Constraints
 * - items wait in `bytesMax` bytes, each counted with its payload and 18 bytes
 * - the folder takes twice that, eight segments and 4 KiB, or less
 * - ten priorities: 0 goes first, 9 last, as in edge routes; within one, the order of `put`
 * - about 150 bytes of memory for an item; payloads stay on the disk
 *
 * ## On disk, in the terms of journal.ts
 * ```
 *   kind  1-10    an item of priority kind - 1; its sequence is its id
 *   kind 11-20    the same, moved here from an older segment: id u48, then the payload
 *   kind 21       done: id u48
 * ```
 * An item that is the oldest on the disk is done by a release mark, any other by a `done` record. The journal can only be
 * released from its start, so an item that waits long would hold back everything after it: when what is done takes more
 * room than items may, the oldest items are moved to the end, synced, and only then released where they were. A restart in
 * between finds an item twice and keeps the later copy; an item is never in no place.
 *
 * An item is delivered at least once: one that was done comes again if a power cut takes the mark.
 */

import { WeirError } from '../errors.ts'
import { headerBytes, recordHeaderBytes } from './format.ts'
import {
  type Journal,
  type JournalOptions,
  type JournalRecord,
  type JournalStats,
  type NewRecord,
  openJournal,
} from './journal.ts'
import { type Entry, Line, Order } from './queue-order.ts'

const priorities = 10
const itemKindFirst = 1
const movedKindFirst = itemKindFirst + priorities
const doneKind = movedKindFirst + priorities
const idBytes = 6
const itemOverheadBytes = recordHeaderBytes + idBytes
const segmentBytesMaxDefault = 4 * 2 ** 20
const journalSlackSegments = 8
const journalSlackBytes = 4096

export interface QueueOptions extends Omit<JournalOptions, 'bytesMax'> {
  /** Bytes that items may take, each its payload and 18 bytes. */
  readonly bytesMax: number
  /**
   * What `put` does when there is no room. `refuse`: throws `QUEUE_FULL`. `dropOldest`: drops items of the lowest priority,
   * the oldest first, but none that is more important than the new one and none that is taken; `QUEUE_FULL` if that is not
   * enough.
   */
  readonly whenFull: 'refuse' | 'dropOldest'
  /** Called with each item just before it is dropped, so that it can be counted and named. A throw keeps it. */
  readonly onDropped?: (item: QueueItem) => void
}

export interface QueueItem {
  /** Never given twice in a folder's life. Grows with each `put`. */
  readonly id: number
  readonly priority: number
  readonly payload: Buffer
}

export interface PutOptions {
  /** 0 (first) to 9 (last). */
  readonly priority: number
  /** true: return once it is on the disk. */
  readonly sync?: boolean
}

export interface QueueStats extends JournalStats {
  /** Not done, taken ones included. */
  readonly items: number
  readonly itemBytes: number
  /** Since opened. */
  readonly dropped: number
}

/** Opens the queue in `folder`; every item that is not done waits again. Errors as in `openJournal`. */
export function openQueue(options: QueueOptions): Queue {
  const { bytesMax } = options
  const segmentBytesMax = options.segmentBytesMax ?? Math.min(Math.floor(bytesMax / 8), segmentBytesMaxDefault)
  const journalBytesMax = 2 * bytesMax + journalSlackSegments * segmentBytesMax + journalSlackBytes
  const journal = openJournal({ ...options, segmentBytesMax, bytesMax: journalBytesMax })
  try {
    return new Queue(options, segmentBytesMax, journal)
  } catch (error) {
    journal.close()
    throw error
  }
}

/** An open queue; made by `openQueue`. Every method blocks until it is done. */
export class Queue {
  readonly #options: QueueOptions
  readonly #segmentBytesMax: number
  readonly #journal: Journal
  readonly #entries = new Map<number, Entry>()
  readonly #lines = Array.from({ length: priorities }, () => new Line())
  readonly #order = new Order()
  #itemBytes = 0
  #dropped = 0

  constructor(options: QueueOptions, segmentBytesMax: number, journal: Journal) {
    this.#options = options
    this.#segmentBytesMax = segmentBytesMax
    this.#journal = journal
    journal.replay((record) => this.#recover(record))
    for (const entry of [...this.#entries.values()].sort((a, b) => a.id - b.id)) {
      entry.state = 'waiting'
      this.#line(entry.priority).push(entry)
    }
  }

  /** Items that are not done, taken ones included. */
  get size(): number {
    return this.#entries.size
  }

  /** Why the queue takes nothing any more; the process has to stop. */
  get failure(): WeirError | undefined {
    return this.#journal.failure
  }

  /**
   * Stores an item and returns its id; it is then safe from the end of this process, however it ends.
   *
   * Throws `QUEUE_FULL`, `MESSAGE_TOO_LARGE` where it fits no segment, `STATE_UNWRITABLE` when the disk refuses. The item is
   * not stored then, unless `failure` is set: then it may be.
   */
  put(payload: Uint8Array, options: PutOptions): number {
    const { priority, sync = false } = options
    if (!Number.isInteger(priority) || priority < 0 || priority >= priorities) {
      throw new WeirError('INTERNAL', `queue ${this.#options.folder}: priority ${priority} is not within 0 and 9`)
    }
    const bytes = payload.length + itemOverheadBytes
    this.#makeRoom(bytes, priority)
    this.#compact()
    const id = this.#journal.append(itemKindFirst + priority, payload, { sync })
    this.#line(priority).push(this.#enter({ id, priority, bytes, sequence: id, state: 'waiting' }))
    return id
  }

  /** The next item by priority, then age, which is then taken: not given again before `putBack` or a restart. */
  take(): QueueItem | undefined {
    for (const line of this.#lines) {
      for (let entry = line.first(); entry !== undefined; entry = line.first()) {
        const item = this.#read(entry)
        if (item === undefined) {
          this.#finish(entry)
          continue
        }
        line.shift()
        entry.state = 'taken'
        return item
      }
    }
    return undefined
  }

  /** A taken item waits again, at its old place. */
  putBack(id: number): void {
    const entry = this.#entries.get(id)
    if (entry?.state !== 'taken') return
    entry.state = 'waiting'
    this.#line(entry.priority).putBack(entry)
  }

  /**
   * An item is finished with and does not come again, after the end of the process neither. In any order; an id that is
   * not there is ignored. Throws `STATE_UNWRITABLE` when the disk refuses; the item is not done then.
   */
  done(id: number): void {
    const entry = this.#entries.get(id)
    if (entry !== undefined) this.#finish(entry)
  }

  /** Brings everything to the disk now. Throws `STATE_UNWRITABLE`. */
  sync(): void {
    this.#journal.sync()
  }

  /** Syncs and lets go of the folder. */
  close(): void {
    this.#journal.close()
  }

  stats(): QueueStats {
    return {
      ...this.#journal.stats(),
      items: this.#entries.size,
      itemBytes: this.#itemBytes,
      dropped: this.#dropped,
    }
  }

  #line(priority: number): Line {
    const line = this.#lines[priority]
    if (line === undefined) throw new WeirError('INTERNAL', `queue ${this.#options.folder}: no priority ${priority}`)
    return line
  }

  #enter(entry: Entry): Entry {
    this.#entries.set(entry.id, entry)
    this.#order.push(entry)
    this.#itemBytes += entry.bytes
    return entry
  }

  #leave(entry: Entry): void {
    if (entry.state === 'waiting') this.#line(entry.priority).bytes -= entry.bytes
    entry.state = 'gone'
    this.#entries.delete(entry.id)
    this.#itemBytes -= entry.bytes
  }

  #recover({ sequence, kind, payload }: JournalRecord): void {
    if (kind > doneKind) {
      const text = `queue ${this.#options.folder}: record ${sequence} is of kind ${kind}, unknown to this version`
      throw new WeirError('STATE_NEWER', `${text}; upgrade, or move the folder away`)
    }
    const moved = kind >= movedKindFirst
    const id = moved ? payload.readUIntLE(0, idBytes) : sequence
    const entry = this.#entries.get(id)
    if (kind === doneKind) {
      if (entry !== undefined) this.#leave(entry)
    } else if (entry !== undefined) {
      entry.sequence = sequence
      this.#order.push(entry)
    } else {
      const priority = kind - (moved ? movedKindFirst : itemKindFirst)
      const bytes = payload.length + (moved ? recordHeaderBytes : itemOverheadBytes)
      this.#enter({ id, priority, bytes, sequence, state: 'taken' })
    }
  }

  /** undefined: its bytes are damaged, which the journal has reported. */
  #read({ id, priority, sequence }: Entry): QueueItem | undefined {
    const record = this.#journal.read(sequence, { recordsMax: 1, bytesMax: 1 })[0]
    if (record?.sequence !== sequence) return undefined
    return { id, priority, payload: record.kind >= movedKindFirst ? record.payload.subarray(idBytes) : record.payload }
  }

  #finish(entry: Entry): void {
    this.#compact()
    if (entry.state === 'gone') return
    if (entry === this.#order.first()) this.#releaseBefore(this.#order.second())
    else unlessFull(() => this.#journal.append(doneKind, encodeId(entry.id)))
    this.#leave(entry)
  }

  /** Everything before `entry` is done with; everything at all where there is none. */
  #releaseBefore(entry: Entry | undefined): void {
    this.#journal.release(entry === undefined ? this.#journal.lastSequence : entry.sequence - 1)
  }

  #makeRoom(bytes: number, priority: number): void {
    const { bytesMax, folder, whenFull } = this.#options
    const itemBytesMax = Math.min(bytesMax, this.#segmentBytesMax - headerBytes)
    if (bytes > itemBytesMax) {
      const text = `queue ${folder}: an item of ${bytes} bytes exceeds ${itemBytesMax}`
      throw new WeirError('MESSAGE_TOO_LARGE', `${text}; raise bytesMax or segmentBytesMax`)
    }
    const droppable = whenFull === 'dropOldest' ? this.#lines.slice(priority).reverse() : []
    const missingBytes = this.#itemBytes + bytes - bytesMax
    if (missingBytes > droppable.reduce((sum, line) => sum + line.bytes, 0)) {
      const text = `queue ${folder}: ${bytes} bytes more than the ${this.#itemBytes} of ${this.size} items`
      throw new WeirError(
        'QUEUE_FULL',
        `${text} exceed bytesMax ${bytesMax}; what gives way has to be counted and named`,
      )
    }
    for (const line of droppable) {
      for (let entry = line.first(); entry !== undefined; entry = line.first()) {
        if (this.#itemBytes + bytes <= bytesMax) return
        this.#drop(entry)
      }
    }
  }

  #drop(entry: Entry): void {
    const item = this.#read(entry)
    if (item !== undefined) {
      this.#options.onDropped?.(item)
      this.#dropped++
    }
    this.#finish(entry)
  }

  /** Moves the oldest items to the end while what is done takes more room than it may. */
  #compact(): void {
    const journal = this.#journal
    const bytesMax = 2 * Math.max(this.#options.bytesMax, this.#itemBytes) + 2 * this.#segmentBytesMax
    if (journal.bytes <= bytesMax) return
    journal.sync()
    while (journal.bytes > bytesMax) {
      const entries = this.#order.firstOnes(this.#segmentBytesMax / 2)
      if (entries.length === 0 || !unlessFull(() => this.#move(entries))) return
      // Only when the copies are on the disk may a power cut find their originals released.
      journal.sync()
      this.#releaseBefore(this.#order.first())
      journal.sync()
    }
  }

  #move(entries: readonly Entry[]): void {
    const readable: Entry[] = []
    const records: NewRecord[] = []
    for (const entry of entries) {
      const item = this.#read(entry)
      if (item === undefined) {
        this.#leave(entry)
        continue
      }
      readable.push(entry)
      const payload = Buffer.concat([encodeId(entry.id), item.payload])
      records.push({ kind: movedKindFirst + entry.priority, payload })
    }
    const first = this.#journal.appendMany(records)
    for (const [index, entry] of readable.entries()) {
      entry.sequence = first + index
      this.#order.push(entry)
    }
  }
}

/**
 * true: done. false: the folder is full, as it can be when its bounds were lowered or files cannot be deleted. What is done
 * is then remembered in memory until the front of the queue moves on, rather than refused.
 */
function unlessFull(append: () => void): boolean {
  try {
    append()
    return true
  } catch (error) {
    if (error instanceof WeirError && error.code === 'QUEUE_FULL') return false
    throw error
  }
}

function encodeId(id: number): Buffer {
  const bytes = Buffer.alloc(idBytes)
  bytes.writeUIntLE(id, 0, idBytes)
  return bytes
}
