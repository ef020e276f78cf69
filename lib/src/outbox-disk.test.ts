import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ManualClock } from './clock.ts'
import type { OutputMessage } from './hub.ts'
import { createLog } from './log-stdout.ts'
import { DiskOutboxStore, decodeMessage, encodeMessage, SpillingOutboxStore } from './outbox-disk.ts'
import type { OutboxStore } from './outbox-store.ts'
import { temporaryFolder } from './test-context.ts'

const message = (messageId: string, bytes = 2): OutputMessage => ({
  output: 'out',
  messageId,
  body: Buffer.alloc(bytes, 'x'),
  properties: { deviceId: 'press-4' },
})

function openDisk(folder: string, dropped: string[] = []): DiskOutboxStore {
  const clock = new ManualClock()
  return new DiskOutboxStore({
    folder: join(folder, 'outbox'),
    bytesMax: 4 * 1024 * 1024,
    fsyncIntervalMs: 5_000,
    clock,
    log: createLog('info', clock, () => {}),
    onDropped: ({ messageId }) => dropped.push(messageId),
  })
}

const openSpilling = (folder: string) => new SpillingOutboxStore(openDisk(folder), 2_000)

/** Takes and finishes everything that waits. */
function drain(store: OutboxStore): string[] {
  const ids: string[] = []
  for (let item = store.take(); item !== undefined; item = store.take()) {
    ids.push(item.message.messageId)
    store.done(item.id)
  }
  return ids
}

describe('a message on the disk', () => {
  it('comes back as it was', () => {
    const messages = fc.record({
      output: fc.string(),
      messageId: fc.string(),
      body: fc.uint8Array().map((bytes) => Buffer.from(bytes)),
      properties: fc.dictionary(fc.string(), fc.string(), { noNullPrototype: true }),
    })
    fc.assert(
      fc.property(messages, (each) => {
        expect(decodeMessage(encodeMessage(each))).toEqual(each)
      }),
    )
  })

  it('that is damaged is named, not thrown as something else', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        try {
          decodeMessage(Buffer.from(bytes))
        } catch (error) {
          expect(error).toMatchObject({ code: 'STATE_DAMAGED' })
        }
      }),
    )
  })
})

describe.each([
  ['the durable queue', openDisk],
  ['the spilling queue', openSpilling],
])('%s', (_, open) => {
  it('gives messages in order, urgent ones first', () => {
    const store = open(temporaryFolder())
    for (const id of ['a', 'b', 'c']) store.append(message(id), false)
    store.append(message('alert'), true)
    expect(store.messages).toBe(4)
    expect(drain(store)).toEqual(['alert', 'a', 'b', 'c'])
    expect(store.messages).toBe(0)
    store.close()
  })

  it('keeps over a restart what is not done, in order', () => {
    const folder = temporaryFolder()
    const store = open(folder)
    expect(drain(store)).toEqual([])
    for (const id of ['a', 'b', 'c', 'd']) store.append(message(id), false)
    const first = store.take()
    store.take()
    if (first !== undefined) store.done(first.id)
    store.close()
    const again = open(folder)
    expect(drain(again)).toEqual(['b', 'c', 'd'])
    again.close()
  })

  it('gives back in the old order what was in flight when the hub went away', () => {
    const store = open(temporaryFolder())
    drain(store)
    for (const id of ['a', 'b', 'c', 'd']) store.append(message(id), false)
    store.take()
    store.take()
    store.giveBack()
    store.away()
    store.append(message('e'), false)
    expect(drain(store)).toEqual(['a', 'b', 'c', 'd', 'e'])
    store.close()
  })

  it('keeps its order through any mixture of sending, failing and restarting', () => {
    const step = fc.constantFrom('append', 'take', 'done', 'fail', 'away', 'drain', 'restart')
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const folder = temporaryFolder()
        let store = open(folder)
        const expected: string[] = []
        let inflight: { id: number; messageId: string }[] = []
        let next = 0
        const finish = (messageId: string) => expected.splice(expected.indexOf(messageId), 1)
        for (const each of steps) {
          if (each === 'append') {
            store.append(message(`m${next}`, 300), false)
            expected.push(`m${next++}`)
          } else if (each === 'take') {
            const item = store.take()
            if (item !== undefined) inflight.push({ id: item.id, messageId: item.message.messageId })
          } else if (each === 'done') {
            const item = inflight.shift()
            if (item === undefined) continue
            store.done(item.id)
            finish(item.messageId)
          } else if (each === 'fail' || each === 'away') {
            store.giveBack()
            inflight = []
            if (each === 'away') store.away()
          } else if (each === 'drain') {
            store.giveBack()
            inflight = []
            expect(drain(store)).toEqual(expected)
            expected.length = 0
          } else {
            store.giveBack()
            inflight = []
            store.close()
            store = open(folder)
          }
          expect(store.messages).toBe(expected.length)
        }
        store.giveBack()
        expect(drain(store)).toEqual(expected)
        store.close()
      }),
      { numRuns: 60 },
    )
  })
})

describe('the durable queue', () => {
  it('drops the oldest when it is full, and names them', () => {
    const dropped: string[] = []
    const store = openDisk(temporaryFolder(), dropped)
    for (let index = 0; index < 30; index++) store.append(message(`m${index}`, 200_000), false)
    const kept = drain(store)
    expect([...dropped, ...kept]).toEqual(Array.from({ length: 30 }, (_, index) => `m${index}`))
    expect(dropped.length).toBeGreaterThan(0)
    store.close()
  })

  it('is held by one process at a time', () => {
    const folder = temporaryFolder()
    const store = openDisk(folder)
    expect(() => openDisk(folder)).toThrow(expect.objectContaining({ code: 'STATE_LOCKED' }))
    store.close()
  })
})

describe('the spilling queue', () => {
  it('writes nothing to the disk while the hub takes what comes', () => {
    const disk = openDisk(temporaryFolder())
    const store = new SpillingOutboxStore(disk, 10_000)
    expect(drain(store)).toEqual([])
    for (let round = 0; round < 5; round++) {
      store.append(message('a'), false)
      store.append(message('alert'), true)
      expect(disk.messages).toBe(0)
      expect(drain(store)).toEqual(['alert', 'a'])
    }
    store.close()
  })

  it('moves to the disk what exceeds its memory', () => {
    const disk = openDisk(temporaryFolder())
    const store = new SpillingOutboxStore(disk, 2_000)
    drain(store)
    for (let index = 0; index < 20; index++) store.append(message(`m${index}`, 300), false)
    expect(disk.messages).toBe(20)
    store.close()
  })
})
