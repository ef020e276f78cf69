/**
 * # Journal: an append-only record store on flash, for what a module has acknowledged and not yet passed on
 *
 * A module's listener runs before the hub gets its acknowledgement, so: `append`, then return. The record is then with the
 * operating system and survives `kill -9`; the next sync, at most `fsyncIntervalMs` later, carries it over a power cut too.
 *
 * ## Constraints
 * - the files of a journal take `bytesMax` bytes or fewer (64 more while a release that frees a segment is synced)
 * - a segment takes `segmentBytesMax` bytes or fewer: at most 8 MiB and a quarter of `bytesMax`
 * - a record takes 12 bytes plus its payload; a payload fits a segment and has fewer than 16 MiB
 * - sequences start at 1, stay below 2^53 and are contiguous, except that 2^20 of them are passed over where records may
 *   have been lost unseen (after a reboot, and after damage at the end) and one where a segment filled up with marks
 *   alone. No sequence is ever given twice
 * - at most 2^20 records are unsynced at any time
 * - 16 bytes of memory for 4 KiB of records; no record is held in memory
 * - one process at a time; the lock is the kernel's and ends with the process, however it ends
 *
 * ## On disk
 * ```
 *   folder/                        lock, and one file per segment, named by its first sequence
 *     lock
 *     0000000000000001.journal     sealed: never written again, deleted when all its records are released
 *     0000000000004096.journal
 *     0000000000008113.journal     active: appended to
 *
 *   segment    | header | record | record | mark | record | ...        little-endian throughout
 *
 *   header     0        8         10      16       24         32         40       56       60        64
 *              | WEIR   | version | 0     | first  | previous | released | boot   | 0      | CRC-32 |
 *              | JRNL   | u16     | u48   | u64    | u64      | u64      | 16 B   | u32    | of 0-60|
 *
 *   record     0        4                  8                 12
 *              | CRC-32 | length u24, kind | sequence - first | payload ... |
 *              | of 4.. | u8               | u32              |             |
 *
 *   mark       a record of kind 255; payload u64: everything up to that sequence is released
 * ```
 * `previous` is the last sequence given before this segment, `released` what was released when it was created, `boot` the
 * boot of the machine that wrote it. Record checksums start from the CRC-32 of the file's name: the loss of a header loses
 * no record, and bytes of a deleted segment that turn up in a reused block are not taken for records.
 *
 * A newer format version is refused by name before anything is touched. Every version keeps the header's length, version
 * field and checksum. An older one is read where it lies by its own scan, is never appended to, and goes as it is released.
 *
 * ## Append
 * One `write` for one record or a whole batch, at a known position. All or nothing: if it fails the file is cut back to
 * where it was, and if that fails too the journal fails for good (`failure`) and takes nothing more, since nobody knows what
 * its end looks like. The same when `fsync` fails, after which the system may have dropped what it could not write. The
 * process then stops, and the next one recovers. A batch never spans two segments.
 *
 * ## Read
 * By sequence, through an index with one entry for 4 KiB. Checksums are verified on every read.
 *
 * ## Release
 * `release(sequence)` appends a mark. A mark costs 20 bytes of a page that is being written anyway, where a file of its own,
 * replaced by rename, would cost a 4 KiB page and two directory updates each time. Where a mark does not fit the active
 * segment a new one is begun, whose header says the same; where it does not fit `bytesMax` the position is kept in memory
 * until a release frees a segment. A segment is deleted only after a sync that covers the mark which releases it. So a
 * released position may lag after a power cut (at least once) and after a kill of a full journal, is never ahead of what
 * was released, and a segment that is gone without a mark is known to be missing.
 *
 * ## Sync
 * A timer, armed by the first unsynced write and never while there is none, so that an idle journal leaves the flash alone;
 * or `sync: true`. It blocks for as long as the disk takes, and writes the last page of the file again if that was not
 * full: longer intervals cost less flash.
 *
 * ## Recovery
 * Every record is checked. What follows the last whole record of the last segment is a torn write and is cut off. Damage
 * elsewhere is passed over: lengths in it cannot be trusted, so the next record is the next position where checksum and
 * sequence fit. `previous` of the following segment tells what else is missing. All of it is reported, with sequences. Then
 * everything is synced: what `openJournal` returns survives a power cut.
 *
 * Numbering goes on in the same segment if the machine was not rebooted and the end is undamaged; otherwise in a new one,
 * 2^20 further on.
 */

