import { errorText, WeirError } from '../errors.ts'
import type { JournalEvent } from './event.ts'
import type { FileSystem } from './file-system.ts'
import { type Damage, formatVersion, headerBytes, recordsLost, segmentName } from './format.ts'
import {
  closeSegment,
  createSegment,
  type JournalRecord,
  type ReadLimits,
  type Segment,
  writeBytes,
} from './segment.ts'

/** The files of an open journal: writing to the last, reading from all, syncing, and deleting what is released. */
export class SegmentStore {
  /** In order; only `active`, the last, is written to. */
  readonly segments: Segment[]
  /** Of all segments. */
  bytes: number
  /** Everything up to here is done with. */
  releasedSequence: number
  fsyncs = 0
  writtenBytes = 0
  /** Why nothing is written any more. */
  failure: WeirError | undefined
  readonly #folder: string
  readonly #fileSystem: FileSystem
  readonly #report: (event: JournalEvent) => void
  #dirty = false
  #folderDirty = false
  #reader: { readonly segment: Segment; readonly descriptor: number } | undefined

  constructor(
    folder: string,
    fileSystem: FileSystem,
    segments: Segment[],
    releasedSequence: number,
    report: (event: JournalEvent) => void,
  ) {
    this.#folder = folder
    this.#fileSystem = fileSystem
    this.segments = segments
    this.bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0)
    this.releasedSequence = releasedSequence
    this.#report = report
  }

  /** Begins a segment, which becomes the active one. Throws `STATE_UNWRITABLE`; the active one is then as it was. */
  begin(previousSequence: number, firstSequence: number, releasedSequence: number): Segment {
    const bootId = this.#fileSystem.bootId()
    const header = { version: formatVersion, firstSequence, previousSequence, releasedSequence, bootId }
    let segment: Segment
    try {
      segment = createSegment(this.#fileSystem, this.#folder, header)
    } catch (error) {
      throw this.#refused(`cannot begin ${segmentName(firstSequence)}`, error)
    }
    this.segments.push(segment)
    this.bytes += headerBytes
    this.writtenBytes += headerBytes
    this.#dirty = true
    this.#folderDirty = true
    return segment
  }

  /** Goes on with the last segment that recovery found. Throws the system's error. */
  resume(): Segment | undefined {
    const last = this.segments.at(-1)
    if (last !== undefined) last.descriptor = this.#fileSystem.open(last.path, 'write')
    return last
  }

  /**
   * Appends the first `length` bytes of `source` to the active segment and returns their position there. On error the
   * segment is as it was, unless `failure` is set.
   */
  append(source: Buffer, length: number, sync: boolean): number {
    const active = this.segments.at(-1)
    if (active?.descriptor === undefined) throw new WeirError('INTERNAL', `journal ${this.#folder}: no segment is open`)
    const position = active.bytes
    this.#dirty = true
    try {
      writeBytes(this.#fileSystem, active.descriptor, source, length, position)
    } catch (error) {
      const what = `cannot write ${length} bytes to ${active.name}`
      throw this.#cutBack(active.descriptor, position) ? this.#refused(what, error) : this.#fail(what, error)
    }
    if (sync) {
      try {
        this.#syncFiles()
      } catch (error) {
        this.#cutBack(active.descriptor, position)
        throw this.#fail('cannot sync', error)
      }
    }
    active.bytes += length
    this.bytes += length
    this.writtenBytes += length
    if (sync) this.#settle()
    return position
  }

  /** Brings everything to the disk, then deletes what is released. Throws `STATE_UNWRITABLE`, with `failure` set. */
  sync(): void {
    try {
      this.#syncFiles()
    } catch (error) {
      throw this.#fail('cannot sync', error)
    }
    this.#settle()
  }

  /** true: the next sync deletes something. */
  hasRemovable(): boolean {
    return this.#removable().length > 0
  }

  read(fromSequence: number, limits: ReadLimits): JournalRecord[] {
    const records: JournalRecord[] = []
    for (const segment of this.segments) {
      if (segment.nextSequence <= fromSequence) continue
      const onDamage = (damage: Damage) => {
        const records = recordsLost(damage, this.releasedSequence)
        this.#report({ type: 'damaged', segment: segment.name, damage, records })
      }
      try {
        const descriptor = this.#readDescriptor(segment)
        if (!segment.read(this.#fileSystem, descriptor, fromSequence, limits, records, onDamage)) break
      } catch (error) {
        throw this.#refused(`cannot read ${segment.name}`, error)
      }
    }
    return records
  }

  /** Readable records with `afterSequence < sequence <= throughSequence`. */
  countBetween(afterSequence: number, throughSequence: number): number {
    let count = 0
    for (const segment of this.segments) {
      if (segment.firstSequence > throughSequence) break
      count += segment.countBetween(afterSequence, throughSequence)
    }
    return count
  }

  close(): void {
    for (const segment of this.segments) closeSegment(this.#fileSystem, segment)
    this.#closeReader()
  }

  #cutBack(descriptor: number, bytes: number): boolean {
    try {
      this.#fileSystem.truncate(descriptor, bytes)
      return true
    } catch {
      return false
    }
  }

  #syncFiles(): void {
    for (const segment of this.segments) {
      if (segment.descriptor === undefined || (segment === this.segments.at(-1) && !this.#dirty)) continue
      this.#fileSystem.sync(segment.descriptor)
      this.fsyncs++
    }
    if (this.#folderDirty) this.#fileSystem.syncFolder(this.#folder)
  }

  /** Everything is on the disk: closes what is sealed, deletes what is released. */
  #settle(): void {
    this.#dirty = false
    this.#folderDirty = false
    for (const segment of this.segments.slice(0, -1)) closeSegment(this.#fileSystem, segment)
    for (const segment of this.#removable()) this.#remove(segment)
  }

  #removable(): Segment[] {
    // What an empty one says is also said by the header of a later one.
    return this.segments
      .slice(0, -1)
      .filter((segment) => segment.isEmpty || segment.lastSequence <= this.releasedSequence)
  }

  #remove(segment: Segment): void {
    if (this.#reader?.segment === segment) this.#closeReader()
    try {
      this.#fileSystem.remove(segment.path)
    } catch (cause) {
      this.#report({ type: 'notRemoved', segment: segment.name, cause })
      return
    }
    this.segments.splice(this.segments.indexOf(segment), 1)
    this.bytes -= segment.bytes
  }

  #readDescriptor(segment: Segment): number {
    if (segment.descriptor !== undefined) return segment.descriptor
    if (this.#reader?.segment !== segment) {
      this.#closeReader()
      this.#reader = { segment, descriptor: this.#fileSystem.open(segment.path, 'read') }
    }
    return this.#reader.descriptor
  }

  #closeReader(): void {
    if (this.#reader !== undefined) this.#fileSystem.close(this.#reader.descriptor)
    this.#reader = undefined
  }

  #refused(what: string, cause: unknown): WeirError {
    const text = `journal ${this.#folder}: ${what} (${errorText(cause)}); nothing was changed; check the disk`
    return new WeirError('STATE_UNWRITABLE', text, { cause })
  }

  #fail(what: string, cause: unknown): WeirError {
    const text = `journal ${this.#folder}: ${what} (${errorText(cause)}); it takes nothing more; restart the module`
    const error = new WeirError('STATE_UNWRITABLE', text, { cause })
    this.failure = error
    this.#report({ type: 'failed', error })
    return error
  }
}
