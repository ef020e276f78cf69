import { ManualClock } from '@weir/lib/clock'
import { beforeEach, expect, test } from 'vitest'
import { acknowledgeTimeoutMs, ModuleDelivery, retryDelayMs } from './delivery.ts'
import type { QueuedMessage } from './message.ts'

interface Sent {
  readonly text: string
  readonly packetId: number
  readonly again: boolean
}

let clock: ManualClock
let queue: QueuedMessage[]
let sent: Sent[]
let delivered: string[]
let delivery: ModuleDelivery
let wantsNoAcknowledgement: boolean

beforeEach(() => {
  clock = new ManualClock()
  queue = []
  sent = []
  delivered = []
  wantsNoAcknowledgement = false
  const store = {
    peek: () => queue.slice(0, 1),
    done: (queued: QueuedMessage) => {
      queue = queue.filter(({ id }) => id !== queued.id)
    },
  }
  delivery = new ModuleDelivery('sink', store, clock, {
    delivered: ({ message }) => delivered.push(message.body.toString()),
    timedOut: () => {},
  })
})

let ids = 0
function enqueue(text: string, first = false): void {
  const queued: QueuedMessage = {
    id: ++ids,
    storeId: String(ids),
    target: 'sink',
    input: 'in',
    priority: 5,
    expiresMs: undefined,
    message: {
      kind: 'message',
      moduleId: 'reader',
      properties: {},
      systemProperties: {},
      body: Buffer.from(text),
      enqueuedMs: 0,
    },
  }
  if (first) queue.unshift(queued)
  else queue.push(queued)
  delivery.available()
}

function connect(): void {
  delivery.connected({
    deliver: ({ message }, packetId, again) => {
      sent.push({ text: message.body.toString(), packetId, again })
      return wantsNoAcknowledgement
    },
  })
}

function acknowledge(): void {
  delivery.acknowledged(sent.at(-1)?.packetId ?? 0)
}

const texts = () => sent.map(({ text }) => text)

test('one message is in flight; the next goes when it is acknowledged', () => {
  connect()
  enqueue('a')
  enqueue('b')
  expect(texts()).toEqual(['a'])
  acknowledge()
  expect(texts()).toEqual(['a', 'b'])
  acknowledge()
  expect(delivered).toEqual(['a', 'b'])
  enqueue('c')
  expect(texts()).toEqual(['a', 'b', 'c'])
})

test('nothing goes while the module is away; all goes when it comes', () => {
  enqueue('a')
  expect(sent).toEqual([])
  connect()
  expect(texts()).toEqual(['a'])
})

test('retries grow from 1 s to 60 s', () => {
  expect([1, 2, 3, 4, 5, 6, 7, 8, 1000].map(retryDelayMs)).toEqual([
    1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000,
  ])
})

test('a message that is not acknowledged is sent again as a duplicate, later and later', () => {
  connect()
  enqueue('a')
  clock.advance(acknowledgeTimeoutMs + 999)
  expect(sent).toHaveLength(1)
  clock.advance(1)
  expect(sent).toHaveLength(2)
  clock.advance(acknowledgeTimeoutMs + 1999)
  expect(sent).toHaveLength(2)
  clock.advance(1)
  expect(sent.map(({ again }) => again)).toEqual([false, true, true])
  expect(new Set(sent.map(({ packetId }) => packetId)).size).toBe(1)
  acknowledge()
  expect(delivered).toEqual(['a'])
})

test('a success makes the next failure wait one second again', () => {
  connect()
  enqueue('a')
  clock.advance(acknowledgeTimeoutMs + 1000 + acknowledgeTimeoutMs + 2000)
  acknowledge()
  enqueue('b')
  sent = []
  clock.advance(acknowledgeTimeoutMs + 1000)
  expect(texts()).toEqual(['b'])
})

test('an acknowledgement that comes after the time-out counts', () => {
  connect()
  enqueue('a')
  enqueue('b')
  clock.advance(acknowledgeTimeoutMs + 1)
  acknowledge()
  expect(delivered).toEqual(['a'])
  expect(texts()).toEqual(['a', 'b'])
})

test('an acknowledgement of something else changes nothing', () => {
  connect()
  enqueue('a')
  delivery.acknowledged(4711)
  expect(delivered).toEqual([])
})

test('a new connection gets the unacknowledged message at once', () => {
  connect()
  enqueue('a')
  enqueue('b')
  delivery.disconnected()
  clock.advance(120_000)
  expect(texts()).toEqual(['a'])
  connect()
  expect(sent.at(-1)).toMatchObject({ text: 'a', again: true })
})

test('after a time-out whatever is first by then goes', () => {
  connect()
  enqueue('low')
  enqueue('urgent', true)
  clock.advance(acknowledgeTimeoutMs + 1000)
  expect(texts()).toEqual(['low', 'urgent'])
  acknowledge()
  expect(texts()).toEqual(['low', 'urgent', 'low'])
})

test('a subscription without acknowledgements gets one message after the other', () => {
  wantsNoAcknowledgement = true
  connect()
  enqueue('a')
  enqueue('b')
  clock.advance(0)
  expect(delivered).toEqual(['a', 'b'])
})
