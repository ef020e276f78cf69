import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Clock, systemClock } from '@weir/lib/clock'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type FromCloud, type FromEdgeHub, readFrames, writeFrame } from '../upstream-link.ts'
import { TestLog, until } from './testing.ts'
import { UpstreamLink } from './upstream.ts'

let folder: string
let server: Server
let sockets: Socket[]
let frames: FromEdgeHub[]
let connections: boolean[]
let link: UpstreamLink

/** Timers run a hundred times as fast. */
const fastClock: Clock = { ...systemClock, setTimer: (run, delayMs) => systemClock.setTimer(run, delayMs / 100) }

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'weir-link-'))
  sockets = []
  frames = []
  connections = []
  server = createServer((socket) => {
    sockets.push(socket)
    readFrames<FromEdgeHub>(socket, (frame) => frames.push(frame))
  })
  await new Promise<void>((resolve) => server.listen(join(folder, 'cloud.sock'), resolve))
  link = new UpstreamLink({
    socketPath: join(folder, 'cloud.sock'),
    deviceId: 'gateway',
    secret: 'secret',
    clock: fastClock,
    log: new TestLog(),
    events: {
      told: () => {},
      method: async ({ id }) => ({ type: 'methodResult', id, status: 200, payload: null }),
      connected: (connected) => connections.push(connected),
    },
  })
})
afterEach(() => {
  link.want(false)
  for (const socket of sockets) socket.destroy()
  server.close()
  rmSync(folder, { recursive: true })
})

function say(frame: FromCloud): void {
  const socket = sockets.at(-1)
  if (socket !== undefined) writeFrame(socket, frame)
}

async function connect(): Promise<void> {
  const before = frames.length
  link.want(true)
  await until(() => frames.length > before)
  say({ type: 'welcome', identities: [], twins: {} })
  await until(() => link.connected)
}

test('it says who it is first, and is connected once it is welcome', async () => {
  await connect()
  expect(frames).toEqual([{ type: 'hello', deviceId: 'gateway', secret: 'secret' }])
  expect(connections).toEqual([true])
})

test('an answer goes to its request, whatever the order', async () => {
  await connect()
  const first = link.request({ type: 'messages', messages: [] })
  const second = link.request({ type: 'messages', messages: [] })
  say({ type: 'throttled', id: 2, retryAfterMs: 7 })
  say({ type: 'stored', id: 1 })
  expect(await first).toEqual({ type: 'stored', id: 1 })
  expect(await second).toEqual({ type: 'throttled', id: 2, retryAfterMs: 7 })
})

test('what was asked when the link goes is rejected, and it dials again', async () => {
  await connect()
  const asked = link.request({ type: 'messages', messages: [] })
  sockets[0]?.destroy()
  await expect(asked).rejects.toThrow('away')
  await until(() => frames.filter(({ type }) => type === 'hello').length === 2)
  expect(connections).toEqual([true, false])
})

test('a cloud that answers nothing is taken for gone', async () => {
  await connect()
  await expect(link.request({ type: 'messages', messages: [] })).rejects.toThrow('away')
  expect(connections.slice(0, 2)).toEqual([true, false])
})

test('cut and wanted again at once, there is one new link', async () => {
  await connect()
  link.want(false)
  expect(link.connected).toBe(false)
  await expect(link.request({ type: 'messages', messages: [] })).rejects.toThrow('away')
  await connect()
  await new Promise((resolve) => setTimeout(resolve, 60))
  expect(sockets).toHaveLength(2)
  expect(connections).toEqual([true, false, true])
})

test('cut, it stays away', async () => {
  await connect()
  link.want(false)
  await new Promise((resolve) => setTimeout(resolve, 60))
  expect(sockets).toHaveLength(1)
})

test('a method is answered on the link that it came by', async () => {
  await connect()
  say({
    type: 'method',
    id: 5,
    moduleId: 'm',
    name: 'ping',
    payload: null,
    responseTimeoutMs: 5000,
    connectTimeoutMs: 0,
  })
  await until(() => frames.length === 2)
  expect(frames[1]).toEqual({ type: 'methodResult', id: 5, status: 200, payload: null })
})
