import type { Clock } from '../clock.ts'
import { WeirError } from '../errors.ts'
import type { JournalEvent } from './event.ts'
import type { FileSystem } from './file-system.ts'

const segmentBytesMin = 256
const segmentBytesMaxMax = 8 * 2 ** 20
const segmentBytesMaxDefault = 4 * 2 ** 20

export interface JournalOptions {
  /** Created if missing. Holds nothing else. */
  readonly folder: string
  readonly fileSystem: FileSystem
  readonly clock: Clock
  /** Bytes that the files may take. */
  readonly bytesMax: number
  /** Unless given, an eighth of `bytesMax` and at most 4 MiB. Space is won back a segment at a time; a batch fits in one. */
  readonly segmentBytesMax?: number
  /** The longest time that a record waits for the disk: what a power cut can cost. */
  readonly fsyncIntervalMs: number
  /** Called from within `openJournal`, reads, syncs and appends; must not call the journal. */
  readonly onEvent?: (event: JournalEvent) => void
}

export interface AppendOptions {
  /** true: return once it is on the disk. */
  readonly sync?: boolean
}

export interface NewRecord {
  /** 1 to 254; its meaning is the caller's. */
  readonly kind: number
  readonly payload: Uint8Array
}

export interface JournalStats {
  /** Readable and not released. */
  readonly records: number
  /** Of all files. */
  readonly bytes: number
  readonly segments: number
  /** Since opened: records appended, records released, syncs of files, bytes handed to the system. */
  readonly appended: number
  readonly released: number
  readonly fsyncs: number
  readonly writtenBytes: number
  /** Age of the oldest record that is not on the disk: what a power cut would cost now. 0: all is. */
  readonly unsyncedMs: number
  /** Unreleased records found damaged or missing, and bytes of torn writes cut off, since opened. */
  readonly corruptRecords: number
  readonly tornBytes: number
}

/** The bytes of a segment. Throws `CONFIG_REFUSED` on sizes that do not fit each other. */
export function checkSizes({ folder, bytesMax, segmentBytesMax, fsyncIntervalMs }: JournalOptions): number {
  const bytes = segmentBytesMax ?? Math.min(Math.floor(bytesMax / 8), segmentBytesMaxDefault)
  const refuse = (text: string) => {
    throw new WeirError('CONFIG_REFUSED', `journal ${folder}: ${text}`)
  }
  if (bytes < segmentBytesMin || bytes > segmentBytesMaxMax) {
    refuse(`segmentBytesMax ${bytes} is not within ${segmentBytesMin} and ${segmentBytesMaxMax}`)
  }
  if (bytes > bytesMax / 4) refuse(`segmentBytesMax ${bytes} exceeds a quarter of bytesMax ${bytesMax}`)
  if (!(fsyncIntervalMs > 0)) refuse(`fsyncIntervalMs ${fsyncIntervalMs} is not above 0`)
  return bytes
}
