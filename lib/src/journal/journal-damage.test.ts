import { crc32 } from 'node:zlib'
import { beforeEach, describe, expect, test } from 'vitest'
import { ManualClock } from '../clock.ts'
import { encodeHeader, headerBytes, isRecord, segmentSeed } from './format.ts'
import { type Journal, type JournalEvent, openJournal } from './journal.ts'
import { MemoryFileSystem } from './memory-file-system.ts'

const folder = '/j'
const releasedSequence = 3

let fileSystem: MemoryFileSystem
let events: JournalEvent[]

function open(): Journal {
  events = []
  const clock = new ManualClock()
  const sizes = { bytesMax: 8_000, segmentBytesMax: 256 }
  return openJournal({
    folder,
    fileSystem,
    clock,
    ...sizes,
    fsyncIntervalMs: 1_000,
    onEvent: (event) => events.push(event),
  })
}

function contents(journal: Journal): Map<number, string> {
  const found = new Map<number, string>()
  journal.replay(({ sequence, payload }) => found.set(sequence, payload.toString('latin1')))
  return found
}

/** Ten records in four segments, the first three records released, their segment not yet deleted; then a kill. */
function build(): Map<number, string> {
  fileSystem = new MemoryFileSystem()
  const journal = open()
  for (let number = 1; number <= 10; number++) {
    journal.append(number, Buffer.from(`record ${number} `.padEnd(30 + 3 * number, '\0\xff'), 'latin1'))
    if (number === 8) journal.release(releasedSequence)
  }
  return contents(journal)
}

/** The sequence of the record that holds a byte; 0: the header or a mark does. */
function sequenceAt(path: string, position: number): number {
  const bytes = fileSystem.content(path)
  const firstSequence = Number(path.slice(folder.length + 1, -'.journal'.length))
  let sequence = firstSequence
  for (let at = headerBytes; at < bytes.length; ) {
    expect(isRecord(bytes, at, bytes.length, segmentSeed(firstSequence))).toBe(true)
    const end = at + 12 + bytes.readUIntLE(at + 4, 3)
    const mark = bytes.readUInt8(at + 7) === 255
    if (position >= at && position < end) return mark ? 0 : sequence
    if (!mark) sequence++
    at = end
  }
  return 0
}

function snapshot(): Map<string, Buffer> {
  return new Map(fileSystem.paths().map((path) => [path, Buffer.from(fileSystem.content(path))]))
}

function restore(files: ReadonlyMap<string, Buffer>): void {
  fileSystem = new MemoryFileSystem()
  for (const [path, bytes] of files) fileSystem.place(path, bytes)
}

let original: Map<number, string>
let files: Map<string, Buffer>

beforeEach(() => {
  original = build()
  files = snapshot()
  expect([...original.keys()]).toEqual([4, 5, 6, 7, 8, 9, 10])
  expect(files.size).toBe(4)
})

function lastPath(): string {
  return [...files.keys()].at(-1) ?? ''
}

function bytesOf(path: string): Buffer {
  return Buffer.from(files.get(path) ?? [])
}

describe.each([1, 128, 255])('any one byte changed by %d', (mask) => {
  test('costs at most the record that holds it, is reported, and leaves a journal that goes on', () => {
    for (const [path, bytes] of files) {
      for (let position = 0; position < bytes.length; position++) {
        restore(files)
        const hit = sequenceAt(path, position)
        const damaged = Buffer.from(bytes)
        damaged.writeUInt8((bytes[position] ?? 0) ^ mask, position)
        fileSystem.place(path, damaged)
        expectSurvivors(hit, `${path} at ${position}`)
      }
    }
  })
})

function expectSurvivors(hit: number, place: string): void {
  let journal = open()
  expect(events, place).not.toEqual([])
  const { tornBytes, corruptRecords } = journal.stats()
  expect(tornBytes > 0 ? 1 : corruptRecords, place).toBe(hit > releasedSequence || tornBytes > 0 ? 1 : 0)
  const expected = new Map([...original].filter(([sequence]) => sequence !== hit))
  for (const found of [contents(journal), contents(journal)]) {
    const unreleased = [...found].filter(([sequence]) => sequence > releasedSequence)
    expect(unreleased, place).toEqual([...expected])
  }
  const next = journal.append(1, Buffer.from('new'))
  expect(next, place).toBeGreaterThan(10)
  fileSystem.kill()
  journal = open()
  const unreleased = [...contents(journal)].filter(([sequence]) => sequence > releasedSequence)
  expect(unreleased, place).toEqual([...expected, [next, 'new']])
}

