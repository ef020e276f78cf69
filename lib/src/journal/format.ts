import { crc32 } from 'node:zlib'

/**
 * The bytes of a segment file, and nothing else: encoding, decoding, and finding records again after damage.
 * The picture is in journal.ts. All numbers are little-endian.
 */

export const formatVersion = 1
/** The header keeps its length, its first ten bytes and its checksum in every version, so that a newer one can be named. */
export const headerBytes = 64
export const recordHeaderBytes = 12
/** Kinds 1 to 254 are the user's. 0 is never written, so that zeroed flash is never taken for a record. */
export const userKindMax = 254
/** A release mark: payload u64, everything up to that sequence is done. It takes no sequence of its own. */
export const markKind = 255
export const markBytes = recordHeaderBytes + 8

const magic = Buffer.from('WEIRJRNL', 'latin1')
const segmentNamePattern = /^(\d{16})\.journal$/

export interface SegmentHeader {
  readonly version: number
  /** The first sequence that a record of this segment may have. The file's name says the same. */
  readonly firstSequence: number
  /** The last sequence given before this segment. Sequences between it and `firstSequence` were skipped on purpose. */
  readonly previousSequence: number
  /** Released when the segment was created. */
  readonly releasedSequence: number
  /** 32 hexadecimal digits: the boot of the machine in which the segment was created. All zero: not known. */
  readonly bootId: string
}

/** Bytes of a segment that hold no readable record, and the sequences that were in them. */
export interface Damage {
  readonly position: number
  readonly bytes: number
  /** First and last sequence lost; `throughSequence` is `fromSequence - 1` when none was (a damaged release mark). */
  readonly fromSequence: number
  readonly throughSequence: number
}

/** How many of the records lost were not released. */
export function recordsLost(damage: Damage, releasedSequence: number): number {
  return Math.max(0, damage.throughSequence - Math.max(damage.fromSequence, releasedSequence + 1) + 1)
}

export function segmentName(firstSequence: number): string {
  return `${String(firstSequence).padStart(16, '0')}.journal`
}

/** The first sequence that a file's name states, or undefined where the name is no segment's. */
export function segmentNameSequence(name: string): number | undefined {
  const digits = segmentNamePattern.exec(name)?.[1]
  const sequence = Number(digits)
  return digits !== undefined && sequence >= 1 && Number.isSafeInteger(sequence) ? sequence : undefined
}

/**
 * Start value of the checksums of a segment. It comes from the name alone, so that a damaged header costs no record, and
 * differs between segments, so that bytes of a deleted one that show up in a reused block are not taken for records.
 */
export function segmentSeed(firstSequence: number): number {
  return crc32(segmentName(firstSequence))
}

export function encodeHeader(header: SegmentHeader): Buffer {
  const bytes = Buffer.alloc(headerBytes)
  magic.copy(bytes)
  bytes.writeUInt16LE(header.version, 8)
  writeSequence(bytes, header.firstSequence, 16)
  writeSequence(bytes, header.previousSequence, 24)
  writeSequence(bytes, header.releasedSequence, 32)
  bytes.write(header.bootId, 40, 16, 'hex')
  bytes.writeUInt32LE(crc32(bytes.subarray(0, headerBytes - 4)), headerBytes - 4)
  return bytes
}

/** The header, or undefined where it is damaged or cut short. Says nothing about whether the version can be read. */
export function decodeHeader(bytes: Buffer): SegmentHeader | undefined {
  if (bytes.length < headerBytes || !bytes.subarray(0, magic.length).equals(magic)) return undefined
  if (crc32(bytes.subarray(0, headerBytes - 4)) !== bytes.readUInt32LE(headerBytes - 4)) return undefined
  return {
    version: bytes.readUInt16LE(8),
    firstSequence: readSequence(bytes, 16),
    previousSequence: readSequence(bytes, 24),
    releasedSequence: readSequence(bytes, 32),
    bootId: bytes.toString('hex', 40, 56),
  }
}

