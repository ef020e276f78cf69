import { crc32 } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { ManualClock } from '../clock.ts'
import { openJournal } from './journal.ts'
import { MemoryFileSystem } from './memory-file-system.ts'
import { openQueue, type Queue, type QueueItem, type QueueOptions } from './queue.ts'

const folder = '/state/queue'

class Bench {
  readonly fileSystem = new MemoryFileSystem()
  readonly clock = new ManualClock()
  readonly dropped: QueueItem[] = []

  open(options: Partial<QueueOptions> = {}): Queue {
    const sizes = { bytesMax: 2_000, segmentBytesMax: 400, fsyncIntervalMs: 5_000 }
    const onDropped = (item: QueueItem) => this.dropped.push(item)
    const { fileSystem, clock } = this
    return openQueue({ folder, fileSystem, clock, ...sizes, whenFull: 'dropOldest', onDropped, ...options })
  }
}

function put(queue: Queue, text: string, priority: number): number {
  return queue.put(Buffer.from(text), { priority })
}

function takeAll(queue: Queue): string[] {
  const texts: string[] = []
  for (let item = queue.take(); item !== undefined; item = queue.take()) texts.push(item.payload.toString())
  return texts
}

describe('take', () => {
  test('gives the first priority first and each priority in the order of put, an alert ahead of all queued readings', () => {
    const queue = new Bench().open()
    put(queue, 'reading 1', 5)
    put(queue, 'reading 2', 5)
    put(queue, 'heartbeat', 9)
    expect(queue.take()?.payload.toString()).toBe('reading 1')
    put(queue, 'alert 1', 0)
    put(queue, 'alert 2', 0)
    expect(takeAll(queue)).toEqual(['alert 1', 'alert 2', 'reading 2', 'heartbeat'])
    expect(queue.take()).toBeUndefined()
    expect(queue.size).toBe(5)
  })

  test('gives an item that was put back at its old place, and no item that is taken', () => {
    const queue = new Bench().open()
    const ids = ['a', 'b', 'c', 'd'].map((text) => put(queue, text, 5))
    queue.take()
    queue.take()
    queue.take()
    queue.putBack(ids[2] ?? 0)
    queue.putBack(ids[0] ?? 0)
    queue.putBack(ids[0] ?? 0)
    expect(takeAll(queue)).toEqual(['a', 'c', 'd'])
  })

  test('after a restart gives every item that is not done, taken or not, by priority, then age', () => {
    const bench = new Bench()
    const queue = bench.open()
    const ids = [put(queue, 'a', 5), put(queue, 'b', 5), put(queue, 'c', 0), put(queue, 'd', 5)]
    queue.take()
    queue.take()
    queue.done(ids[1] ?? 0)
    bench.fileSystem.kill()
    expect(takeAll(bench.open())).toEqual(['c', 'a', 'd'])
  })

  test('passes over an item whose bytes are damaged, and the journal reports it', () => {
    const bench = new Bench()
    const reports: string[] = []
    const queue = bench.open({ onEvent: (event) => reports.push(event.type) })
    const [first, , last] = ['first', 'damaged', 'last'].map((text) => put(queue, text, 5))
    const bytes = bench.fileSystem.content(`${folder}/0000000000000001.journal`)
    bytes.writeUInt8(0, bytes.indexOf('damaged'))
    expect(takeAll(queue)).toEqual(['first', 'last'])
    expect(reports).toEqual(['damaged'])
    expect(queue.size).toBe(2)
    queue.done(first ?? 0)
    queue.done(last ?? 0)
    bench.fileSystem.kill()
    expect(bench.open().size).toBe(0)
  })
})

