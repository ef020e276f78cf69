import { cpSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ManualClock } from '@weir/lib/clock'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Database } from './database.ts'
import { GroupCommit } from './group-commit.ts'
import type { Destination, HubMessage, QueuedMessage } from './message.ts'
import { MessageStore } from './store.ts'

let folder: string
let clock: ManualClock
let opened: Database[]
let expired: QueuedMessage[]
let available: string[]

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weir-store-'))
  clock = new ManualClock()
  opened = []
  expired = []
  available = []
})
afterEach(() => {
  for (const database of opened) database.close()
  rmSync(folder, { recursive: true })
})

interface Opened {
  readonly database: Database
  readonly commit: GroupCommit
  readonly store: MessageStore
}

function open(path = join(folder, 'hub.db')): Opened {
  const database = new Database(path)
  opened.push(database)
  const commit = new GroupCommit(database, clock)
  const store = new MessageStore(database, commit, clock, {
    available: (target) => available.push(target),
    expired: (queued) => expired.push(queued),
  })
  return { database, commit, store }
}

/** What a process finds that starts after this one was killed: the files as they are now. */
function reopenAfterKill(name = 'after-kill'): Opened {
  cpSync(join(folder, 'hub.db'), join(folder, `${name}.db`))
  cpSync(join(folder, 'hub.db-wal'), join(folder, `${name}.db-wal`))
  return open(join(folder, `${name}.db`))
}

function message(text: string): HubMessage {
  return {
    kind: 'message',
    moduleId: 'reader',
    properties: { __proto__: 'x', name: text },
    systemProperties: { messageId: text },
    body: Buffer.from(text),
    enqueuedMs: clock.nowMs(),
  }
}

function to(target: string, priority = 5, expiresMs?: number, input = 'in'): Destination {
  return { target, input, priority, expiresMs }
}

function texts(queued: readonly QueuedMessage[]): string[] {
  return queued.map(({ message: { body } }) => body.toString())
}

function put({ commit, store }: Opened, text: string, ...destinations: Destination[]): void {
  store.put(message(text), destinations, (error) => expect(error).toBeUndefined())
  commit.flush()
}

/** Takes all there is for `target`, in the order of delivery. */
function drain({ store }: Opened, target: string): string[] {
  const taken: string[] = []
  for (let [first] = store.peek(target, 1); first !== undefined; [first] = store.peek(target, 1)) {
    taken.push(first.message.body.toString())
    store.done(first)
  }
  return taken
}

describe('what is acknowledged', () => {
  test('a message is told stored only once a killed process would find it', () => {
    const hub = open()
    const stored: string[] = []
    hub.store.put(message('a'), [to('sink')], () => stored.push('a'))
    hub.store.put(message('b'), [to('sink')], () => stored.push('b'))
    expect(stored).toEqual([])
    expect(drain(reopenAfterKill('before'), 'sink')).toEqual([])
    hub.commit.flush()
    expect(stored).toEqual(['a', 'b'])
    expect(drain(reopenAfterKill('after'), 'sink')).toEqual(['a', 'b'])
  })

  test('messages of one turn are written together, without being asked', async () => {
    const { store } = open()
    const stored = [1, 2, 3].map(
      (number) => new Promise((resolve) => store.put(message(String(number)), [to('sink')], resolve)),
    )
    expect(await Promise.all(stored)).toEqual([undefined, undefined, undefined])
  })

  test('nothing of a group that cannot be written is told stored, and the next group is', () => {
    const hub = open()
    const errors: (string | undefined)[] = []
    const full = () => {
      throw new Error('database or disk is full')
    }
    hub.store.put(message('a'), [to('sink')], (error) => errors.push(error?.code))
    hub.commit.write(full, () => {})
    hub.commit.flush()
    expect(errors).toEqual(['STATE_UNWRITABLE'])
    expect(hub.store.peek('sink', 1)).toEqual([])
    put(hub, 'b', to('sink'))
    expect(drain(reopenAfterKill(), 'sink')).toEqual(['b'])
  })

  test('what was delivered and written does not come back', () => {
    const hub = open()
    for (const text of ['a', 'b', 'c']) put(hub, text, to('sink'))
    for (const queued of hub.store.peek('sink', 2)) hub.store.done(queued)
    hub.commit.flush()
    expect(drain(reopenAfterKill(), 'sink')).toEqual(['c'])
  })

  test('a message keeps everything over a restart, and its identity', () => {
    const hub = open()
    put(hub, 'a', to('sink', 3, clock.nowMs() + 1000, 'other'))
    const [before] = hub.store.peek('sink', 1)
    const [after] = reopenAfterKill().store.peek('sink', 1)
    expect(after).toEqual(before)
    expect(after?.message.body).toBeInstanceOf(Buffer)
  })

  test('identities are never given twice, even when the queue was empty at the restart', () => {
    const hub = open()
    put(hub, 'a', to('sink'))
    const [first] = hub.store.peek('sink', 1)
    drain(hub, 'sink')
    hub.commit.flush()
    const again = reopenAfterKill()
    put(again, 'b', to('sink'))
    expect(again.store.peek('sink', 1)[0]?.storeId).not.toBe(first?.storeId)
  })
})

