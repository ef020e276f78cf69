import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { type IncomingHttpHeaders, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '@weir/lib/clock'
import type { JsonValue } from '@weir/lib/json'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { Cloud } from './cloud.ts'
import { type ServiceApi, startServiceApi } from './service-api.ts'
import { ServiceClient } from './service-client.ts'
import { findService } from './service-file.ts'
import { TestEdgeHub, upstreamMessage } from './test-edge-hub.ts'

const silent = { debug: () => {}, info: () => {}, warning: () => {}, error: () => {}, critical: () => {} }
const never = new AbortController().signal
let folder: string
let cloud: Cloud
let api: ServiceApi
let hub: TestEdgeHub

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'weir-service-'))
  const socketPath = join(folder, 'cloud.sock')
  cloud = await Cloud.open({
    iotHubHostname: 'hub.azure-devices.net',
    deviceId: 'gateway',
    socketPath,
    secret: 's',
    stateFolder: folder,
    clock: systemClock,
    log: silent,
  })
  cloud.deploy([{ identity: { moduleId: 'reader', generationId: '1', primaryKey: 'a2V5' }, desired: { pollMs: 5 } }])
  api = await startServiceApi({
    cloud,
    stateFolder: folder,
    moduleStates: () => ({ reader: { state: 'running', restarts: 0 } }),
  })
  hub = await TestEdgeHub.dial(socketPath)
  hub.send({ type: 'hello', deviceId: 'gateway', secret: 's' })
  await hub.next('welcome')
})

afterEach(async () => {
  hub.close()
  await api.close()
  await cloud.close()
  rmSync(folder, { recursive: true })
})

function client(signal = never): ServiceClient {
  return new ServiceClient(findService(folder), signal)
}