describe('done', () => {
  test('in any order survives a kill, and a queue that is empty frees its folder', () => {
    const bench = new Bench()
    const queue = bench.open()
    const ids = Array.from({ length: 30 }, (_, number) => put(queue, `item ${number}`, number % 10))
    const shuffled = [...ids].sort((a, b) => crc32(String(a)) - crc32(String(b)))
    for (const id of shuffled.slice(0, 20)) queue.done(id)
    bench.fileSystem.kill()
    const reopened = bench.open()
    const left = shuffled.slice(20)
    for (let item = reopened.take(); item !== undefined; item = reopened.take()) {
      expect(left).toContain(item.id)
      reopened.done(item.id)
    }
    expect(reopened.size).toBe(0)
    reopened.sync()
    expect(reopened.stats()).toMatchObject({ items: 0, itemBytes: 0, records: 0, segments: 1 })
  })

  test('of an item that is not there changes nothing', () => {
    const queue = new Bench().open()
    const id = put(queue, 'a', 5)
    queue.done(id + 1)
    queue.done(id)
    queue.done(id)
    queue.putBack(id)
    expect(queue.stats()).toMatchObject({ items: 0, itemBytes: 0 })
  })

  test('that the disk refuses leaves the item in the queue', () => {
    const bench = new Bench()
    const queue = bench.open()
    const ids = [put(queue, 'a', 5), put(queue, 'b', 5)]
    bench.fileSystem.fault = ({ name }) => (name === 'write' ? { code: 'ENOSPC' } : undefined)
    for (const id of ids) expect(() => queue.done(id)).toThrow('cannot write')
    bench.fileSystem.fault = undefined
    expect(takeAll(queue)).toEqual(['a', 'b'])
    for (const id of ids) queue.done(id)
    expect(queue.size).toBe(0)
  })

  test('writes 20 bytes for an item at the front and 18 for any other', () => {
    const queue = new Bench().open()
    const ids = ['a', 'b', 'c'].map((text) => put(queue, text, 5))
    const written = () => queue.stats().writtenBytes
    const before = written()
    queue.done(ids[1] ?? 0)
    expect(written() - before).toBe(18)
    queue.done(ids[0] ?? 0)
    expect(written() - before).toBe(38)
  })
})

describe('a full queue', () => {
  test('that refuses names value and limit, drops nothing and stores nothing', () => {
    const bench = new Bench()
    const queue = bench.open({ whenFull: 'refuse' })
    for (let number = 0; number < 10; number++) put(queue, `${number}`.repeat(182), 9)
    expect(() => put(queue, 'x', 0)).toThrow(
      expect.objectContaining({
        code: 'QUEUE_FULL',
        message: expect.stringContaining('19 bytes more than the 2000 of 10 items exceed bytesMax 2000'),
      }),
    )
    expect(bench.dropped).toEqual([])
    expect(takeAll(queue).length).toBe(10)
  })

  test('drops the oldest of the lowest priority first, only as many as needed, each with its payload', () => {
    const bench = new Bench()
    const queue = bench.open()
    put(queue, 'alert'.padEnd(182), 0)
    const readings = Array.from({ length: 6 }, (_, number) => put(queue, `reading ${number}`.padEnd(182), 5))
    const heartbeats = Array.from({ length: 3 }, (_, number) => put(queue, `heartbeat ${number}`.padEnd(182), 9))
    put(queue, 'a'.padEnd(300), 5)
    expect(bench.dropped.map(({ id, priority, payload }) => [id, priority, payload.toString().trimEnd()])).toEqual([
      [heartbeats[0], 9, 'heartbeat 0'],
      [heartbeats[1], 9, 'heartbeat 1'],
    ])
    put(queue, 'b'.padEnd(182), 5)
    put(queue, 'c'.padEnd(182), 5)
    expect(bench.dropped.slice(2).map(({ id }) => id)).toEqual([heartbeats[2], readings[0]])
    expect(queue.stats().dropped).toBe(4)
    bench.fileSystem.kill()
    const texts = takeAll(bench.open()).map((text) => text.trimEnd())
    expect(texts).toEqual(['alert', ...[1, 2, 3, 4, 5].map((number) => `reading ${number}`), 'a', 'b', 'c'])
  })

  test('drops nothing for an item that would not fit all the same, and nothing that is taken or more important', () => {
    const bench = new Bench()
    const queue = bench.open()
    for (let number = 0; number < 9; number++) put(queue, `alert ${number}`.padEnd(182), 0)
    put(queue, 'reading'.padEnd(182), 5)
    expect(() => put(queue, 'large'.padEnd(300), 5)).toThrow(expect.objectContaining({ code: 'QUEUE_FULL' }))
    expect(() => put(queue, 'late', 9)).toThrow(expect.objectContaining({ code: 'QUEUE_FULL' }))
    for (let number = 0; number < 10; number++) queue.take()
    expect(() => put(queue, 'alert'.padEnd(182), 0)).toThrow(expect.objectContaining({ code: 'QUEUE_FULL' }))
    expect(bench.dropped).toEqual([])
  })

  test('keeps an item whose drop could not be reported', () => {
    const bench = new Bench()
    const onDropped = () => {
      throw new Error('nowhere to report')
    }
    const queue = bench.open({ onDropped })
    for (let number = 0; number < 10; number++) put(queue, `${number}`.repeat(182), 5)
    expect(() => put(queue, 'new', 5)).toThrow('nowhere to report')
    expect(takeAll(queue).length).toBe(10)
  })

  test.each(['refuse', 'dropOldest'] as const)(
    'with %s refuses what can never fit, and drops nothing for it',
    (whenFull) => {
      const bench = new Bench()
      const queue = bench.open({ whenFull })
      put(queue, 'a', 5)
      expect(() => put(queue, 'x'.repeat(319), 5)).toThrow(
        expect.objectContaining({
          code: 'MESSAGE_TOO_LARGE',
          message: expect.stringContaining('337 bytes exceeds 336'),
        }),
      )
      put(queue, 'x'.repeat(318), 5)
      expect(bench.dropped).toEqual([])
    },
  )
})

