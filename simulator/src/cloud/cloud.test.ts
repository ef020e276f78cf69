import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ManualClock, systemClock } from '@weir/lib/clock'
import type { JsonObject } from '@weir/lib/json'
import type { Log } from '@weir/lib/log'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Cloud, type CloudOptions } from './cloud.ts'
import type { CloudMessage } from './cloud-message.ts'
import { DeviceToCloudLimits } from './limits.ts'
import { TestEdgeHub, upstreamMessage } from './test-edge-hub.ts'
import { UpstreamOut } from './upstream-out.ts'

const secret = 's3cret'
const manual = new ManualClock()
let folder: string
let logged: string[]
let clouds: Cloud[]
let hubs: TestEdgeHub[]

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weir-cloud-'))
  logged = []
  clouds = []
  hubs = []
})

afterEach(async () => {
  for (const hub of hubs) hub.close()
  for (const cloud of clouds) await cloud.close()
  rmSync(folder, { recursive: true })
})

const note = (text: string): void => {
  logged.push(text)
}
const log: Log = { debug: note, info: note, warning: note, error: note, critical: note }

async function open(more: Partial<CloudOptions> = {}): Promise<Cloud> {
  const cloud = await Cloud.open({
    iotHubHostname: 'hub.azure-devices.net',
    deviceId: 'gateway',
    socketPath: join(folder, 'run', 'cloud.sock'),
    secret,
    stateFolder: folder,
    clock: systemClock,
    log,
    ...more,
  })
  clouds.push(cloud)
  return cloud
}

function deploy(cloud: Cloud, desired: Readonly<Record<string, JsonObject>>): void {
  cloud.deploy(
    Object.entries(desired).map(([moduleId, properties]) => ({
      identity: { moduleId, generationId: '1', primaryKey: 'a2V5' },
      desired: properties,
    })),
  )
}

async function dial(hello: { deviceId?: string; secret?: string } | null = {}): Promise<TestEdgeHub> {
  const hub = await TestEdgeHub.dial(join(folder, 'run', 'cloud.sock'))
  hubs.push(hub)
  if (hello !== null) hub.send({ type: 'hello', deviceId: 'gateway', secret, ...hello })
  return hub
}

describe('the upstream link', () => {
  test('the socket is open to its owner alone', async () => {
    await open()
    expect(statSync(join(folder, 'run', 'cloud.sock')).mode & 0o777).toBe(0o600)
  })

  test('an edge hub with the secret is welcomed with identities and twins, again whenever they change', async () => {
    const cloud = await open()
    deploy(cloud, { $edgeHub: { routes: {} }, reader: { pollMs: 5 } })
    const hub = await dial()
    const welcome = await hub.next('welcome')
    expect(welcome.identities.map(({ moduleId }) => moduleId)).toEqual(['$edgeHub', 'reader'])
    expect(welcome.twins['reader']).toEqual({
      desired: { pollMs: 5 },
      desiredVersion: 1,
      reported: {},
      reportedVersion: 1,
    })
    expect(cloud.edgeHubConnected).toBe(true)
    deploy(cloud, { $edgeHub: { routes: {} }, reader: { pollMs: 6 } })
    expect((await hub.next('welcome')).twins['reader']).toMatchObject({ desired: { pollMs: 6 }, desiredVersion: 2 })
  })

  test.each([
    ['a wrong secret', { secret: 'wrong' }, 'an edge hub with a wrong secret was refused'],
    ['another device', { deviceId: 'other' }, 'an edge hub of device other was refused'],
  ])('%s is refused and said', async (_what, hello, expected) => {
    await open()
    const hub = await dial(hello)
    await hub.untilClosed()
    expect(hub.frames).toEqual([])
    expect(logged.join()).toContain(expected)
  })

  test('a frame before hello, or one that is no JSON, ends the connection and nothing else', async () => {
    const cloud = await open()
    const early = await dial(null)
    early.send({ type: 'messages', id: 1, messages: [upstreamMessage('alert', {})] })
    await early.untilClosed()
    const garbled = await dial()
    await garbled.next('welcome')
    garbled.sendText('no json\n')
    await garbled.untilClosed()
    const wrong = await dial()
    await wrong.next('welcome')
    wrong.sendText('{"type":"messages","id":1}\n')
    await wrong.untilClosed()
    expect(cloud.report().sent.messages).toBe(0)
    await (await dial()).next('welcome')
  })

  test('a newer edge hub takes over from the older', async () => {
    await open()
    const older = await dial()
    await older.next('welcome')
    await (await dial()).next('welcome')
    await older.untilClosed()
  })

  test('an edge hub that says nothing is cut off', async () => {
    await open({ clock: manual })
    const silent = await dial(null)
    await new Promise((resolve) => setTimeout(resolve, 50))
    manual.advance(5000)
    await silent.untilClosed()
  })
})