test('a segment cut at any byte keeps every record before the cut, and all that is missing is counted unless it was the last', () => {
  for (const [path, bytes] of files) {
    for (let length = 0; length < bytes.length; length++) {
      restore(files)
      const lost = new Set<number>()
      for (let position = length; position < bytes.length; position++) lost.add(sequenceAt(path, position))
      fileSystem.place(path, bytes.subarray(0, length))
      const journal = open()
      const kept = [...original].filter(([sequence]) => !lost.has(sequence))
      const found = [...contents(journal)].filter(([sequence]) => sequence > releasedSequence)
      expect(found, `${path} cut at ${length}`).toEqual(kept)
      if (path !== lastPath()) expect(journal.stats().corruptRecords).toBe(original.size - kept.length)
    }
  }
})

test('a tail of zeros, as a power cut leaves, is cut off and counted', () => {
  restore(files)
  const bytes = bytesOf(lastPath())
  fileSystem.place(lastPath(), Buffer.concat([bytes, Buffer.alloc(5_000)]))
  const journal = open()
  expect(events).toEqual([{ type: 'tornTail', segment: lastPath().slice(3), bytes: 5_000, afterSequence: 10 }])
  expect(journal.stats().tornBytes).toBe(5_000)
  expect(contents(journal)).toEqual(original)
  expect(fileSystem.content(lastPath()).length).toBe(bytes.length)
})

test('a restart after a torn tail keeps every acknowledged record and gives no sequence twice', () => {
  restore(files)
  const bytes = bytesOf(lastPath())
  fileSystem.place(lastPath(), bytes.subarray(0, bytes.length - 1))
  const journal = open()
  expect([...contents(journal).keys()]).toEqual([4, 5, 6, 7, 8, 9])
  const next = journal.append(1, Buffer.from('new'))
  expect(next).toBeGreaterThan(10)
  journal.close()
  expect([...contents(open()).keys()]).toEqual([4, 5, 6, 7, 8, 9, next])
  expect(events).toEqual([])
})

test.each([1, 2])('segment %d gone: its unreleased records are named as missing and the others are there', (index) => {
  restore(files)
  const paths = [...files.keys()]
  const [path, next] = [paths[index] ?? '', paths[index + 1] ?? '']
  const from = Number(path.slice(3, -8))
  const through = Number(next.slice(3, -8)) - 1
  fileSystem.remove(path)
  const journal = open()
  const missing = through - from + 1
  expect(events).toEqual([{ type: 'missing', fromSequence: from, throughSequence: through, records: missing }])
  expect(journal.stats().corruptRecords).toBe(missing)
  expect([...contents(journal).keys()]).toEqual([...original.keys()].filter((one) => one < from || one > through))
})

test('a damaged header hides no missing segment, and makes no loss of sequences that were passed over', () => {
  restore(files)
  const [, second = '', third = '', last = ''] = [...files.keys()]
  fileSystem.remove(second)
  damageHeader(third)
  open()
  const [from, through] = [Number(second.slice(3, -8)), Number(third.slice(3, -8)) - 1]
  const missing = { type: 'missing', fromSequence: from, throughSequence: through, records: through - from + 1 }
  expect(events).toEqual([{ type: 'damagedHeader', segment: third.slice(3) }, missing])

  restore(files)
  fileSystem.powerCut(1)
  const journal = open()
  journal.append(1, Buffer.from('after the power cut'))
  journal.close()
  expect(fileSystem.paths().length).toBe(files.size)
  const afterSkip = fileSystem.paths().at(-1) ?? ''
  expect(afterSkip > last).toBe(true)
  damageHeader(afterSkip)
  expect([...contents(open()).values()]).toEqual([...original.values(), 'after the power cut'])
  expect(events).toEqual([{ type: 'damagedHeader', segment: afterSkip.slice(3) }])
})

function damageHeader(path: string): void {
  const bytes = Buffer.from(fileSystem.content(path))
  bytes.fill(0, 20, 40)
  fileSystem.place(path, bytes)
}

test('a first segment gone whose records were all released is no loss', () => {
  restore(files)
  fileSystem.remove([...files.keys()][0] ?? '')
  expect(contents(open())).toEqual(original)
  expect(events).toEqual([])
})

test('a damaged stretch of a segment costs the records in it and no other, whatever lengths it seems to hold', () => {
  restore(files)
  const path = [...files.keys()][1] ?? ''
  const bytes = bytesOf(path)
  const first = Number(path.slice(3, -8))
  bytes.fill(0xff, headerBytes + 5, headerBytes + 60)
  fileSystem.place(path, bytes)
  const journal = open()
  expect(events).toMatchObject([{ type: 'damaged', damage: { fromSequence: first }, records: 2 }])
  expect([...contents(journal).keys()]).toEqual(
    [...original.keys()].filter((one) => one !== first && one !== first + 1),
  )
})