test('an item of the largest size can be moved', () => {
  const bench = new Bench()
  const queue = bench.open()
  const old = put(queue, 'o'.repeat(318), 9)
  for (let number = 0; number < 300; number++) queue.done(put(queue, `${number}`.repeat(50), 0))
  expect(queue.take()).toMatchObject({ id: old, payload: Buffer.from('o'.repeat(318)) })
})

/** Puts and finishes items until what is done takes as much room as it may, behind one item that waits. */
function pileUp(queue: Queue, bytesMax: number): void {
  put(queue, 'old', 9)
  while (queue.stats().bytes < bytesMax - 50) queue.done(put(queue, 'passing', 0))
}

test('whatever was done before, all of bytesMax can be put without anything done in between', () => {
  const bench = new Bench()
  const queue = bench.open({ bytesMax: 40_000, whenFull: 'refuse' })
  pileUp(queue, 80_800)
  for (let number = 0; number < 199; number++) put(queue, `${number}`.padEnd(182), 5)
  expect(queue.stats()).toMatchObject({ items: 200, itemBytes: 39_821 })
  expect(bench.fileSystem.bytes).toBeLessThanOrEqual(2 * 40_000 + 8 * 400 + 4096)
})

test('done for an item that turns out to be damaged as it is moved counts it once', () => {
  const bench = new Bench()
  const queue = bench.open({ onEvent: () => {} })
  const old = put(queue, 'damaged', 9)
  const path = `${folder}/0000000000000001.journal`
  const bytes = bench.fileSystem.content(path)
  bytes.writeUInt8(0, bytes.indexOf('damaged'))
  let moved = false
  for (let number = 0; number < 200 && !moved; number++) {
    const id = put(queue, 'passing'.padEnd(100), 0)
    moved = queue.stats().bytes > 2 * 2_000 + 2 * 400
    queue.done(moved ? old : id)
  }
  expect(moved).toBe(true)
  expect(bench.fileSystem.paths()).not.toContain(path)
  expect(queue.stats()).toMatchObject({ items: 1, itemBytes: 100 + 18 })
})