function raw(
  path: string,
  headers: IncomingHttpHeaders,
  method = 'GET',
  body?: string,
): Promise<{ status: number | undefined; body: JsonValue }> {
  return new Promise((resolve, reject) => {
    const outgoing = request(new URL(path, api.url), { method, headers, agent: false }, (response) => {
      let text = ''
      response.on('data', (chunk) => {
        text += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode, body: JSON.parse(text) }))
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}

describe('the service API', () => {
  test('tells its address and token in a file for the owner alone, and takes it away when it closes', async () => {
    const file = join(folder, 'service.json')
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({ url: api.url, token: api.token, pid: process.pid })
    await api.close()
    expect(() => findService(folder)).toThrow(/no simulator runs on .*; start one with npm start/)
  })

  test('a simulator that is gone or a damaged file is said plainly', () => {
    writeFileSync(join(folder, 'service.json'), JSON.stringify({ url: api.url, token: 't', pid: 2 ** 22 - 1 }))
    expect(() => findService(folder)).toThrow(/process 4194303\) is gone/)
    writeFileSync(join(folder, 'service.json'), '{')
    expect(() => findService(folder)).toThrow(/service\.json: cannot be read/)
  })

  test.each<[string, (authorization: string) => IncomingHttpHeaders, number]>([
    ['no token', () => ({}), 401],
    ['a wrong token', () => ({ authorization: 'Bearer wrong' }), 401],
    ['a host name that resolves here', (authorization) => ({ authorization, host: 'evil.example:80' }), 403],
    ['one that begins like the loopback', (authorization) => ({ authorization, host: 'localhost.evil.example' }), 403],
  ])('%s is refused', async (_what, headers, status) => {
    const answer = await raw('/modules', headers(`Bearer ${api.token}`))
    expect(answer).toEqual({ status, body: { message: expect.any(String) } })
  })

  test.each(['localhost', '127.0.0.1:1234', '[::1]:1'])('the loopback may be called %s', async (host) => {
    expect((await raw('/modules', { authorization: `Bearer ${api.token}`, host })).status).toBe(200)
  })

  test.each<[string, string, string, string | undefined, number]>([
    ['an unknown path', 'GET', '/nothing', undefined, 404],
    ['a wrong method', 'POST', '/modules', '{}', 405],
    ['the twin of no module', 'GET', '/twins/nobody', undefined, 404],
    ['a patch for no module', 'PATCH', '/twins/nobody', '{}', 404],
    ['a patch that is no object', 'PATCH', '/twins/reader', '[]', 400],
    ['a patch that is no JSON', 'PATCH', '/twins/reader', '{', 400],
    ['a patch that is too large to read', 'PATCH', '/twins/reader', JSON.stringify('x'.repeat(300_000)), 413],
    ['a patch that a twin cannot hold', 'PATCH', '/twins/reader', '{"a b":1}', 400],
    ['a method of no module', 'POST', '/modules/nobody/methods/ping', '{}', 404],
    ['an unknown key in a method call', 'POST', '/modules/reader/methods/ping', '{"pay":1}', 400],
    ['a time-out out of range', 'POST', '/modules/reader/methods/ping', '{"responseTimeoutMs":1}', 400],
    ['a path that is no UTF-8', 'GET', '/twins/%ff', undefined, 400],
    ['a lock token that is not held', 'DELETE', '/devices/d/messages/deviceBound/x', undefined, 412],
  ])('%s is refused with a message', async (_what, method, path, body, status) => {
    const answer = await raw(path, { authorization: `Bearer ${api.token}` }, method, body)
    expect(answer).toEqual({ status, body: { message: expect.any(String) } })
  })

  test('a port that is taken is a clear error', async () => {
    const port = Number(new URL(api.url).port)
    await expect(startServiceApi({ cloud, stateFolder: folder, port })).rejects.toThrow(
      /cannot listen .*choose another port/,
    )
  })

  test('lists modules with what the supervisor knows', async () => {
    expect(await client().call('GET', '/modules')).toEqual([
      { moduleId: 'reader', state: 'running', restarts: 0, desiredVersion: 1, reportedVersion: 1 },
    ])
  })

  test('shows and patches twins', async () => {
    const patched = await client().call('PATCH', '/twins/reader', { pollMs: null, publishMs: 7 })
    expect(patched).toEqual({
      moduleId: 'reader',
      desired: { publishMs: 7 },
      desiredVersion: 2,
      reported: {},
      reportedVersion: 1,
    })
    expect(await client().call('GET', '/twins/reader')).toEqual(patched)
    expect(await hub.next('desiredPatch')).toMatchObject({ version: 2 })
  })

  test('calls methods', async () => {
    const answer = client().call('POST', '/modules/reader/methods/ping', { payload: { a: 1 }, responseTimeoutMs: 6000 })
    const call = await hub.next('method')
    expect(call).toMatchObject({ name: 'ping', payload: { a: 1 }, responseTimeoutMs: 6000 })
    hub.send({ type: 'methodResult', id: call.id, status: 201, payload: ['pong'] })
    expect(await answer).toEqual({ status: 201, payload: ['pong'] })
    const failing = client().call('POST', '/modules/reader/methods/ping', {})
    hub.send({ type: 'methodFailed', id: (await hub.next('method')).id, status: 504, message: 'no answer' })
    await expect(failing).rejects.toMatchObject({ status: 504, message: 'no answer' })
  })

  test('reports what arrived', async () => {
    hub.send({ type: 'messages', id: 1, messages: [upstreamMessage('receipt', { a: 1 })] })
    await hub.next('stored')
    expect(await client().call('GET', '/report')).toMatchObject({
      sent: { messages: 1 },
      receipts: [{ a: 1 }],
      alerts: { raised: 0 },
    })
  })

  test('streams messages: the recent ones, then with follow each new one, of one type where asked', async () => {
    const send = async (id: number, ...types: string[]) => {
      hub.send({ type: 'messages', id, messages: types.map((messageType) => upstreamMessage(messageType, { id })) })
      await hub.next('stored')
    }
    await send(1, 'alert', 'raw')
    const all: string[] = []
    await client().lines('/messages', (line) => all.push(JSON.parse(line).properties.messageType))
    expect(all).toEqual(['alert', 'raw'])
    const abort = new AbortController()
    const followed: number[] = []
    const following = client(abort.signal).lines('/messages?follow=true&type=alert', (line) => {
      followed.push(JSON.parse(line).body.id)
      if (followed.length === 1) void send(2, 'raw', 'alert')
      else abort.abort()
    })
    await following
    expect(followed).toEqual([1, 2])
  })

  test('takes cloud-to-device messages, and gives them to the device that asks', async () => {
    const { messageId } = z
      .object({ messageId: z.string() })
      .parse(await client().call('POST', '/devices/d/messages', { body: { set: 1 }, properties: { a: 'b' } }))
    expect(await client().call('GET', '/devices/other/messages/deviceBound')).toBeNull()
    const got = z
      .looseObject({ lockToken: z.string() })
      .parse(await client().call('GET', '/devices/d/messages/deviceBound'))
    expect(got).toMatchObject({ messageId, body: { set: 1 }, properties: { a: 'b' }, deliveryCount: 1 })
    await client().call('POST', `/devices/d/messages/deviceBound/${got.lockToken}/abandon`)
    const again = z
      .looseObject({ lockToken: z.string() })
      .parse(await client().call('GET', '/devices/d/messages/deviceBound'))
    expect(again['deliveryCount']).toBe(2)
    await client().call('DELETE', `/devices/d/messages/deviceBound/${again.lockToken}`)
    expect(await client().call('GET', '/devices/d/messages/deviceBound')).toBeNull()
  })

  test('a stream ends with the API', async () => {
    const following = client().lines('/messages?follow=true', () => {})
    hub.send({ type: 'messages', id: 1, messages: [upstreamMessage('alert', {})] })
    await hub.next('stored')
    await new Promise((resolve) => setTimeout(resolve, 20))
    await api.close()
    await expect(following).rejects.toThrow()
  })
})
