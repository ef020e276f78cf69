import { join } from 'node:path'
import type { FileSystem } from './file-system.ts'
import {
  type Damage,
  encodeHeader,
  findRecord,
  headerBytes,
  isRecord,
  markKind,
  recordEnd,
  recordHeaderBytes,
  recordKind,
  recordOffset,
  type SegmentHeader,
  segmentName,
  segmentSeed,
} from './format.ts'

/** One entry of a segment's index for about this many bytes: 16 bytes of memory for 4 KiB of flash. */
const indexBytes = 4096
/** Read in one piece: what a single record away from an index entry needs, and what a long read asks for at once. */
const readBytesMin = 2 * indexBytes
const readBytesMax = 2 ** 20
const diskBlockBytes = 4096

export interface JournalRecord {
  readonly sequence: number
  /** 1 to 254, as given to `append`. */
  readonly kind: number
  /** A view into the bytes read; keeps up to `bytesMax` of the read alive. */
  readonly payload: Buffer
}

export interface ReadLimits {
  readonly recordsMax: number
  /** Payload bytes. One record is returned even where it alone exceeds this. */
  readonly bytesMax: number
}

/** A segment file as the journal knows it in memory: where its records lie, how many, and what is damaged. */
export class Segment {
  readonly path: string
  readonly name: string
  readonly seed: number
  readonly firstSequence: number
  /** The last sequence given before this segment; see `SegmentHeader`. */
  previousSequence: number
  /** Bytes of the file. */
  bytes: number
  /** The sequence after its last record. */
  nextSequence: number
  /** Open while the file may hold bytes that are not on the disk, and while records are appended to it. */
  descriptor: number | undefined
  readonly #damages = new Map<number, Damage>()
  readonly #indexSequences: number[] = []
  readonly #indexPositions: number[] = []

  constructor(folder: string, firstSequence: number, previousSequence: number, bytes: number) {
    this.name = segmentName(firstSequence)
    this.path = join(folder, this.name)
    this.seed = segmentSeed(firstSequence)
    this.firstSequence = firstSequence
    this.nextSequence = firstSequence
    this.previousSequence = previousSequence
    this.bytes = bytes
  }

  /** true: it never held a record, as far as can be seen. */
  get isEmpty(): boolean {
    return this.nextSequence === this.firstSequence && this.#damages.size === 0
  }

  /** The last sequence that it held, damaged records included; one before its first if none. */
  get lastSequence(): number {
    let last = this.nextSequence - 1
    for (const damage of this.#damages.values()) last = Math.max(last, damage.throughSequence)
    return last
  }

  /** The last sequence given when it ended, here or before. */
  get lastGivenSequence(): number {
    return this.isEmpty ? this.previousSequence : this.lastSequence
  }

  get damages(): readonly Damage[] {
    return [...this.#damages.values()]
  }

  addDamage(damage: Damage): void {
    this.#damages.set(damage.position, damage)
  }

  removeDamage(damage: Damage): void {
    this.#damages.delete(damage.position)
  }

  /** Takes note of a record; records come in order. */
  note(sequence: number, position: number): void {
    this.nextSequence = sequence + 1
    const last = this.#indexPositions.at(-1)
    if (last !== undefined && position - last < indexBytes) return
    this.#indexSequences.push(sequence)
    this.#indexPositions.push(position)
  }

  /** Readable records with `afterSequence < sequence <= throughSequence`. */
  countBetween(afterSequence: number, throughSequence: number): number {
    const from = Math.max(afterSequence + 1, this.firstSequence)
    const through = Math.min(throughSequence, this.nextSequence - 1)
    let count = Math.max(0, through - from + 1)
    for (const damage of this.#damages.values()) {
      const lost = Math.min(through, damage.throughSequence) - Math.max(from, damage.fromSequence) + 1
      count -= Math.max(0, lost)
    }
    return count
  }

  /**
   * Adds records from `fromSequence` on to `records` until the limits or the end of the segment are reached.
   *
   * Every checksum is checked again: flash fades. What no longer fits is passed over, and given to `onDamage` the first
   * time it is met. Returns false once the limits are reached. Throws the system's error when the file cannot be read where
   * it could be when it was opened.
   */
  read(
    fileSystem: FileSystem,
    descriptor: number,
    fromSequence: number,
    limits: ReadLimits,
    records: JournalRecord[],
    onDamage: (damage: Damage) => void,
  ): boolean {
    const entry = this.#indexBefore(fromSequence)
    if (entry < 0) return true
    const aheadBytes =
      limits.recordsMax === 1 ? readBytesMin : Math.min(Math.max(limits.bytesMax, readBytesMin), readBytesMax)
    const load = (position: number, length: number) =>
      readTolerant(fileSystem, descriptor, position, length, (failed) => this.#isDamaged(failed))
    const window = new Window(load, this.bytes, aheadBytes)
    let payloadBytes = records.reduce((sum, record) => sum + record.payload.length, 0)
    let position = this.#indexPositions[entry] ?? 0
    let expectedOffset = (this.#indexSequences[entry] ?? 0) - this.firstSequence
    while (position < this.bytes) {
      const at = window.reachRecord(position)
      if (at < 0 || !isRecord(window.bytes, at, window.bytes.length, this.seed)) {
        const damage = this.#damages.get(position) ?? this.#meetDamage(window, position, expectedOffset, onDamage)
        expectedOffset = damage.throughSequence + 1 - this.firstSequence
        position += damage.bytes
        continue
      }
      const offset = recordOffset(window.bytes, at)
      const kind = recordKind(window.bytes, at)
      const end = recordEnd(window.bytes, at)
      if (kind !== markKind && this.firstSequence + offset >= fromSequence) {
        const payload = window.bytes.subarray(at + recordHeaderBytes, end)
        payloadBytes += payload.length
        if (records.length >= limits.recordsMax || (records.length > 0 && payloadBytes > limits.bytesMax)) return false
        records.push({ sequence: this.firstSequence + offset, kind, payload })
      }
      expectedOffset = kind === markKind ? offset : offset + 1
      position += end - at
    }
    return true
  }

  #isDamaged(position: number): boolean {
    for (const damage of this.#damages.values()) {
      if (position >= damage.position && position < damage.position + damage.bytes) return true
    }
    return false
  }

  #meetDamage(window: Window, position: number, expectedOffset: number, onDamage: (damage: Damage) => void): Damage {
    const at = window.reach(position, this.bytes - position)
    const found = at < 0 ? -1 : findRecord(window.bytes, at, this.seed, expectedOffset)
    const throughOffset = found < 0 ? this.nextSequence - this.firstSequence : recordOffset(window.bytes, found)
    const damage = {
      position,
      bytes: found < 0 ? this.bytes - position : found - at,
      fromSequence: this.firstSequence + expectedOffset,
      throughSequence: this.firstSequence + throughOffset - 1,
    }
    this.addDamage(damage)
    onDamage(damage)
    return damage
  }

  /** The last entry of the index at or before `sequence`; the first entry where all are after it; -1 without any. */
  #indexBefore(sequence: number): number {
    let low = 0
    let high = this.#indexSequences.length - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if ((this.#indexSequences[middle] ?? 0) <= sequence) low = middle
      else high = middle - 1
    }
    return high < 0 ? -1 : low
  }
}

