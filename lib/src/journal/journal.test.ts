import { describe, expect, test } from 'vitest'
import { ManualClock } from '../clock.ts'
import type { WeirError } from '../errors.ts'
import { encodeHeader } from './format.ts'
import { type Journal, type JournalEvent, type JournalOptions, journalEventText, openJournal } from './journal.ts'
import { MemoryFileSystem } from './memory-file-system.ts'

const folder = '/state/journal'

class Bench {
  readonly fileSystem = new MemoryFileSystem()
  readonly clock = new ManualClock()
  readonly events: JournalEvent[] = []

  open(options: Partial<JournalOptions> = {}): Journal {
    const sizes = { bytesMax: 4_000, segmentBytesMax: 300, fsyncIntervalMs: 5_000 }
    const onEvent = (event: JournalEvent) => this.events.push(event)
    return openJournal({ folder, fileSystem: this.fileSystem, clock: this.clock, ...sizes, onEvent, ...options })
  }
}

function errorOf(act: () => unknown): Pick<WeirError, 'code' | 'reaction' | 'message'> {
  try {
    act()
  } catch (error) {
    return error as WeirError
  }
  throw new Error('nothing was thrown')
}

function sequences(journal: Journal): number[] {
  const found: number[] = []
  journal.replay(({ sequence }) => found.push(sequence))
  return found
}

function fill(journal: Journal, count: number, bytes = 50): void {
  for (let number = 0; number < count; number++) journal.append(1, Buffer.alloc(bytes, number))
}

describe('append', () => {
  test('gives contiguous sequences from 1, and each record back as it was given', () => {
    const bench = new Bench()
    const journal = bench.open()
    expect(journal.append(1, Buffer.from('a'))).toBe(1)
    const batch = [
      { kind: 254, payload: new Uint8Array() },
      { kind: 7, payload: Buffer.from([0, 255, 10]) },
    ]
    expect(journal.appendMany(batch)).toBe(2)
    expect(journal.lastSequence).toBe(3)
    expect(journal.read(1, { recordsMax: 10, bytesMax: 1_000 })).toEqual([
      { sequence: 1, kind: 1, payload: Buffer.from('a') },
      { sequence: 2, kind: 254, payload: Buffer.from('') },
      { sequence: 3, kind: 7, payload: Buffer.from([0, 255, 10]) },
    ])
  })

  test('writes each call by one write, and 12 bytes more than the payload', () => {
    const bench = new Bench()
    const journal = bench.open()
    const writes: number[] = []
    bench.fileSystem.fault = ({ name, length }) => {
      if (name === 'write') writes.push(length)
      return undefined
    }
    journal.append(1, Buffer.alloc(20))
    journal.appendMany(Array.from({ length: 3 }, () => ({ kind: 1, payload: Buffer.alloc(10) })))
    expect(writes).toEqual([32, 66])
    expect(journal.stats().writtenBytes).toBe(64 + 32 + 66)
  })

  test('of nothing writes nothing', () => {
    const journal = new Bench().open()
    const before = journal.stats()
    expect(journal.appendMany([], { sync: true })).toBe(1)
    expect(journal.stats()).toEqual(before)
  })

  test('refuses what fits no segment, naming value and limit, and stores none of the batch', () => {
    const journal = new Bench().open()
    const records = [
      { kind: 1, payload: Buffer.alloc(100) },
      { kind: 1, payload: Buffer.alloc(200) },
    ]
    expect(errorOf(() => journal.appendMany(records))).toMatchObject({
      code: 'MESSAGE_TOO_LARGE',
      message: expect.stringContaining('2 records of 324 bytes exceed the 236 of a segment'),
    })
    expect(journal.lastSequence).toBe(0)
  })

  test.each([0, 255, 1.5, -1])('refuses record kind %d, which is not the caller’s to use', (kind) => {
    const journal = new Bench().open()
    expect(errorOf(() => journal.append(kind, Buffer.alloc(1)))).toMatchObject({ code: 'INTERNAL' })
  })

  test('that fails cuts the file back, stores nothing and can be tried again', () => {
    const bench = new Bench()
    const journal = bench.open()
    fill(journal, 2)
    const before = bench.fileSystem.bytes
    bench.fileSystem.capacityBytes = before + 30
    expect(errorOf(() => fill(journal, 1))).toMatchObject({
      code: 'STATE_UNWRITABLE',
      reaction: 'stop',
      message: expect.stringContaining('cannot write 62 bytes to 0000000000000001.journal (ENOSPC'),
    })
    expect(bench.fileSystem.bytes).toBe(before)
    expect(journal.failure).toBeUndefined()
    bench.fileSystem.capacityBytes = Infinity
    expect(journal.append(1, Buffer.from('again'))).toBe(3)
    expect(sequences(journal)).toEqual([1, 2, 3])
  })

  test('that can neither be finished nor cut back fails the journal for good, and the next process recovers', () => {
    const bench = new Bench()
    const journal = bench.open()
    fill(journal, 2)
    bench.fileSystem.fault = ({ name }) => (name === 'read' ? undefined : { code: 'EIO', bytesWritten: 10 })
    expect(errorOf(() => fill(journal, 1))).toMatchObject({ code: 'STATE_UNWRITABLE' })
    bench.fileSystem.fault = undefined
    for (const act of [() => fill(journal, 1), () => journal.release(1), () => journal.sync()]) {
      expect(errorOf(act).message).toContain('it takes nothing more; restart the module')
    }
    expect(bench.events).toEqual([{ type: 'failed', error: journal.failure }])
    journal.close()
    expect(sequences(bench.open())).toEqual([1, 2])
    expect(bench.events.slice(1)).toMatchObject([{ type: 'tornTail', bytes: 10, afterSequence: 2 }])
  })
})

