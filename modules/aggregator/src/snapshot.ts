/**
 * # Snapshots: all that the aggregator holds, so that the journal before them can go
 *
 * ```
 *   folder/0000000000000007.snapshot      the one before the last, until the next is written
 *   folder/0000000000000008.snapshot      the last
 *
 *   0        8         10     12           20       24       28
 *   | WEIR   | version | 0    | through    | length | CRC-32 | content ... |      little-endian
 *   | SNAP   | u16     | u16  | f64        | u32    | of all |
 * ```
 * `through` is the sequence of the last record of the journal that the snapshot stands for; the checksum is that of
 * everything with 0 in its own place. Files are written whole, synced, and never changed. One cut short by a kill, or faded,
 * is passed over for the one before it: the journal is released only as far as that one stands for.
 */
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { errorText, WeirError } from '@weir/lib/errors'
import type { FileSystem } from '@weir/lib/journal/file-system'
import { writeBytes } from '@weir/lib/journal/segment'

const magic = Buffer.from('WEIRSNAP', 'latin1')
const snapshotVersion = 1
const headerBytes = 28
const checksumAt = 24
const namePattern = /^(\d{16})\.snapshot$/

export interface Snapshot {
  /** Sequence of the last record of the journal that it stands for. */
  readonly throughSequence: number
  readonly content: Buffer
}

interface Kept {
  readonly number: number
  readonly throughSequence: number
}

export class SnapshotFolder {
  readonly #folder: string
  readonly #fileSystem: FileSystem
  readonly #warn: (text: string) => void
  /** The number given last. */
  #number = 0
  #last: Kept | undefined

  /** Creates the folder where it is missing. Throws the system's error. @param warn Told of each file passed over. */
  constructor(folder: string, fileSystem: FileSystem, warn: (text: string) => void) {
    this.#folder = folder
    this.#fileSystem = fileSystem
    this.#warn = warn
    fileSystem.makeFolder(folder)
  }

  /**
   * The newest snapshot that can be read and that the journal goes on from, as `parse` understands it; undefined where
   * there is none. Throws STATE_NEWER, and the system's error where the folder cannot be listed.
   * @param releasedSequence Records of the journal up to here are gone.
   * @param parse Throws where it does not understand the content.
   */
  load<State>(releasedSequence: number, parse: (snapshot: Snapshot) => State): State | undefined {
    const numbers = this.#numbers().sort((a, b) => b - a)
    this.#number = numbers[0] ?? 0
    for (const number of numbers) {
      try {
        const snapshot = this.#read(number)
        const { throughSequence } = snapshot
        if (throughSequence < releasedSequence) {
          throw new WeirError('STATE_DAMAGED', `the journal goes on after ${releasedSequence}, not ${throughSequence}`)
        }
        const state = parse(snapshot)
        this.#last = { number, throughSequence }
        return state
      } catch (error) {
        if (error instanceof WeirError && error.code === 'STATE_NEWER') throw error
        this.#warn(`${this.#path(number)}: cannot be used (${errorText(error)})`)
      }
    }
    return undefined
  }

  /**
   * Writes a snapshot and returns the sequence through which the journal is no longer needed; undefined where it all is.
   * Throws the system's error; what was there before is then there still.
   * @param keepLast Whether the snapshot before stays, in case this one fades.
   */
  write({ throughSequence, content }: Snapshot, keepLast: boolean): number | undefined {
    const before = keepLast ? this.#last : undefined
    const number = this.#number + 1
    this.#number = number
    this.#writeFile(this.#path(number), encode(throughSequence, content))
    this.#last = { number, throughSequence }
    this.#removeAllBut(new Set([number, before?.number]))
    return keepLast ? before?.throughSequence : throughSequence
  }

  #writeFile(path: string, bytes: Buffer): void {
    const fileSystem = this.#fileSystem
    const descriptor = fileSystem.open(path, 'create')
    try {
      writeBytes(fileSystem, descriptor, bytes, bytes.length, 0)
      fileSystem.sync(descriptor)
    } catch (error) {
      fileSystem.close(descriptor)
      this.#remove(path)
      throw error
    }
    fileSystem.close(descriptor)
    fileSystem.syncFolder(this.#folder)
  }

  #read(number: number): Snapshot {
    const fileSystem = this.#fileSystem
    const descriptor = fileSystem.open(this.#path(number), 'read')
    try {
      return decode(readWhole(fileSystem, descriptor))
    } finally {
      fileSystem.close(descriptor)
    }
  }

  #numbers(): number[] {
    return this.#fileSystem.list(this.#folder).flatMap((name) => {
      const digits = namePattern.exec(name)?.[1]
      return digits === undefined ? [] : [Number(digits)]
    })
  }

  /** What cannot be removed now is tried again with the next snapshot. */
  #removeAllBut(kept: ReadonlySet<number | undefined>): void {
    try {
      for (const number of this.#numbers()) if (!kept.has(number)) this.#remove(this.#path(number))
    } catch (error) {
      this.#warn(`${this.#folder}: cannot be listed (${errorText(error)})`)
    }
  }

  #remove(path: string): void {
    try {
      this.#fileSystem.remove(path)
    } catch (error) {
      this.#warn(`${path}: cannot be deleted (${errorText(error)})`)
    }
  }

  #path(number: number): string {
    return join(this.#folder, `${String(number).padStart(16, '0')}.snapshot`)
  }
}

function readWhole(fileSystem: FileSystem, descriptor: number): Buffer {
  const bytes = Buffer.alloc(fileSystem.size(descriptor))
  for (let done = 0; done < bytes.length; ) {
    const count = fileSystem.read(descriptor, bytes, done, bytes.length - done, done)
    if (count === 0) return bytes.subarray(0, done)
    done += count
  }
  return bytes
}

function encode(throughSequence: number, content: Buffer): Buffer {
  const bytes = Buffer.alloc(headerBytes + content.length)
  magic.copy(bytes)
  bytes.writeUInt16LE(snapshotVersion, 8)
  bytes.writeDoubleLE(throughSequence, 12)
  bytes.writeUInt32LE(content.length, 20)
  content.copy(bytes, headerBytes)
  bytes.writeUInt32LE(crc32(bytes), checksumAt)
  return bytes
}

function decode(bytes: Buffer): Snapshot {
  const isWhole =
    bytes.length >= headerBytes &&
    bytes.subarray(0, magic.length).equals(magic) &&
    bytes.length === headerBytes + bytes.readUInt32LE(20)
  const checksum = isWhole ? bytes.readUInt32LE(checksumAt) : 0
  if (isWhole) bytes.writeUInt32LE(0, checksumAt)
  if (!isWhole || crc32(bytes) !== checksum) {
    throw new WeirError('STATE_DAMAGED', `${bytes.length} bytes are no whole snapshot`)
  }
  const version = bytes.readUInt16LE(8)
  if (version > snapshotVersion) {
    throw new WeirError(
      'STATE_NEWER',
      `snapshot: version ${version} is newer than ${snapshotVersion}; upgrade, or move the folder away`,
    )
  }
  return { throughSequence: bytes.readDoubleLE(12), content: bytes.subarray(headerBytes) }
}