/** The bytes of a segment file around the reader's position, read ahead in one piece. */
class Window {
  bytes: Buffer = Buffer.alloc(0)
  #start = 0
  readonly #load: (position: number, length: number) => Buffer
  readonly #fileBytes: number
  readonly #aheadBytes: number

  constructor(load: (position: number, length: number) => Buffer, fileBytes: number, aheadBytes: number) {
    this.#load = load
    this.#fileBytes = fileBytes
    this.#aheadBytes = aheadBytes
  }

  /** Where `position` of the file lies in `bytes`, with `length` bytes after it; -1 where the file ends before them. */
  reach(position: number, length: number): number {
    if (position < this.#start || position + length > this.#start + this.bytes.length) {
      const bytes = Math.min(Math.max(length, this.#aheadBytes), this.#fileBytes - position)
      this.bytes = this.#load(position, bytes)
      this.#start = position
    }
    return position + length <= this.#start + this.bytes.length ? position - this.#start : -1
  }

  /** The same for the record at `position`, as long as its length field says. */
  reachRecord(position: number): number {
    const header = this.reach(position, recordHeaderBytes)
    return header < 0 ? -1 : this.reach(position, recordEnd(this.bytes, header) - header)
  }
}

/**
 * Reads up to `length` bytes into a new buffer; fewer where the file ends. A block that the disk cannot read is zeros, which
 * are never a record, if `mayFail` says so of a position in it; otherwise the system's error is thrown.
 */
export function readTolerant(
  fileSystem: FileSystem,
  descriptor: number,
  position: number,
  length: number,
  mayFail: (position: number) => boolean,
): Buffer {
  try {
    return readBytes(fileSystem, descriptor, position, length)
  } catch (error) {
    const bytes = Buffer.alloc(length)
    const end = position + length
    for (let at = position; at < end; ) {
      const next = Math.min(end, (Math.floor(at / diskBlockBytes) + 1) * diskBlockBytes)
      try {
        readBytes(fileSystem, descriptor, at, next - at).copy(bytes, at - position)
      } catch {
        if (!mayFail(at)) throw error
      }
      at = next
    }
    return bytes
  }
}

function readBytes(fileSystem: FileSystem, descriptor: number, position: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length)
  let done = 0
  while (done < length) {
    const count = fileSystem.read(descriptor, bytes, done, length - done, position + done)
    if (count === 0) break
    done += count
  }
  return bytes.subarray(0, done)
}

/** Writes all of `length` bytes, however many calls that takes. */
export function writeBytes(
  fileSystem: FileSystem,
  descriptor: number,
  source: Uint8Array,
  length: number,
  position: number,
): void {
  let done = 0
  while (done < length) {
    const count = fileSystem.write(descriptor, source, done, length - done, position + done)
    if (count === 0) throw new Error('the system wrote nothing and gave no reason')
    done += count
  }
}

/**
 * Creates the file of a segment with its header and leaves it open; neither is on the disk yet. Throws the system's error
 * and leaves no file behind if it can.
 */
export function createSegment(fileSystem: FileSystem, folder: string, header: SegmentHeader): Segment {
  const segment = new Segment(folder, header.firstSequence, header.previousSequence, headerBytes)
  const descriptor = fileSystem.open(segment.path, 'create')
  try {
    writeBytes(fileSystem, descriptor, encodeHeader(header), headerBytes, 0)
  } catch (error) {
    fileSystem.close(descriptor)
    try {
      fileSystem.remove(segment.path)
    } catch {
      // A segment without records is taken up or removed at the next open.
    }
    throw error
  }
  segment.descriptor = descriptor
  return segment
}

export function closeSegment(fileSystem: FileSystem, segment: Segment): void {
  if (segment.descriptor !== undefined) fileSystem.close(segment.descriptor)
  segment.descriptor = undefined
}