test.each(['refuse', 'dropOldest'] as const)(
  'with lower bounds than before and %s every item is still there and can be done',
  (whenFull) => {
    const bench = new Bench()
    const before = bench.open({ bytesMax: 40_000 })
    const ids = Array.from({ length: 200 }, (_, number) => put(before, `${number}`.padEnd(182), 5))
    bench.fileSystem.kill()
    const queue = bench.open({ whenFull })
    expect(queue.size).toBe(200)
    if (whenFull === 'refuse')
      expect(() => put(queue, 'new', 5)).toThrow(expect.objectContaining({ code: 'QUEUE_FULL' }))
    else {
      put(queue, 'new', 5)
      expect(bench.dropped.map((item) => item.id)).toEqual(ids.slice(0, 191))
    }
    for (const id of ids.toReversed()) queue.done(id)
    expect(queue.size).toBe(whenFull === 'refuse' ? 0 : 1)
    for (let number = 0; number < 5; number++) put(queue, `${number}`.padEnd(182), 5)
    bench.fileSystem.kill()
    expect(bench.open().size).toBe(whenFull === 'refuse' ? 5 : 6)
    expect(bench.fileSystem.bytes).toBeLessThanOrEqual(2 * 2_000 + 8 * 400 + 4096)
  },
)

test('with lower bounds than before nothing is moved that could not make room', () => {
  const bench = new Bench()
  const before = bench.open({ bytesMax: 40_000 })
  const ids = Array.from({ length: 40 }, (_, number) => put(before, `${number}`.padEnd(182), 5))
  bench.fileSystem.kill()
  const queue = bench.open()
  const written = queue.stats().writtenBytes
  queue.done(ids[20] ?? 0)
  expect(queue.stats().writtenBytes - written).toBeLessThanOrEqual(18 + 64)
})

test('segments that cannot be deleted fill the folder up to its bound, and nothing is lost or hangs', () => {
  const bench = new Bench()
  const queue = bench.open()
  put(queue, 'old', 9)
  bench.fileSystem.fault = ({ name }) => (name === 'remove' ? { code: 'EPERM' } : undefined)
  const passAll = () => {
    for (let number = 0; number < 1_000; number++) queue.done(put(queue, 'passing', 0))
  }
  expect(passAll).toThrow(expect.objectContaining({ code: 'QUEUE_FULL' }))
  bench.fileSystem.fault = undefined
  passAll()
  expect(takeAll(queue)).toContain('old')
})

test.each([-1, 10, 0.5])('priority %d is refused', (priority) => {
  expect(() => put(new Bench().open(), 'a', priority)).toThrow('priority')
})

test('an item found twice, as a kill in mid-move leaves it, is one item, keeps its age, and is done once', () => {
  const bench = new Bench()
  const { fileSystem, clock } = bench
  const journal = openJournal({ folder, fileSystem, clock, bytesMax: 4_000, segmentBytesMax: 400, fsyncIntervalMs: 1 })
  journal.append(6, Buffer.from('a'))
  journal.append(6, Buffer.from('b'))
  journal.append(16, Buffer.concat([Buffer.from([1, 0, 0, 0, 0, 0]), Buffer.from('a')]))
  journal.close()
  const queue = bench.open()
  expect(queue.stats()).toMatchObject({ items: 2, itemBytes: 38 })
  expect(queue.take()).toMatchObject({ id: 1, priority: 5, payload: Buffer.from('a') })
  queue.done(1)
  fileSystem.kill()
  expect(takeAll(bench.open())).toEqual(['b'])
})

test('a record kind of a newer version is refused, not passed over', () => {
  const bench = new Bench()
  bench.open().close()
  const { fileSystem, clock } = bench
  const journal = openJournal({ folder, fileSystem, clock, bytesMax: 4_000, segmentBytesMax: 400, fsyncIntervalMs: 1 })
  journal.append(22, Buffer.from('from the future'))
  journal.close()
  for (let time = 0; time < 2; time++) {
    expect(() => bench.open()).toThrow(expect.objectContaining({ code: 'STATE_NEWER' }))
  }
  expect(fileSystem.opened).toBe(0)
})