import { join } from 'node:path'
import type { Timer } from '../clock.ts'
import { errorText, WeirError } from '../errors.ts'
import type { JournalEvent } from './event.ts'
import type { FileLock } from './file-system.ts'
import { encodeMark, encodeRecord, headerBytes, markBytes, recordHeaderBytes, userKindMax } from './format.ts'
import { type AppendOptions, checkSizes, type JournalOptions, type JournalStats, type NewRecord } from './options.ts'
import { type Recovered, recover, sequenceSkip } from './recovery.ts'
import { closeSegment, type JournalRecord, type ReadLimits, type Segment } from './segment.ts'
import { SegmentStore } from './store.ts'

export type { JournalEvent } from './event.ts'
export { journalEventText } from './event.ts'
export type { AppendOptions, JournalOptions, JournalStats, NewRecord } from './options.ts'
export type { JournalRecord, ReadLimits } from './segment.ts'

/** Kept free of records, so that a full journal can still be released bit by bit: 4 KiB, or 1/16 of a small journal. */
const markReserveBytesMax = 4096
const scratchBytes = 64 * 1024
const replayLimits: ReadLimits = { recordsMax: 4096, bytesMax: 2 ** 18 }

/**
 * Opens the journal in `folder`, creating it if missing, and recovers what it holds.
 *
 * Throws `STATE_LOCKED` while another process holds it, `STATE_NEWER` on a newer format, `CONFIG_REFUSED` on sizes that do
 * not fit each other, `STATE_UNWRITABLE` when the disk refuses. Damage is reported through `onEvent` and never throws.
 */
export function openJournal(options: JournalOptions): Journal {
  const { folder, fileSystem } = options
  const segmentBytesMax = checkSizes(options)
  let lock: FileLock | undefined
  let segments: readonly Segment[] = []
  try {
    fileSystem.makeFolder(folder)
    lock = fileSystem.lock(join(folder, 'lock'))
    if (lock === undefined) {
      throw new WeirError('STATE_LOCKED', `journal ${folder}: another process holds it; end that one first`)
    }
    const recovered = recover(fileSystem, folder)
    segments = recovered.segments
    return new Journal(options, segmentBytesMax, lock, recovered)
  } catch (error) {
    for (const segment of segments) closeSegment(fileSystem, segment)
    lock?.release()
    if (error instanceof WeirError) throw error
    const text = `journal ${folder}: cannot be opened (${errorText(error)}); check the disk and the folder's permissions`
    throw new WeirError('STATE_UNWRITABLE', text, { cause: error })
  }
}

/** An open journal; made by `openJournal`. Every method blocks until it is done. */
export class Journal {
  readonly #options: JournalOptions
  readonly #segmentBytesMax: number
  readonly #lock: FileLock
  readonly #store: SegmentStore
  #active: Segment
  #scratch = Buffer.allocUnsafe(scratchBytes)
  #timer: Timer | undefined
  #unsyncedSinceMs: number | undefined
  #unsyncedRecords = 0
  #closed = false
  #counts = { appended: 0, released: 0, corruptRecords: 0, tornBytes: 0 }

  constructor(options: JournalOptions, segmentBytesMax: number, lock: FileLock, recovered: Recovered) {
    const { folder, fileSystem } = options
    const { segments, lastSequence, releasedSequence } = recovered
    this.#options = options
    this.#segmentBytesMax = segmentBytesMax
    this.#lock = lock
    this.#store = new SegmentStore(folder, fileSystem, segments, releasedSequence, (event) => this.#report(event))
    for (const event of recovered.events) this.#report(event)
    const skip = segments.length === 0 ? 0 : sequenceSkip
    const last = recovered.resumable ? this.#store.resume() : undefined
    const previous = segments.at(-1)?.lastGivenSequence ?? 0
    this.#active = last ?? this.#store.begin(previous, lastSequence + skip + 1, releasedSequence)
    this.sync()
  }

  /** The last sequence given or passed over; 0 before the first. */
  get lastSequence(): number {
    return this.#active.nextSequence - 1
  }

  /** Everything up to here is done with. */
  get releasedSequence(): number {
    return this.#store.releasedSequence
  }