test('a block that the disk cannot read costs its records for now, and nothing next to it is cut off', () => {
  restore(files)
  const path = lastPath()
  fileSystem.fault = ({ name, path: at }) => (name === 'read' && at === path ? { code: 'EIO' } : undefined)
  const journal = open()
  expect(events.length).toBeGreaterThan(0)
  fileSystem.fault = undefined
  expect(contents(journal).has(4)).toBe(true)
  expect(journal.append(1, Buffer.from('new'))).toBeGreaterThan(10)
  journal.close()
  expect([...contents(open()).values()]).toEqual([...original.values(), 'new'])
})

test('a block at the end that the disk cannot read now hides its records for now, and their sequences are not given again', () => {
  fileSystem = new MemoryFileSystem()
  const sizes = { bytesMax: 100_000, segmentBytesMax: 20_000 }
  const reopen = () => {
    events = []
    const onEvent = (event: JournalEvent) => events.push(event)
    return openJournal({ folder, fileSystem, clock: new ManualClock(), ...sizes, fsyncIntervalMs: 1_000, onEvent })
  }
  const first = reopen()
  for (let number = 1; number <= 100; number++) first.append(1, Buffer.alloc(100, number))
  fileSystem.kill()
  fileSystem.fault = ({ name, position, length }) => {
    return name === 'read' && position + length > 8_192 ? { code: 'EIO' } : undefined
  }
  const journal = reopen()
  const found = [...contents(journal).keys()]
  expect(found).toEqual(Array.from({ length: 72 }, (_, index) => index + 1))
  expect(events).toMatchObject([{ type: 'damaged', records: 0 }])
  const next = journal.append(1, Buffer.from('new'))
  expect(next).toBeGreaterThan(100)
  fileSystem.fault = undefined
  fileSystem.kill()
  expect([...contents(reopen()).keys()]).toEqual([...Array.from({ length: 100 }, (_, index) => index + 1), next])
  expect(events).toEqual([])
})

test('flash that fades after the journal was opened: the record is passed over, reported once, and the next ones come', () => {
  restore(files)
  const journal = open()
  const path = [...files.keys()][1] ?? ''
  fileSystem.content(path).writeUInt8(0x55, headerBytes + 20)
  const hit = Number(path.slice(3, -8))
  for (let time = 0; time < 2; time++) {
    expect([...contents(journal).keys()]).toEqual([...original.keys()].filter((one) => one !== hit))
    expect(journal.read(hit, { recordsMax: 1, bytesMax: 1 })[0]?.sequence).toBe(hit + 1)
  }
  expect(events).toMatchObject([{ type: 'damaged', records: 1, damage: { fromSequence: hit, throughSequence: hit } }])
  expect(journal.stats().records).toBe(original.size - 1)
})

test('a payload that is a copy of other segments is never taken for their records', () => {
  restore(files)
  let journal = open()
  const copy = bytesOf([...files.keys()][2] ?? '').subarray(headerBytes, headerBytes + 120)
  const sequence = journal.append(7, copy)
  journal.close()
  const path = fileSystem.paths().at(-1) ?? ''
  const bytes = Buffer.from(fileSystem.content(path))
  bytes.writeUInt8(bytes.readUInt8(headerBytes) ^ 1, headerBytes)
  fileSystem.place(path, bytes)
  journal = open()
  expect([...contents(journal).keys()]).not.toContain(sequence)
  expect([...contents(journal)].every(([one, text]) => original.get(one) === text)).toBe(true)
})

test('a newer format version is refused by name and nothing is touched', () => {
  restore(files)
  const path = lastPath()
  const bytes = bytesOf(path)
  bytes.writeUInt16LE(7, 8)
  bytes.writeUInt32LE(crc32(bytes.subarray(0, headerBytes - 4)), headerBytes - 4)
  fileSystem.place(path, bytes)
  const before = snapshot()
  const refusal = /journal \/j: format version 7 of \d{16}\.journal is newer than 1; upgrade, or move the folder away/
  expect(open).toThrow(refusal)
  expect(open).toThrow(expect.objectContaining({ code: 'STATE_NEWER', reaction: 'stop' }))
  expect(snapshot()).toEqual(before)
  expect(fileSystem.opened).toBe(0)
})

test('a segment whose first write was cut short by a kill is removed and costs nothing', () => {
  restore(files)
  const header = { version: 1, firstSequence: 11, previousSequence: 10, releasedSequence, bootId: fileSystem.bootId() }
  fileSystem.place('/j/0000000000000011.journal', encodeHeader(header).subarray(0, 20))
  const journal = open()
  expect(events).toEqual([])
  expect(contents(journal)).toEqual(original)
  expect(journal.append(1, Buffer.from('new'))).toBe(11)
})