describe('order', () => {
  test('each queue keeps its order, the lowest priority number goes first', () => {
    const hub = open()
    put(hub, 'low-1', to('sink', 5))
    put(hub, 'default', to('sink', 2_000_000_000))
    put(hub, 'high-1', to('sink', 0))
    put(hub, 'low-2', to('sink', 5))
    put(hub, 'high-2', to('sink', 0))
    const order = ['high-1', 'high-2', 'low-1', 'low-2', 'default']
    expect(drain(reopenAfterKill(), 'sink')).toEqual(order)
    expect(hub.store.highestPriority('sink')).toBe(0)
    expect(drain(hub, 'sink')).toEqual(order)
    expect(hub.store.highestPriority('sink')).toBeUndefined()
  })

  test('one peek holds one priority only, and stays until it is done', () => {
    const hub = open()
    put(hub, 'low', to('sink', 5))
    put(hub, 'high', to('sink', 1))
    expect(texts(hub.store.peek('sink', 10))).toEqual(['high'])
    expect(texts(hub.store.peek('sink', 10))).toEqual(['high'])
  })

  test('inputs of one module share a queue in the order of arrival', () => {
    const hub = open()
    put(hub, 'a', to('sink', 5, undefined, 'one'))
    put(hub, 'b', to('sink', 5, undefined, 'two'))
    put(hub, 'c', to('sink', 5, undefined, 'one'))
    expect(hub.store.lengths()).toEqual([
      { target: 'sink', input: 'one', priority: 5, count: 2 },
      { target: 'sink', input: 'two', priority: 5, count: 1 },
    ])
    expect(drain(hub, 'sink')).toEqual(['a', 'b', 'c'])
  })

  test('queues longer than what is in memory come whole and in order, while more arrive', () => {
    const hub = open()
    const all = Array.from({ length: 1000 }, (_, index) => String(index))
    for (const text of all) hub.store.put(message(text), [to('sink')], () => {})
    hub.commit.flush()
    const taken: string[] = []
    for (let index = 0; index < 700; index++) {
      const [first] = hub.store.peek('sink', 1)
      if (first === undefined) break
      taken.push(first.message.body.toString())
      hub.store.done(first)
      if (index % 7 === 0) {
        all.push(`late-${index}`)
        put(hub, `late-${index}`, to('sink'))
      }
    }
    hub.commit.flush()
    expect([...taken, ...drain(reopenAfterKill(), 'sink')]).toEqual(all)
    expect([...taken, ...drain(hub, 'sink')]).toEqual(all)
  })

  test('a message done out of order leaves the others where they are', () => {
    const hub = open()
    for (const text of ['a', 'b', 'c']) put(hub, text, to('sink'))
    const [, second] = hub.store.peek('sink', 3)
    if (second !== undefined) hub.store.done(second)
    expect(texts(hub.store.peek('sink', 3))).toEqual(['a', 'c'])
    hub.commit.flush()
    expect(drain(reopenAfterKill(), 'sink')).toEqual(['a', 'c'])
  })
})