  /** Bytes of all files. */
  get bytes(): number {
    return this.#store.bytes
  }

  /** Why the journal takes nothing any more. */
  get failure(): WeirError | undefined {
    return this.#store.failure
  }

  /**
   * Stores one record and returns its sequence; it is then safe from the end of this process, however it ends.
   *
   * On error nothing is stored, unless `failure` is set afterwards: then it may be. Throws `QUEUE_FULL` at `bytesMax`,
   * `MESSAGE_TOO_LARGE` where it fits no segment, `STATE_UNWRITABLE` when the disk refuses.
   */
  append(kind: number, payload: Uint8Array, options?: AppendOptions): number {
    return this.appendMany([{ kind, payload }], options)
  }

  /**
   * Stores all of `records` by one write, or none; returns the sequence of the first, or for an empty batch the next one to
   * be given. Errors as in `append`.
   */
  appendMany(records: readonly NewRecord[], options?: AppendOptions): number {
    this.#assertUsable()
    if (records.length === 0) return this.#active.nextSequence
    const bytes = this.#batchBytes(records)
    this.#makeRoom(bytes, records.length)
    const segment = this.#active
    const firstSequence = segment.nextSequence
    if (this.#scratch.length < bytes) this.#scratch = Buffer.allocUnsafe(bytes)
    let end = 0
    let offset = firstSequence - segment.firstSequence
    for (const { kind, payload } of records) {
      end = encodeRecord(this.#scratch, end, segment.seed, kind, offset++, payload)
    }
    const sync = options?.sync === true
    let position = this.#store.append(this.#scratch, end, sync)
    for (const { payload } of records) {
      segment.note(segment.nextSequence, position)
      position += recordHeaderBytes + payload.length
    }
    this.#counts.appended += records.length
    if (sync) this.#noteSynced()
    else this.#noteUnsynced(records.length)
    return firstSequence
  }

  /**
   * Up to `recordsMax` records of `bytesMax` payload bytes, at least one where there is one, from `fromSequence` on; what is
   * damaged is passed over and reported. Released records may be gone or not. Throws `STATE_UNWRITABLE` when the disk
   * cannot be read.
   */
  read(fromSequence: number, limits: ReadLimits): JournalRecord[] {
    return this.#store.read(fromSequence, limits)
  }

  /** Calls `visit` with every record that is not released, in order: what a module takes up again after a restart. */
  replay(visit: (record: JournalRecord) => void): void {
    for (let from = this.releasedSequence + 1; ; ) {
      const records = this.read(from, replayLimits)
      const last = records.at(-1)
      if (last === undefined) return
      for (const record of records) visit(record)
      from = last.sequence + 1
    }
  }

  /**
   * Marks every record up to `throughSequence` as done. Survives the end of the process as `append` does; goes on the disk
   * with the next sync. Does nothing for what is released already. Throws `STATE_UNWRITABLE`; nothing is released then.
   */
  release(throughSequence: number): void {
    this.#assertUsable()
    const store = this.#store
    if (throughSequence <= store.releasedSequence) return
    if (throughSequence > this.lastSequence) {
      const text = `journal ${this.#options.folder}: release of ${throughSequence} is after the last record`
      throw new WeirError('INTERNAL', `${text} ${this.lastSequence}`)
    }
    this.#mark(throughSequence)
    this.#counts.released += store.countBetween(store.releasedSequence, throughSequence)
    store.releasedSequence = throughSequence
    if (store.bytes > this.#options.bytesMax) this.sync()
  }

  /**
   * Brings everything to the disk now, and deletes segments that are released. Throws `STATE_UNWRITABLE`; the journal has
   * then failed for good.
   */
  sync(): void {
    this.#assertUsable()
    this.#store.sync()
    this.#noteSynced()
  }

  /** Syncs, closes the files and gives the lock back. Throws what `sync` throws, closed all the same. */
  close(): void {
    if (this.#closed) return
    try {
      if (this.failure === undefined) this.sync()
    } finally {
      this.#closed = true
      this.#timer?.cancel()
      this.#store.close()
      this.#lock.release()
    }
  }

  stats(): JournalStats {
    const { bytes, segments, fsyncs, writtenBytes, releasedSequence } = this.#store
    const sinceMs = this.#unsyncedSinceMs
    return {
      ...this.#counts,
      records: this.#store.countBetween(releasedSequence, this.lastSequence),
      bytes,
      segments: segments.length,
      fsyncs,
      writtenBytes,
      unsyncedMs: sinceMs === undefined ? 0 : this.#options.clock.monotonicMs() - sinceMs,
    }
  }

  #assertUsable(): void {
    if (this.failure !== undefined) throw this.failure
    if (this.#closed) throw new WeirError('INTERNAL', `journal ${this.#options.folder}: used after it was closed`)
  }

  #batchBytes(records: readonly NewRecord[]): number {
    let bytes = 0
    for (const { kind, payload } of records) {
      if (!Number.isInteger(kind) || kind < 1 || kind > userKindMax) {
        const text = `journal ${this.#options.folder}: record kind ${kind} is not within 1 and ${userKindMax}`
        throw new WeirError('INTERNAL', text)
      }
      bytes += recordHeaderBytes + payload.length
    }
    const bytesMax = this.#segmentBytesMax - headerBytes
    if (bytes > bytesMax) {
      const text = `journal ${this.#options.folder}: ${records.length} records of ${bytes} bytes exceed the ${bytesMax}`
      throw new WeirError('MESSAGE_TOO_LARGE', `${text} of a segment; append less at once or raise segmentBytesMax`)
    }
    return bytes
  }

  /** Makes the active segment one that `bytes` more fit in, with `bytesMax` kept. */
  #makeRoom(bytes: number, records: number): void {
    const { bytesMax, folder } = this.#options
    const store = this.#store
    const begins = this.#active.bytes + bytes > this.#segmentBytesMax
    const reserveBytes = Math.min(markReserveBytesMax, Math.floor(bytesMax / 16))
    const neededBytes = bytes + reserveBytes + (begins ? headerBytes : 0)
    if (store.bytes + neededBytes > bytesMax && store.hasRemovable()) this.sync()
    if (store.bytes + neededBytes > bytesMax) {
      const text = `journal ${folder}: ${bytes} bytes more than the ${store.bytes} held exceed bytesMax ${bytesMax}`
      throw new WeirError('QUEUE_FULL', `${text} less ${reserveBytes} kept for marks; release records first`)
    }
    if (this.#unsyncedRecords + records > sequenceSkip) this.sync()
    if (begins) this.#beginNext(store.releasedSequence)
  }

  #beginNext(releasedSequence: number): void {
    const active = this.#active
    // A segment full of marks and without a record already has the name of the next sequence.
    const first = active.isEmpty ? active.nextSequence + 1 : active.nextSequence
    this.#active = this.#store.begin(active.lastGivenSequence, first, releasedSequence)
    this.#armTimer()
  }

  /** Leaves out a mark that has no room, unless it frees a segment: none is ever deleted without one. */
  #mark(throughSequence: number): void {
    const active = this.#active
    const store = this.#store
    const fits = active.bytes + markBytes <= this.#segmentBytesMax
    const oldest = store.segments.find((one) => one !== active || !fits)
    const frees = oldest !== undefined && oldest.lastSequence <= throughSequence
    if (store.bytes + (fits ? markBytes : headerBytes) > this.#options.bytesMax && !frees) return
    if (!fits) this.#beginNext(throughSequence)
    else {
      const offset = active.nextSequence - active.firstSequence
      store.append(this.#scratch, encodeMark(this.#scratch, active.seed, offset, throughSequence), false)
      this.#armTimer()
    }
  }

  #noteUnsynced(records: number): void {
    this.#unsyncedRecords += records
    this.#unsyncedSinceMs ??= this.#options.clock.monotonicMs()
    this.#armTimer()
  }

  #noteSynced(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#unsyncedSinceMs = undefined
    this.#unsyncedRecords = 0
  }

  #armTimer(): void {
    this.#timer ??= this.#options.clock.setTimer(() => {
      this.#timer = undefined
      try {
        this.sync()
      } catch {
        // Reported as an event; the next append throws it.
      }
    }, this.#options.fsyncIntervalMs)
  }

  #report(event: JournalEvent): void {
    if (event.type === 'tornTail') this.#counts.tornBytes += event.bytes
    if (event.type === 'damaged' || event.type === 'missing') this.#counts.corruptRecords += event.records
    this.#options.onEvent?.(event)
  }
}
