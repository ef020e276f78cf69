import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '@weir/lib/clock'
import { nodeFileSystem } from '@weir/lib/journal/file-system'
import { readWriteBytes } from '@weir/lib/journal/flash'
import { type Journal, type NewRecord, openJournal } from '@weir/lib/journal/journal'
import { openQueue } from '@weir/lib/journal/queue'

const recordBytes = 1024
const records = 200_000
const batchRecords = 64
const rounds = 3
const syncedRecords = 200
/** Records between two syncs of the steady run: 10 a second at the default interval of 5 s. */
const recordsPerSync = 50
const steadyRecords = 5_000
const queueItems = 50_000

export interface JournalBench {
  readonly recordBytes: number
  /** Appends of one record each, by one `write` each, into the page cache. */
  readonly recordsPerS: number
  /** Plain `write` calls of as many bytes: what the system allows. */
  readonly plainWritesPerS: number
  readonly batchRecords: number
  readonly recordsPerSInBatches: number
  /** Appends that return once the record is on the disk. */
  readonly recordsPerSSynced: number
  /** Records checked and indexed when the journal is opened, and then read back. */
  readonly recordsPerSRecovered: number
  readonly recordsPerSReplayed: number
  /** Items put, taken and done. */
  readonly queueItemsPerS: number
  readonly recordsPerSync: number
  /** Steady run, each record released: handed to the system by `write`, for each payload byte. */
  readonly bytesWrittenPerByteTaken: number
  /** The same on the disk, whole pages, by `/proc/self/io`; absent where the system does not tell. */
  readonly flashBytesPerByteTaken?: number
}

/** Appends, recovery and the queue on the temporary folder's disk. Leaves nothing behind. */
export async function benchJournal(): Promise<JournalBench> {
  const folder = mkdtempSync(join(tmpdir(), 'weir-bench-journal-'))
  try {
    return measure(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function measure(folder: string): JournalBench {
  const payload = Buffer.alloc(recordBytes, 'weir')
  const one = (journal: Journal) => journal.append(1, payload)
  const batch = Array.from({ length: batchRecords }, () => ({ kind: 1, payload }))

  const recordsPerS = fastest(folder, (path) => {
    return withJournal(path, (journal) => repeat(records, () => one(journal)))
  })
  const recordsPerSInBatches = fastest(folder, (path) => {
    return withJournal(path, (journal) => {
      return batchRecords * repeat(records / batchRecords, () => journal.appendMany(batch))
    })
  })
  const recordsPerSSynced = withJournal(join(folder, 'synced'), (journal) => {
    return repeat(syncedRecords, () => journal.append(1, payload, { sync: true }))
  })
  return {
    recordBytes,
    recordsPerS,
    plainWritesPerS: fastest(folder, (path) => measurePlainWrites(path, payload)),
    batchRecords,
    recordsPerSInBatches,
    recordsPerSSynced,
    ...measureRecovery(join(folder, 'recovery'), batch),
    queueItemsPerS: measureQueue(join(folder, 'queue'), payload),
    recordsPerSync,
    ...measureSteady(join(folder, 'steady'), payload),
  }
}

function open(folder: string): Journal {
  const sizes = { bytesMax: 2 ** 30, segmentBytesMax: 4 * 2 ** 20 }
  return openJournal({ folder, fileSystem: nodeFileSystem, clock: systemClock, ...sizes, fsyncIntervalMs: 5_000 })
}

function withJournal<Result>(folder: string, use: (journal: Journal) => Result): Result {
  const journal = open(folder)
  try {
    return use(journal)
  } finally {
    journal.close()
  }
}

/** Calls per second. */
function repeat(count: number, call: () => void): number {
  return perSecond(count, () => {
    for (let number = 0; number < count; number++) call()
  })
}

function perSecond(count: number, run: () => void): number {
  const startMs = performance.now()
  run()
  return Math.round((count / (performance.now() - startMs)) * 1000)
}

/** The best of a few rounds, each on a new path: what else the machine does only ever slows one down. */
function fastest(folder: string, round: (path: string) => number): number {
  let best = 0
  for (let number = 0; number < rounds; number++) {
    const path = join(folder, `round-${number}`)
    best = Math.max(best, round(path))
    rmSync(path, { recursive: true })
  }
  return best
}

/** What the system itself takes: the same bytes by the same number of `write` calls. */
function measurePlainWrites(path: string, payload: Buffer): number {
  const descriptor = openSync(path, 'w')
  let position = 0
  try {
    return repeat(records, () => {
      position += writeSync(descriptor, payload, 0, payload.length, position)
    })
  } finally {
    closeSync(descriptor)
  }
}

function measureRecovery(
  folder: string,
  batch: readonly NewRecord[],
): Pick<JournalBench, 'recordsPerSRecovered' | 'recordsPerSReplayed'> {
  withJournal(folder, (journal) => repeat(records / batchRecords, () => journal.appendMany(batch)))
  const opened: Journal[] = []
  const recordsPerSRecovered = perSecond(records, () => opened.push(open(folder)))
  const recordsPerSReplayed = perSecond(records, () => opened[0]?.replay(() => {}))
  opened[0]?.close()
  return { recordsPerSRecovered, recordsPerSReplayed }
}

function measureQueue(folder: string, payload: Buffer): number {
  const sizes = { bytesMax: 64 * 2 ** 20, segmentBytesMax: 4 * 2 ** 20 }
  const fileSystem = nodeFileSystem
  const queue = openQueue({
    folder,
    fileSystem,
    clock: systemClock,
    ...sizes,
    fsyncIntervalMs: 5_000,
    whenFull: 'refuse',
  })
  const itemsPerS = repeat(queueItems, () => {
    queue.put(payload, { priority: 5 })
    queue.done(queue.take()?.id ?? 0)
  })
  queue.close()
  return itemsPerS
}

function measureSteady(
  folder: string,
  payload: Buffer,
): Pick<JournalBench, 'bytesWrittenPerByteTaken' | 'flashBytesPerByteTaken'> {
  const takenBytes = steadyRecords * payload.length
  const perByte = (bytes: number) => Number((bytes / takenBytes).toFixed(3))
  return withJournal(folder, (journal) => {
    const flashBefore = readWriteBytes()
    for (let number = 1; number <= steadyRecords; number++) {
      journal.release(journal.append(1, payload))
      if (number % recordsPerSync === 0) journal.sync()
    }
    const bytesWrittenPerByteTaken = perByte(journal.stats().writtenBytes)
    const flashAfter = readWriteBytes()
    if (flashBefore === undefined || flashAfter === undefined) return { bytesWrittenPerByteTaken }
    return { bytesWrittenPerByteTaken, flashBytesPerByteTaken: perByte(flashAfter - flashBefore) }
  })
}
