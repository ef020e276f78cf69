import { join } from 'node:path'
import { WeirError } from '../errors.ts'
import type { JournalEvent } from './event.ts'
import type { FileSystem } from './file-system.ts'
import {
  type Damage,
  decodeHeader,
  formatVersion,
  headerBytes,
  markedSequence,
  markKind,
  recordsLost,
  type SegmentHeader,
  scanSegment,
  segmentName,
  segmentNameSequence,
} from './format.ts'
import { readTolerant, Segment } from './segment.ts'

/**
 * Sequences passed over when records may have been lost unseen. After a power cut nobody knows how many of the records
 * written since the last sync are gone, and their sequences may already stand in messages sent; so no more than this many
 * are ever left unsynced, and numbering goes on beyond all of them.
 */
export const sequenceSkip = 2 ** 20

const unknownBootId = '0'.repeat(32)

export interface Recovered {
  /** In order, all on the disk, none open. */
  readonly segments: Segment[]
  readonly releasedSequence: number
  /** The last sequence that is known to have been given or passed over. */
  readonly lastSequence: number
  /** true: records may be appended to the last segment and numbering goes on without a skip. */
  readonly resumable: boolean
  readonly events: JournalEvent[]
}

interface Found {
  readonly segment: Segment
  readonly header: SegmentHeader | undefined
  /** true: the end of the file was torn and is cut off. */
  readonly cut: boolean
  readonly releasedSequence: number
}

/**
 * Reads every segment of `folder`, cuts a torn tail off the last one, finds what is damaged or missing, and syncs it all:
 * what a killed process left to the page cache is on the disk afterwards.
 *
 * Throws `STATE_NEWER` before anything is changed; the system's errors otherwise. A block that cannot be read counts as
 * damaged, and nothing next to it is cut off, since the next attempt may read it.
 */
export function recover(fileSystem: FileSystem, folder: string): Recovered {
  const firstSequences = fileSystem
    .list(folder)
    .map(segmentNameSequence)
    .filter((sequence) => sequence !== undefined)
    .sort((a, b) => a - b)
  refuseNewer(fileSystem, folder, firstSequences)
  const events: JournalEvent[] = []
  const found = firstSequences
    .map((sequence) => recoverSegment(fileSystem, folder, sequence, sequence === firstSequences.at(-1), events))
    .filter((one) => one !== undefined)
  if (found.length > 0) fileSystem.syncFolder(folder)
  const releasedSequence = found.reduce((released, one) => Math.max(released, one.releasedSequence), 0)
  const lastSequence = reportLosses(found, releasedSequence, events)
  const resumable = isResumable(found.at(-1), lastSequence, fileSystem.bootId())
  return { segments: found.map((one) => one.segment), releasedSequence, lastSequence, resumable, events }
}

function refuseNewer(fileSystem: FileSystem, folder: string, firstSequences: readonly number[]): void {
  for (const firstSequence of firstSequences) {
    const path = join(folder, segmentName(firstSequence))
    const descriptor = fileSystem.open(path, 'read')
    try {
      const version = decodeHeader(readTolerant(fileSystem, descriptor, 0, headerBytes, () => true))?.version
      if (version === undefined || version === formatVersion) continue
      const text = `journal ${folder}: format version ${version} of ${segmentName(firstSequence)} is newer than ${formatVersion}`
      throw new WeirError('STATE_NEWER', `${text}; upgrade, or move the folder away`)
    } finally {
      fileSystem.close(descriptor)
    }
  }
}

function recoverSegment(
  fileSystem: FileSystem,
  folder: string,
  firstSequence: number,
  last: boolean,
  events: JournalEvent[],
): Found | undefined {
  const segment = new Segment(folder, firstSequence, firstSequence - 1, 0)
  const descriptor = fileSystem.open(segment.path, 'write')
  try {
    return scanFile(fileSystem, segment, descriptor, last, events)
  } finally {
    fileSystem.close(descriptor)
  }
}

/** Scans and syncs one file. undefined: one that never got as far as its first record, now removed. */
function scanFile(
  fileSystem: FileSystem,
  segment: Segment,
  descriptor: number,
  last: boolean,
  events: JournalEvent[],
): Found | undefined {
  let unreadable = false
  const bytes = readTolerant(fileSystem, descriptor, 0, fileSystem.size(descriptor), () => {
    unreadable = true
    return true
  })
  segment.bytes = bytes.length
  const decoded = decodeHeader(bytes)
  const header = decoded?.firstSequence === segment.firstSequence ? decoded : undefined
  if (header === undefined && last && bytes.length <= headerBytes && !unreadable) {
    fileSystem.remove(segment.path)
    return undefined
  }
  if (header === undefined) events.push({ type: 'damagedHeader', segment: segment.name })
  let releasedSequence = header?.releasedSequence ?? 0
  const damages = scanSegment(bytes, segment.firstSequence, (kind, sequence, position) => {
    if (kind === markKind) releasedSequence = Math.max(releasedSequence, markedSequence(bytes, position))
    else segment.note(sequence, position)
  })
  for (const damage of damages) segment.addDamage(damage)
  const tail = damages.find((damage) => damage.position + damage.bytes === bytes.length)
  const cut = tail !== undefined && last && !unreadable
  if (cut) cutTail(fileSystem, segment, descriptor, tail, events)
  fileSystem.sync(descriptor)
  return { segment, header, cut, releasedSequence }
}

function cutTail(
  fileSystem: FileSystem,
  segment: Segment,
  descriptor: number,
  tail: Damage,
  events: JournalEvent[],
): void {
  fileSystem.truncate(descriptor, tail.position)
  segment.bytes = tail.position
  segment.removeDamage(tail)
  const afterSequence = segment.nextSequence - 1
  events.push({ type: 'tornTail', segment: segment.name, bytes: tail.bytes, afterSequence })
}

/** Compares what each segment holds with what the next one says was given before it; returns the last sequence seen. */
function reportLosses(found: readonly Found[], releasedSequence: number, events: JournalEvent[]): number {
  let last = releasedSequence
  for (const { segment, header } of found) {
    const previous = header?.previousSequence ?? sequenceBefore(segment.firstSequence, last)
    segment.previousSequence = previous
    if (previous > last) {
      events.push({ type: 'missing', fromSequence: last + 1, throughSequence: previous, records: previous - last })
    }
    last = Math.max(last, segment.lastSequence)
  }
  for (const { segment } of found) {
    for (const damage of segment.damages) {
      const records = recordsLost(damage, releasedSequence)
      events.push({ type: 'damaged', segment: segment.name, damage, records })
    }
  }
  return last
}

/** What a damaged header would have said: numbering was contiguous, or skipped. */
function sequenceBefore(firstSequence: number, lastSequence: number): number {
  return firstSequence - lastSequence < sequenceSkip ? firstSequence - 1 : lastSequence
}

function isResumable(last: Found | undefined, lastSequence: number, bootId: string): boolean {
  if (last?.header === undefined || last.header.bootId !== bootId || bootId === unknownBootId) return false
  return !last.cut && last.segment.damages.length === 0 && last.segment.nextSequence === lastSequence + 1
}