describe('messages', () => {
  test('are stored, told to listeners and written to the sinks before they are acknowledged', async () => {
    const out = join(folder, 'out')
    const cloud = await open({ sinks: [new UpstreamOut(out)] })
    const seen: CloudMessage[] = []
    const stop = cloud.onMessage((message) => seen.push(message))
    const hub = await dial()
    const body = '{\n  "big": 12345678901234567890,\r\n  "text": "a\\nb"\n}\n'
    const binary = upstreamMessage('raw', '', {
      bodyBase64: 'AP8=',
      systemProperties: { contentType: 'application/octet-stream' },
    })
    hub.send({
      type: 'messages',
      id: 7,
      messages: [upstreamMessage('alert', body), upstreamMessage('../x', 'no json'), binary],
    })
    expect(await hub.next('stored')).toEqual({ type: 'stored', id: 7 })
    const [line, end] = readFileSync(join(out, 'alert.jsonl'), 'utf8').split('\n')
    expect(line).toContain('"body":{   "big": 12345678901234567890,')
    expect(end).toBe('')
    expect(JSON.parse(line ?? '')).toMatchObject({
      moduleId: 'reader',
      enqueuedTime: expect.stringMatching(/Z$/),
      properties: { messageType: 'alert' },
      systemProperties: { contentType: 'application/json' },
      body: { text: 'a\nb' },
    })
    const odd = JSON.parse(readFileSync(join(out, '___x.jsonl'), 'utf8'))
    expect(Buffer.from(odd.body, 'base64').toString()).toBe('no json')
    expect(JSON.parse(readFileSync(join(out, 'raw.jsonl'), 'utf8')).body).toBe('AP8=')
    expect(seen.map(({ properties }) => properties['messageType'])).toEqual(['alert', '../x', 'raw'])
    expect(cloud.recentMessages()).toEqual(seen)
    stop()
  })

  test('sent again after a cut are stored once', async () => {
    const cloud = await open()
    const batch = [
      upstreamMessage('alert', {}, { storeId: 'store:1' }),
      upstreamMessage('alert', {}, { storeId: 'store:2' }),
    ]
    const first = await dial()
    first.send({ type: 'messages', id: 1, messages: batch })
    await first.next('stored')
    first.close()
    const second = await dial()
    second.send({ type: 'messages', id: 1, messages: [...batch, upstreamMessage('alert', {}, { storeId: 'store:3' })] })
    await second.next('stored')
    expect(cloud.report()).toMatchObject({ sent: { messages: 3 }, sentAgain: 2, redelivered: 0 })
  })

  test('over the rate are sent back whole, with a time; over the size are refused and counted', async () => {
    const clock = new ManualClock()
    const cloud = await open({ limits: new DeviceToCloudLimits('S1', 1, clock) })
    const hub = await dial()
    const batch = (count: number) => Array.from({ length: count }, () => upstreamMessage('raw', 'x'))
    hub.send({ type: 'messages', id: 1, messages: batch(100) })
    await hub.next('stored')
    hub.send({ type: 'messages', id: 2, messages: batch(10) })
    expect(await hub.next('throttled')).toEqual({ type: 'throttled', id: 2, retryAfterMs: 100 })
    clock.advance(200)
    hub.send({ type: 'messages', id: 3, messages: [upstreamMessage('raw', 'x'.repeat(256 * 1024)), ...batch(10)] })
    await hub.next('stored')
    expect(cloud.report()).toMatchObject({ sent: { messages: 110 }, throttled: 1, tooLarge: 1 })
  })

  test('stay with the edge hub while a sink cannot write', async () => {
    let full = true
    const stored: string[] = []
    const sink = {
      store: (messages: readonly CloudMessage[]) => {
        if (full) throw new Error('disk full')
        stored.push(...messages.map(({ source }) => source))
      },
      close: () => {},
    }
    const cloud = await open({ sinks: [sink] })
    const hub = await dial()
    const messages = [upstreamMessage('alert', {}, { storeId: 's:1' })]
    hub.send({ type: 'messages', id: 1, messages })
    expect(await hub.next('throttled')).toMatchObject({ retryAfterMs: 1000 })
    full = false
    hub.send({ type: 'messages', id: 2, messages })
    await hub.next('stored')
    expect(stored).toEqual(['DeviceMessages'])
    expect(cloud.report().sent.messages).toBe(1)
  })

  test('the recent ones are kept within their bound', async () => {
    const cloud = await open()
    const hub = await dial()
    hub.send({
      type: 'messages',
      id: 1,
      messages: Array.from({ length: 30 }, () => upstreamMessage('raw', 'x'.repeat(200_000))),
    })
    await hub.next('stored')
    expect(cloud.recentMessages()).toHaveLength(20)
  })
})

