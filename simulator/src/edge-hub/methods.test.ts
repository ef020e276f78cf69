import { ManualClock } from '@weir/lib/clock'
import { beforeEach, expect, test } from 'vitest'
import { MethodCaller } from './methods.ts'

let clock: ManualClock
let listening: boolean
let sent: { name: string; requestId: string; payload: string }[]
let methods: MethodCaller

beforeEach(() => {
  clock = new ManualClock()
  listening = true
  sent = []
  methods = new MethodCaller(clock, (_moduleId, name, requestId, payload) => {
    if (listening) sent.push({ name, requestId, payload })
    return listening
  })
})

function call(connectTimeoutMs = 0) {
  return methods.call({ moduleId: 'm', name: 'ping', payload: { a: 1 }, responseTimeoutMs: 5000, connectTimeoutMs })
}

function answer(body: string, moduleId = 'm'): void {
  methods.answered(moduleId, sent.at(-1)?.requestId ?? '', 200, Buffer.from(body))
}

test.each([
  ['{"b":2}', { b: 2 }],
  ['', null],
  ['no json', 'no json'],
])('an answer %j has the payload %j', async (body, payload) => {
  const result = call()
  expect(sent).toMatchObject([{ name: 'ping', payload: '{"a":1}' }])
  answer(body)
  expect(await result).toEqual({ status: 200, payload })
})

test('a module that does not answer in time gives 504', async () => {
  const result = call()
  clock.advance(5000)
  expect(await result).toMatchObject({ failed: 504 })
})

test('a module that is away gives 404 at once, or after the connect time-out', async () => {
  listening = false
  const now = call()
  clock.advance(0)
  expect(await now).toMatchObject({ failed: 404 })
  const later = call(3000)
  clock.advance(2999)
  listening = true
  methods.listening('m')
  answer('1')
  expect(await later).toEqual({ status: 200, payload: 1 })
})

test('the response time begins when the module has the call', async () => {
  listening = false
  const result = call(3000)
  clock.advance(2000)
  listening = true
  methods.listening('m')
  clock.advance(4999)
  answer('1')
  expect(await result).toEqual({ status: 200, payload: 1 })
})

test('a module that goes away while it works gives 504; a call that waits for it goes on waiting', async () => {
  const working = call()
  listening = false
  const waiting = call(3000)
  methods.disconnected('m')
  expect(await working).toMatchObject({ failed: 504 })
  listening = true
  methods.listening('m')
  answer('1')
  expect(await waiting).toEqual({ status: 200, payload: 1 })
})

test('only the module that was asked can answer', async () => {
  const result = call()
  answer('"forged"', 'other')
  answer('"own"')
  expect(await result).toEqual({ status: 200, payload: 'own' })
})