describe('memory and disk', () => {
  test('a long queue is on disk: a peek holds no more than its window', () => {
    const hub = open()
    for (let index = 0; index < 500; index++) hub.store.put(message(String(index)), [to('sink')], () => {})
    hub.commit.flush()
    expect(hub.store.peek('sink', 1000).length).toBeLessThan(200)
    expect(hub.store.lengths()).toMatchObject([{ count: 500 }])
  })

  test('large messages fill the window by their bytes', () => {
    const hub = open()
    const body = Buffer.alloc(250_000)
    for (let index = 0; index < 40; index++) hub.store.put({ ...message('x'), body }, [to('sink')], () => {})
    hub.commit.flush()
    expect(hub.store.peek('sink', 100).length).toBeLessThan(15)
    expect(hub.store.peek('sink', 100).length).toBeGreaterThan(1)
  })

  test('a body that several queues share is on disk once, and goes with the last of them', () => {
    const hub = open()
    const body = Buffer.alloc(200_000, 1)
    hub.store.put({ ...message('x'), body }, [to('one'), to('two'), to('$upstream', 5, undefined, '')], () => {})
    hub.commit.flush()
    const rows = () => Number(hub.database.prepare('SELECT count(*) AS n FROM message').get()?.['n'])
    expect(rows()).toBe(1)
    for (const target of ['one', 'two', '$upstream']) {
      expect(rows()).toBe(1)
      expect(drain(hub, target)).toHaveLength(1)
      hub.commit.flush()
    }
    expect(rows()).toBe(0)
    expect(Number(hub.database.prepare('SELECT count(*) AS n FROM delivery').get()?.['n'])).toBe(0)
  })

  test('space of what is delivered is used again', () => {
    const hub = open()
    const body = Buffer.alloc(100_000)
    for (let round = 0; round < 30; round++) {
      for (let index = 0; index < 10; index++) hub.store.put({ ...message('x'), body }, [to('sink')], () => {})
      hub.commit.flush()
      drain(hub, 'sink')
      hub.commit.flush()
    }
    hub.database.close()
    expect(statSync(join(folder, 'hub.db')).size).toBeLessThan(4_000_000)
  })

  test('a file that grew is given back to the file system', () => {
    const hub = open()
    const body = Buffer.alloc(250_000)
    for (let index = 0; index < 100; index++) hub.store.put({ ...message('x'), body }, [to('sink')], () => {})
    hub.commit.flush()
    drain(hub, 'sink')
    hub.commit.flush()
    for (let round = 0; round < 4; round++) hub.database.reclaim()
    hub.database.close()
    expect(statSync(join(folder, 'hub.db')).size).toBeLessThan(20_000_000)
  })
})

describe('time to live', () => {
  test('an expired message is dropped when its turn comes, and told', () => {
    const hub = open()
    put(hub, 'short', to('sink', 5, clock.nowMs() + 1000))
    put(hub, 'long', to('sink', 5, clock.nowMs() + 5000))
    put(hub, 'forever', to('sink'))
    clock.advance(1000)
    expect(texts(hub.store.peek('sink', 1))).toEqual(['long'])
    expect(texts(expired)).toEqual(['short'])
    clock.advance(10_000)
    expect(drain(hub, 'sink')).toEqual(['forever'])
    expect(texts(expired)).toEqual(['short', 'long'])
    hub.commit.flush()
    expect(drain(reopenAfterKill(), 'sink')).toEqual([])
  })

  test('expired messages of a module that never fetches are swept, however many', async () => {
    const hub = open()
    for (let index = 0; index < 400; index++) {
      hub.store.put(message(String(index)), [to('gone', 5, clock.nowMs() + 1000)], () => {})
    }
    put(hub, 'stays', to('gone'))
    clock.advance(2000)
    await hub.store.sweep()
    expect(expired).toHaveLength(400)
    expect(drain(hub, 'gone')).toEqual(['stays'])
  })

  test('a fetch that finds only expired messages in memory asks to be repeated', async () => {
    const hub = open()
    for (let index = 0; index < 400; index++) {
      hub.store.put(message(String(index)), [to('sink', 5, clock.nowMs() + 1000)], () => {})
    }
    hub.commit.flush()
    available = []
    clock.advance(2000)
    expect(hub.store.peek('sink', 1)).toEqual([])
    await new Promise(setImmediate)
    expect(available).toEqual(['sink'])
  })
})

test('a second process cannot open the store', () => {
  open()
  expect(() => open()).toThrow(expect.objectContaining({ code: 'STATE_LOCKED' }))
})

test('a file that is no store is refused by name', () => {
  writeFileSync(join(folder, 'hub.db'), 'x'.repeat(5000))
  expect(() => open()).toThrow(expect.objectContaining({ code: 'STATE_DAMAGED' }))
})

test('a store that a newer version wrote is refused by name', () => {
  const { database } = open()
  database.prepare('PRAGMA user_version = 99').run()
  database.close()
  expect(() => open()).toThrow(/version 99 is newer than 1/)
})