/** Writes one record at `position` and returns the position after it. `offset` is its sequence minus the segment's first. */
export function encodeRecord(
  target: Buffer,
  position: number,
  seed: number,
  kind: number,
  offset: number,
  payload: Uint8Array,
): number {
  const end = position + recordHeaderBytes + payload.length
  target.writeUInt32LE(((kind << 24) | payload.length) >>> 0, position + 4)
  target.writeUInt32LE(offset, position + 8)
  target.set(payload, position + recordHeaderBytes)
  target.writeUInt32LE(crc32(target.subarray(position + 4, end), seed), position)
  return end
}

/** A release mark; `offset` is that of the next record to come. */
export function encodeMark(target: Buffer, seed: number, offset: number, releasedSequence: number): number {
  const payload = Buffer.alloc(8)
  writeSequence(payload, releasedSequence, 0)
  return encodeRecord(target, 0, seed, markKind, offset, payload)
}

export function recordKind(bytes: Buffer, position: number): number {
  return bytes.readUInt8(position + 7)
}

export function recordOffset(bytes: Buffer, position: number): number {
  return bytes.readUInt32LE(position + 8)
}

/** The position after the record at `position`, as its length field says; needs the record's header to be there. */
export function recordEnd(bytes: Buffer, position: number): number {
  return position + recordHeaderBytes + bytes.readUIntLE(position + 4, 3)
}

export function markedSequence(bytes: Buffer, position: number): number {
  return readSequence(bytes, position + recordHeaderBytes)
}

/** true: an undamaged record lies at `position` and ends at or before `limit`. */
export function isRecord(bytes: Buffer, position: number, limit: number, seed: number): boolean {
  if (limit - position < recordHeaderBytes || recordKind(bytes, position) === 0) return false
  const end = recordEnd(bytes, position)
  return end <= limit && crc32(bytes.subarray(position + 4, end), seed) === bytes.readUInt32LE(position)
}

/**
 * The position of the first undamaged record at or after `from`, or -1.
 *
 * Lengths in a damaged region cannot be trusted, so every position is tried. `expectedOffset` is the offset that a record
 * at `from` would have; one found later can be further on by no more than the records that fit in between.
 */
export function findRecord(bytes: Buffer, from: number, seed: number, expectedOffset: number): number {
  for (let position = from; position + recordHeaderBytes <= bytes.length; position++) {
    const skipped = recordOffset(bytes, position) - expectedOffset
    if (skipped < 0 || skipped > (position - from) / recordHeaderBytes) continue
    if (isRecord(bytes, position, bytes.length, seed)) return position
  }
  return -1
}

/**
 * Walks a whole segment file and returns what lies between the records.
 *
 * `visit` gets each undamaged record, marks included, in order. A damage that reaches the end of the file has
 * `throughSequence` one below `fromSequence`: how many records it held cannot be seen from this file alone.
 */
export function scanSegment(
  bytes: Buffer,
  firstSequence: number,
  visit: (kind: number, sequence: number, position: number) => void,
): Damage[] {
  const seed = segmentSeed(firstSequence)
  const damages: Damage[] = []
  let expectedOffset = 0
  let position = Math.min(headerBytes, bytes.length)
  while (position < bytes.length) {
    const found = findRecord(bytes, position, seed, expectedOffset)
    const end = found < 0 ? bytes.length : found
    const offset = found < 0 ? expectedOffset : recordOffset(bytes, found)
    if (end > position) {
      damages.push({
        position,
        bytes: end - position,
        fromSequence: firstSequence + expectedOffset,
        throughSequence: firstSequence + offset - 1,
      })
    }
    if (found < 0) break
    const kind = recordKind(bytes, found)
    visit(kind, firstSequence + offset, found)
    expectedOffset = kind === markKind ? offset : offset + 1
    position = recordEnd(bytes, found)
  }
  return damages
}

function writeSequence(bytes: Buffer, sequence: number, position: number): void {
  bytes.writeUInt32LE(sequence % 2 ** 32, position)
  bytes.writeUInt32LE(Math.floor(sequence / 2 ** 32), position + 4)
}

function readSequence(bytes: Buffer, position: number): number {
  return bytes.readUInt32LE(position) + bytes.readUInt32LE(position + 4) * 2 ** 32
}