describe('twins', () => {
  test('a restart keeps versions, what was reported, and what an operator patched while the manifest stayed the same', async () => {
    const first = await open()
    deploy(first, { reader: { pollMs: 5, old: 1 } })
    first.patchDesired('reader', { pollMs: 7, old: null })
    first.patchReported('reader', { version: 'x' })
    await first.close()
    clouds = []
    const second = await open()
    deploy(second, { reader: { pollMs: 5, old: 1 } })
    expect(second.twin('reader')).toEqual({
      desired: { pollMs: 7 },
      desiredVersion: 2,
      reported: { version: 'x' },
      reportedVersion: 2,
    })
    deploy(second, { reader: { pollMs: 9 } })
    expect(second.twin('reader')).toMatchObject({ desired: { pollMs: 9 }, desiredVersion: 3 })
  })

  test('a module that the manifest no longer has is forgotten', async () => {
    const cloud = await open()
    deploy(cloud, { reader: {}, 'odd/../name': {} })
    deploy(cloud, { reader: {} })
    expect(cloud.moduleIds).toEqual(['reader'])
    expect(cloud.twin('odd/../name')).toBeUndefined()
    expect(existsSync(join(folder, 'twins', 'reader.json'))).toBe(true)
    expect(statSync(join(folder, 'twins')).mode & 0o777).toBe(0o700)
  })

  test('a desired patch reaches the edge hub with its version', async () => {
    const cloud = await open()
    deploy(cloud, { reader: { a: 1 } })
    const hub = await dial()
    await hub.next('welcome')
    cloud.patchDesired('reader', { a: null, b: 2 })
    expect(await hub.next('desiredPatch')).toEqual({
      type: 'desiredPatch',
      moduleId: 'reader',
      patch: { a: null, b: 2 },
      version: 2,
    })
  })

  test('reported properties are merged and answered 204, or refused by the limits and answered 400', async () => {
    const cloud = await open()
    deploy(cloud, { reader: {} })
    const hub = await dial()
    hub.send({ type: 'reported', id: 1, moduleId: 'reader', patch: { a: { b: 1 } } })
    expect(await hub.next('reportedResult')).toEqual({ type: 'reportedResult', id: 1, status: 204, version: 2 })
    hub.send({ type: 'reported', id: 2, moduleId: 'reader', patch: { 'no.dots': 1 } })
    expect(await hub.next('reportedResult')).toEqual({ type: 'reportedResult', id: 2, status: 400, version: 2 })
    hub.send({ type: 'reported', id: 3, moduleId: 'nobody', patch: {} })
    expect(await hub.next('reportedResult')).toMatchObject({ id: 3, status: 400 })
    expect(cloud.twin('reader')?.reported).toEqual({ a: { b: 1 } })
  })

  test('desired properties that a twin cannot hold are refused, and nothing changes', async () => {
    const cloud = await open()
    deploy(cloud, { reader: { a: 1 } })
    const large = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`k${index}`, 'x'.repeat(1000)]))
    expect(() => cloud.patchDesired('reader', large)).toThrow(
      /twin of reader: desired: \d+ bytes together exceed 32768/,
    )
    expect(() => deploy(cloud, { reader: {}, other: large })).toThrow(/twin of other: desired/)
    expect(cloud.twin('reader')).toMatchObject({ desired: { a: 1 }, desiredVersion: 1 })
    expect(() => cloud.patchDesired('nobody', {})).toThrow(expect.objectContaining({ status: 404 }))
  })

  test('changes and new modules are events of the hub, for its routes', async () => {
    const events: CloudMessage[] = []
    const cloud = await open({ sinks: [{ store: (messages) => events.push(...messages), close: () => {} }] })
    deploy(cloud, { reader: { a: 1 } })
    cloud.patchReported('reader', { b: 2 })
    expect(events.map(({ source, properties }) => [source, properties['opType'], properties['hubName']])).toEqual([
      ['DeviceLifecycleEvents', 'createModuleIdentity', 'hub'],
      ['TwinChangeEvents', 'updateTwin', 'hub'],
    ])
    expect(JSON.parse(events[1]?.body.toString() ?? '')).toEqual({
      version: 2,
      properties: { reported: { b: 2, $version: 2 } },
    })
    expect(cloud.report().sent.messages).toBe(0)
  })
})

