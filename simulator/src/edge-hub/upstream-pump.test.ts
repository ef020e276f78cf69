import { ManualClock } from '@weir/lib/clock'
import { beforeEach, expect, test } from 'vitest'
import type { FromCloud } from '../upstream-link.ts'
import type { HubMessage, QueuedMessage } from './message.ts'
import { UpstreamPump } from './upstream-pump.ts'

type Answer = Extract<FromCloud, { type: 'stored' | 'throttled' | 'reportedResult' }>

let clock: ManualClock
let queue: QueuedMessage[]
let batches: { texts: string[]; answer(answer: Omit<Answer, 'id'> | Error): Promise<void> }[]
let delivered: string[]
let link: { connected: boolean }
let pump: UpstreamPump
let ids: number

const settle = () => new Promise<void>((resolve) => setImmediate(resolve))

beforeEach(() => {
  clock = new ManualClock()
  queue = []
  batches = []
  delivered = []
  ids = 0
  const first = () => queue.toSorted((one, other) => one.priority - other.priority || one.id - other.id)
  const store = {
    peek: (_target: string, max: number) =>
      first()
        .filter(({ priority }) => priority === first()[0]?.priority)
        .slice(0, max),
    done: (queued: QueuedMessage) => {
      queue = queue.filter(({ id }) => id !== queued.id)
    },
    highestPriority: () => first()[0]?.priority,
  }
  const fake = {
    connected: true,
    request: (request: { type: string; messages?: readonly { bodyBase64: string }[] }) =>
      new Promise<Answer>((resolve, reject) => {
        batches.push({
          texts: (request.messages ?? []).map(({ bodyBase64 }) => Buffer.from(bodyBase64, 'base64').toString()),
          answer: (answer) => {
            if (answer instanceof Error) reject(answer)
            else resolve({ id: 1, ...answer } as Answer)
            return settle()
          },
        })
      }),
  }
  link = fake
  pump = new UpstreamPump(store, fake, clock, ({ message }) => delivered.push(message.body.toString()))
})

function enqueue(count: number, name: string, priority = 5, moduleId = 'reader'): void {
  for (let index = 0; index < count; index++) {
    const message: HubMessage = {
      kind: 'message',
      moduleId,
      properties: {},
      systemProperties: {},
      body: Buffer.from(`${name}-${index}`),
      enqueuedMs: 0,
    }
    const id = ++ids
    queue.push({ id, storeId: String(id), target: '$upstream', input: '', priority, expiresMs: undefined, message })
  }
}

const stored = { type: 'stored' } as const

test('one sender has one batch of ten in flight', async () => {
  enqueue(25, 'a')
  pump.wake()
  expect(batches.map(({ texts }) => texts.length)).toEqual([10])
  await batches[0]?.answer(stored)
  await batches[1]?.answer(stored)
  await batches[2]?.answer(stored)
  expect(batches.map(({ texts }) => texts.length)).toEqual([10, 10, 5])
  expect(delivered).toEqual(Array.from({ length: 25 }, (_, index) => `a-${index}`))
})

test('senders are served side by side, ten at most', () => {
  for (let sender = 0; sender < 12; sender++) enqueue(2, `s${sender}`, 5, `module-${sender}`)
  pump.wake()
  expect(batches).toHaveLength(10)
})

test('a message of higher priority goes after the batch in flight, before all that is queued', async () => {
  enqueue(100, 'low')
  pump.wake()
  enqueue(1, 'alert', 0)
  await batches[0]?.answer(stored)
  expect(batches[1]?.texts).toEqual(['alert-0'])
  await batches[1]?.answer(stored)
  expect(batches[2]?.texts[0]).toBe('low-10')
})

test('a throttled batch is sent again after the pause, and what came meanwhile goes first', async () => {
  enqueue(1, 'low')
  pump.wake()
  await batches[0]?.answer({ type: 'throttled', retryAfterMs: 500 } as Omit<Answer, 'id'>)
  enqueue(1, 'alert', 0)
  clock.advance(499)
  await settle()
  expect(batches).toHaveLength(1)
  clock.advance(1)
  await settle()
  expect(batches[1]?.texts).toEqual(['alert-0'])
  await batches[1]?.answer(stored)
  expect(batches[2]?.texts).toEqual(['low-0'])
})

test('what was not answered when the link went is sent again with the next', async () => {
  enqueue(12, 'a')
  pump.wake()
  link.connected = false
  await batches[0]?.answer(new Error('gone'))
  expect(batches).toHaveLength(1)
  expect(delivered).toEqual([])
  link.connected = true
  pump.wake()
  expect(batches[1]?.texts).toEqual(batches[0]?.texts)
})