describe('sync', () => {
  test('comes within the interval of the first unsynced record, and the window that a power cut can cost is told', () => {
    const bench = new Bench()
    const journal = bench.open()
    const synced = journal.stats().fsyncs
    fill(journal, 1)
    bench.clock.advance(3_000)
    fill(journal, 1)
    expect(journal.stats()).toMatchObject({ unsyncedMs: 3_000, fsyncs: synced })
    bench.clock.advance(1_999)
    expect(journal.stats().unsyncedMs).toBe(4_999)
    bench.clock.advance(1)
    expect(journal.stats()).toMatchObject({ unsyncedMs: 0, fsyncs: synced + 1 })
    bench.clock.advance(60_000)
    expect(journal.stats().fsyncs).toBe(synced + 1)
  })

  test('on demand starts the interval anew, and with nothing new to sync touches no file', () => {
    const bench = new Bench()
    const journal = bench.open()
    fill(journal, 1)
    bench.clock.advance(3_000)
    journal.sync()
    fill(journal, 1)
    bench.clock.advance(4_999)
    expect(journal.stats().unsyncedMs).toBe(4_999)
    bench.clock.advance(1)
    const { fsyncs, unsyncedMs } = journal.stats()
    expect(unsyncedMs).toBe(0)
    journal.sync()
    expect(journal.stats().fsyncs).toBe(fsyncs)
  })

  test('comes at once when more records wait for it than sequences are passed over after a power cut', () => {
    const journal = new Bench().open({ bytesMax: 32 * 2 ** 20, segmentBytesMax: 8 * 2 ** 20 })
    const batch = Array.from({ length: 2 ** 19 }, () => ({ kind: 1, payload: new Uint8Array() }))
    journal.appendMany(batch)
    journal.appendMany(batch)
    const before = journal.stats().fsyncs
    journal.append(1, Buffer.from('one more'))
    expect(journal.stats().fsyncs).toBeGreaterThan(before)
  })

  test('on demand brings the record and all before it to the disk before append returns', () => {
    const bench = new Bench()
    const journal = bench.open()
    fill(journal, 9)
    journal.append(1, Buffer.from('alert'), { sync: true })
    expect(journal.stats().unsyncedMs).toBe(0)
    for (let seed = 0; seed < 20; seed++) {
      bench.fileSystem.powerCut(seed)
      const reopened = bench.open()
      expect(sequences(reopened)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    }
  })

  test('that fails in the background fails the journal, so that the next append says so', () => {
    const bench = new Bench()
    const journal = bench.open()
    fill(journal, 1)
    bench.fileSystem.fault = ({ name }) => (name === 'sync' ? { code: 'EIO' } : undefined)
    bench.clock.advance(5_000)
    expect(bench.events).toMatchObject([{ type: 'failed' }])
    expect(errorOf(() => fill(journal, 1)).message).toContain('cannot sync')
  })

  test('that fails takes the record of its append back, so that a message delivered again is not there twice', () => {
    const bench = new Bench()
    const journal = bench.open()
    fill(journal, 1)
    bench.fileSystem.fault = ({ name }) => (name === 'sync' ? { code: 'EIO' } : undefined)
    expect(errorOf(() => journal.append(1, Buffer.from('alert'), { sync: true }))).toBe(journal.failure)
    bench.fileSystem.fault = undefined
    bench.fileSystem.kill()
    expect(sequences(bench.open())).toEqual([1])
  })

  test('makes what a killed process left behind durable before openJournal returns', () => {
    const bench = new Bench()
    fill(bench.open(), 12)
    bench.fileSystem.kill()
    bench.open()
    for (let seed = 0; seed < 20; seed++) {
      bench.fileSystem.powerCut(seed)
      expect(sequences(bench.open()).length).toBe(12)
    }
  })
})

describe('read', () => {
  test('keeps to both limits, gives one record where it alone exceeds them, and goes on across segments', () => {
    const journal = new Bench().open()
    fill(journal, 12)
    const read = (from: number, recordsMax: number, bytesMax: number) =>
      journal.read(from, { recordsMax, bytesMax }).map((record) => record.sequence)
    expect(read(1, 2, 10_000)).toEqual([1, 2])
    expect(read(2, 100, 150)).toEqual([2, 3, 4])
    expect(read(5, 100, 1)).toEqual([5])
    expect(read(1, 100, 10_000)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
    expect(read(13, 100, 10_000)).toEqual([])
  })

  test('finds any of thousands of records of mixed sizes, among release marks', () => {
    const journal = new Bench().open({ bytesMax: 10_000_000, segmentBytesMax: 1_000_000 })
    for (let number = 1; number <= 5_000; number++) {
      journal.append(1, Buffer.from(String(number).padEnd((number * 37) % 700, '.')))
      if (number % 10 === 0) journal.release(number / 100)
    }
    for (let number = 51; number <= 5_000; number += 7) {
      const [record, ...others] = journal.read(number, { recordsMax: 1, bytesMax: 1 })
      expect(others).toEqual([])
      expect(record?.sequence).toBe(number)
      expect(record?.payload.toString()).toBe(String(number).padEnd((number * 37) % 700, '.'))
    }
  })

  test('that the disk refuses throws and is no loss', () => {
    const bench = new Bench()
    const journal = bench.open()
    fill(journal, 3)
    bench.fileSystem.fault = ({ name }) => (name === 'read' ? { code: 'EIO' } : undefined)
    expect(errorOf(() => sequences(journal))).toMatchObject({ code: 'STATE_UNWRITABLE' })
    bench.fileSystem.fault = undefined
    expect(sequences(journal)).toEqual([1, 2, 3])
  })
})

describe('release', () => {
  test('survives a kill exactly, and deletes whole segments once a sync has made it durable', () => {
    const bench = new Bench()
    const journal = bench.open()
    fill(journal, 12)
    const files = bench.fileSystem.paths().length
    journal.release(8)
    expect(bench.fileSystem.paths().length).toBe(files)
    bench.fileSystem.kill()
    const reopened = bench.open()
    expect(reopened.releasedSequence).toBe(8)
    expect(sequences(reopened)).toEqual([9, 10, 11, 12])
    expect(bench.fileSystem.paths().length).toBe(files - 2)
    expect(reopened.stats()).toMatchObject({ records: 4, segments: files - 2, bytes: bench.fileSystem.bytes })
  })

  test('never goes back and never ahead of the last record', () => {
    const journal = new Bench().open()
    fill(journal, 3)
    journal.release(2)
    journal.release(1)
    expect(journal.releasedSequence).toBe(2)
    expect(errorOf(() => journal.release(4))).toMatchObject({ code: 'INTERNAL' })
    expect(journal.stats()).toMatchObject({ records: 1, released: 2, appended: 3 })
  })

  test('one by one of more records than marks fit into a segment keeps every later record', () => {
    const bench = new Bench()
    fill(bench.open(), 40, 10)
    bench.fileSystem.powerCut(1)
    bench.fileSystem.kill()
    const journal = bench.open()
    const before = sequences(journal)
    for (const sequence of before) journal.release(sequence)
    const next = journal.append(1, Buffer.alloc(200))
    journal.close()
    expect(sequences(bench.open())).toEqual([next])
  })

  test('of a segment that cannot be deleted is reported and tried again', () => {
    const bench = new Bench()
    const journal = bench.open()
    fill(journal, 8)
    journal.release(8)
    bench.fileSystem.fault = ({ name }) => (name === 'remove' ? { code: 'EPERM' } : undefined)
    journal.sync()
    expect(bench.events).toMatchObject([
      { type: 'notRemoved', segment: '0000000000000001.journal' },
      { type: 'notRemoved', segment: '0000000000000004.journal' },
    ])
    expect(journal.stats().bytes).toBe(bench.fileSystem.bytes)
    bench.fileSystem.fault = undefined
    journal.sync()
    expect(bench.fileSystem.paths()).toEqual([`${folder}/0000000000000007.journal`])
  })
})

describe('a full journal', () => {
  test('refuses, naming value and limit, keeps what it has, and takes records again after a release', () => {
    const bench = new Bench()
    const journal = bench.open()
    const error = errorOf(() => fill(journal, 1_000))
    expect(error).toMatchObject({ code: 'QUEUE_FULL', reaction: 'drop' })
    expect(error.message).toMatch(
      /^journal \/state\/journal: 62 bytes more than the \d+ held exceed bytesMax 4000 less 250 kept/,
    )
    const last = journal.lastSequence
    expect(sequences(journal).length).toBe(last)
    for (let sequence = 1; sequence <= last; sequence++) {
      journal.release(sequence)
      expect(bench.fileSystem.bytes).toBeLessThanOrEqual(4_000)
    }
    const next = journal.append(1, Buffer.alloc(50))
    expect(next).toBeGreaterThan(last)
    bench.fileSystem.kill()
    expect(sequences(bench.open())).toEqual([next])
  })

  test('can be filled and drained for ever within its bound', () => {
    const bench = new Bench()
    const journal = bench.open()
    for (let round = 0; round < 50; round++) {
      errorOf(() => fill(journal, 1_000, 5))
      expect(bench.fileSystem.bytes).toBeLessThanOrEqual(4_000)
      journal.release(journal.lastSequence)
    }
    expect(journal.lastSequence).toBeGreaterThan(50 * 100)
  })
})

describe('opening', () => {
  test('is refused while another holder lives, and possible once it is gone, however it went', () => {
    const bench = new Bench()
    const journal = bench.open()
    expect(errorOf(() => bench.open())).toMatchObject({
      code: 'STATE_LOCKED',
      reaction: 'stop',
      message: 'journal /state/journal: another process holds it; end that one first',
    })
    journal.close()
    bench.open()
    bench.fileSystem.kill()
    bench.open()
  })

  test('is refused where the disk refuses, and holds no lock and no file afterwards', () => {
    const bench = new Bench()
    bench.fileSystem.fault = ({ name }) => (name === 'sync' ? { code: 'EROFS' } : undefined)
    expect(errorOf(() => bench.open())).toMatchObject({ code: 'STATE_UNWRITABLE' })
    bench.fileSystem.fault = undefined
    expect(bench.fileSystem.opened).toBe(0)
    bench.open()
  })

  test.each<[Partial<JournalOptions>, string]>([
    [{ segmentBytesMax: 255 }, 'segmentBytesMax 255 is not within 256 and 8388608'],
    [{ bytesMax: 2 ** 30, segmentBytesMax: 2 ** 24 }, 'segmentBytesMax 16777216 is not within 256 and 8388608'],
    [{ segmentBytesMax: 1_001 }, 'segmentBytesMax 1001 exceeds a quarter of bytesMax 4000'],
    [{ fsyncIntervalMs: 0 }, 'fsyncIntervalMs 0 is not above 0'],
  ])('is refused with sizes that do not fit: %o', (options, text) => {
    expect(errorOf(() => new Bench().open(options))).toMatchObject({
      code: 'CONFIG_REFUSED',
      message: `journal ${folder}: ${text}`,
    })
  })

  test('goes on with the next sequence after a kill, and far beyond all that may have been lost after a power cut', () => {
    const bench = new Bench()
    fill(bench.open(), 3)
    bench.fileSystem.kill()
    const journal = bench.open()
    expect(journal.append(1, Buffer.from('a'))).toBe(4)
    journal.close()
    bench.fileSystem.powerCut(1)
    expect(bench.open().append(1, Buffer.from('b'))).toBe(4 + 2 ** 20 + 1)
  })

  test('again and again without a record in between piles up no segments, and what was passed over is no loss', () => {
    const bench = new Bench()
    fill(bench.open(), 2)
    bench.fileSystem.kill()
    for (let boot = 0; boot < 10; boot++) {
      bench.open()
      bench.fileSystem.powerCut(boot)
    }
    const journal = bench.open()
    expect(bench.fileSystem.paths().length).toBe(2)
    fill(journal, 1)
    journal.close()
    expect(sequences(bench.open()).length).toBe(3)
    expect(bench.events).toEqual([])
  })

  test('passes sequences over each time where the system does not tell one boot from another', () => {
    const bench = new Bench()
    bench.fileSystem.bootId = () => '0'.repeat(32)
    fill(bench.open(), 1)
    bench.fileSystem.kill()
    expect(bench.open().append(1, Buffer.from('a'))).toBe(1 + 2 ** 20 + 1)
  })

  test('never takes a new record for one that is released, even where a mark is ahead of all records found', () => {
    const bench = new Bench()
    const bootId = bench.fileSystem.bootId()
    const header = { version: 1, firstSequence: 1, previousSequence: 0, releasedSequence: 5, bootId }
    bench.fileSystem.place(`${folder}/0000000000000001.journal`, encodeHeader(header))
    const journal = bench.open()
    const next = journal.append(1, Buffer.from('new'))
    expect(sequences(journal)).toEqual([next])
  })

  test('with smaller bounds than before keeps everything and takes records again after a release', () => {
    const bench = new Bench()
    const large = bench.open({ bytesMax: 40_000, segmentBytesMax: 5_000 })
    fill(large, 200)
    large.close()
    const journal = bench.open()
    expect(sequences(journal).length).toBe(200)
    expect(errorOf(() => fill(journal, 1))).toMatchObject({ code: 'QUEUE_FULL' })
    journal.release(200)
    expect(journal.append(1, Buffer.alloc(50))).toBe(201)
    expect(bench.fileSystem.bytes).toBeLessThanOrEqual(4_000)
  })
})

test('closing twice is harmless and anything else afterwards is refused', () => {
  const bench = new Bench()
  const journal = bench.open()
  fill(journal, 1)
  journal.close()
  journal.close()
  expect(bench.fileSystem.opened).toBe(0)
  expect(errorOf(() => fill(journal, 1))).toMatchObject({ code: 'INTERNAL' })
  bench.clock.advance(60_000)
})

test('every event has one line that names place and loss', () => {
  const damage = { position: 64, bytes: 30, fromSequence: 5, throughSequence: 6 }
  const segment = '0000000000000001.journal'
  expect(journalEventText({ type: 'damaged', segment, damage, records: 2 })).toBe(
    '0000000000000001.journal: 30 bytes at 64 are damaged; 2 records lost within 5 to 6',
  )
  expect(journalEventText({ type: 'damaged', segment, damage, records: 0 })).toContain('no record was lost')
  expect(journalEventText({ type: 'missing', fromSequence: 5, throughSequence: 9, records: 5 })).toBe(
    'records are missing; 5 records lost within 5 to 9',
  )
})