describe('direct methods', () => {
  test('travel to the edge hub and back', async () => {
    const cloud = await open()
    deploy(cloud, { reader: {} })
    const hub = await dial()
    await hub.next('welcome')
    const answer = cloud.callMethod('reader', 'ping', { a: 1 })
    const call = await hub.next('method')
    expect(call).toMatchObject({
      moduleId: 'reader',
      name: 'ping',
      payload: { a: 1 },
      responseTimeoutMs: 30_000,
      connectTimeoutMs: 0,
    })
    hub.send({ type: 'methodResult', id: call.id, status: 200, payload: 'pong' })
    expect(await answer).toEqual({ status: 200, payload: 'pong' })
    const failing = cloud.callMethod('reader', 'ping', null)
    const second = await hub.next('method')
    hub.send({ type: 'methodFailed', id: second.id, status: 504, message: 'no answer' })
    await expect(failing).rejects.toMatchObject({ status: 504, message: 'no answer' })
    hub.send({ type: 'methodResult', id: 99, status: 200, payload: null })
  })

  test.each([
    ['an unknown module', 'nobody', 'ping', null, {}, 404],
    ['no edge hub', 'reader', 'ping', null, {}, 404],
    ['a long name', 'reader', 'x'.repeat(101), null, {}, 400],
    ['a large payload', 'reader', 'ping', 'x'.repeat(128 * 1024), {}, 400],
    ['a short response time', 'reader', 'ping', null, { responseTimeoutMs: 10 }, 400],
    ['a long connect time', 'reader', 'ping', null, { connectTimeoutMs: 400_000 }, 400],
    ['a time that is no number', 'reader', 'ping', null, { connectTimeoutMs: Number.NaN }, 400],
  ])('%s is answered with its status', async (_what, moduleId, name, payload, timeouts, status) => {
    const cloud = await open()
    deploy(cloud, { reader: {} })
    await expect(cloud.callMethod(moduleId, name, payload, timeouts)).rejects.toMatchObject({ status })
  })

  test('an edge hub that comes within the connect time is waited for', async () => {
    const cloud = await open()
    deploy(cloud, { reader: {} })
    const answer = cloud.callMethod('reader', 'ping', null, { connectTimeoutMs: 10_000 })
    const hub = await dial()
    const call = await hub.next('method')
    expect(call.connectTimeoutMs).toBeLessThan(10_000)
    hub.send({ type: 'methodResult', id: call.id, status: 200, payload: 1 })
    expect(await answer).toEqual({ status: 200, payload: 1 })
  })

  test('an edge hub that went away may answer after it came back; one that never does is a 504', async () => {
    const clock = new ManualClock()
    const cloud = await open({ clock })
    deploy(cloud, { reader: {} })
    const first = await dial()
    await first.next('welcome')
    const answered = cloud.callMethod('reader', 'slow', null)
    const never = cloud.callMethod('reader', 'never', null)
    const call = await first.next('method')
    first.close()
    const second = await dial()
    second.send({ type: 'methodResult', id: call.id, status: 200, payload: 'late' })
    expect(await answered).toEqual({ status: 200, payload: 'late' })
    clock.advance(35_000)
    await expect(never).rejects.toMatchObject({ status: 504 })
  })

  test('those under way when the stand-in stops are answered', async () => {
    const cloud = await open()
    deploy(cloud, { reader: {} })
    const waiting = cloud.callMethod('reader', 'ping', null, { connectTimeoutMs: 300_000 })
    const hub = await dial()
    await hub.next('method')
    await Promise.all([expect(waiting).rejects.toMatchObject({ status: 504 }), cloud.close()])
    clouds = []
  })
})
