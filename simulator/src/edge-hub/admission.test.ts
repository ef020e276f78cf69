import { request } from 'node:https'
import { connect as tlsConnect } from 'node:tls'
import { systemClock } from '@weir/lib/clock'
import type { JsonObject } from '@weir/lib/json'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { EdgeHub } from './hub.ts'
import type { RawClient } from './raw-client.ts'
import { deviceId, iotHubHostname, routes, signToken, TestDevice, TestLog, until, userName } from './testing.ts'

let device: TestDevice
let hub: EdgeHub
let clients: RawClient[] = []
const log = new TestLog()

beforeAll(async () => {
  device = await TestDevice.start(['reader', 'sink'], routes({}))
  hub = await EdgeHub.start(device.settings, systemClock, log)
})
afterEach(async () => {
  for (const client of clients) client.close()
  clients = []
  await until(() => hub.counters().connectedModules.length === 0)
})
afterAll(async () => {
  await hub.stop()
  await device.stop()
})

async function connect(moduleId: string, changes: Parameters<TestDevice['connect']>[2] = {}): Promise<RawClient> {
  const client = await device.connect(moduleId, hub.ports.mqttPort, changes)
  clients.push(client)
  return client
}

describe('admission', () => {
  test.each([
    ['a wrong signature', () => ({ password: signToken('AAAA', iotHubHostname, 'sink', Date.now() + 60_000) })],
    ["another module's token", () => ({ password: device.token('reader') })],
    ['an expired token', () => ({ password: device.token('sink', -1000) })],
    ["another module's client id", () => ({ clientId: `${deviceId}/reader` })],
    ['a user name without api-version', () => ({ userName: `${iotHubHostname}/${deviceId}/sink/` })],
    ['another device', () => ({ clientId: 'other/sink', userName: `${iotHubHostname}/other/sink/?api-version=1` })],
    [
      'an unknown module',
      () => ({ clientId: `${deviceId}/nobody`, userName: userName('nobody'), password: device.token('nobody') }),
    ],
    ["the edge hub's own name", () => ({ clientId: `${deviceId}/$edgeHub`, userName: userName('$edgeHub') })],
  ])('%s is refused as not authorised', async (_what, changes) => {
    await expect(connect('sink', changes())).rejects.toThrow('return code 5')
  })

  test("a token for the gateway's own name is taken", async () => {
    await connect('sink', { password: device.token('sink', 60_000, 'localhost') })
  })

  test('a client is cut off when its token expires', async () => {
    const client = await connect('sink', { password: device.token('sink', 1000) })
    expect(client.closed).toBe(false)
    await until(() => client.closed)
    expect(log.lines).toContainEqual(expect.stringContaining('its token expired'))
  })

  test('a second connection with the same id takes over', async () => {
    const first = await connect('sink')
    const second = await connect('sink')
    await until(() => first.closed)
    expect(second.closed).toBe(false)
    expect(hub.counters().connectedModules).toEqual(['sink'])
  })

  test('older TLS than 1.2 is refused', async () => {
    const socket = tlsConnect({ port: hub.ports.mqttPort, maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ca: '' })
    await expect(new Promise((_resolve, reject) => socket.on('error', reject))).rejects.toThrow()
  })
})

describe('methods over HTTPS', () => {
  function post(
    path: string,
    body: JsonObject,
    headers: Record<string, string>,
  ): Promise<{ status: number; body: JsonObject }> {
    return new Promise((resolve, reject) => {
      const outgoing = request(
        {
          host: '127.0.0.1',
          servername: 'localhost',
          port: hub.ports.httpsPort,
          ca: device.trustBundle,
          method: 'POST',
          path,
          headers,
        },
        (response) => {
          let text = ''
          response.setEncoding('utf8')
          response.on('data', (chunk: string) => {
            text += chunk
          })
          response.on('end', () => resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) }))
        },
      )
      outgoing.on('error', reject)
      outgoing.end(JSON.stringify(body))
    })
  }
  const path = (moduleId: string) => `/twins/${deviceId}/modules/${moduleId}/methods?api-version=2018-06-30`
  const headers = () => ({ authorization: device.token('reader'), 'x-ms-edge-moduleId': `${deviceId}/reader` })

  test('a module calls a method of another', async () => {
    const sink = await connect('sink')
    await sink.subscribe('$iothub/methods/POST/#', 0)
    sink.onMessage = ({ topic, payload }) => {
      const requestId = topic.split('$rid=')[1]
      const answer = Buffer.from(`{"got":${payload.toString()}}`)
      sink.publish(`$iothub/methods/res/202/?$rid=${requestId}`, answer, () => {})
    }
    const answer = await post(path('sink'), { methodName: 'ping', payload: { a: 1 } }, headers())
    expect(answer).toEqual({ status: 200, body: { status: 202, payload: { got: { a: 1 } } } })
  })

  test.each([
    ['a module that is not connected', 404, {}, {}, 'sink'],
    ['no name', 400, { methodName: '' }, {}, 'sink'],
    ['a name that is too long', 400, { methodName: 'x'.repeat(101) }, {}, 'sink'],
    ['a response time-out below 5 s', 400, { responseTimeoutInSeconds: 4 }, {}, 'sink'],
    ['no caller', 400, {}, { 'x-ms-edge-moduleId': 'reader' }, 'sink'],
    ['a caller of another device', 401, {}, { 'x-ms-edge-moduleId': 'other/reader' }, 'sink'],
    ['a wrong token', 401, {}, { authorization: 'SharedAccessSignature sr=x&sig=y&se=1' }, 'sink'],
    ['no token', 401, {}, { authorization: '' }, 'sink'],
  ])('%s gives %i', async (_what, status, body, changed, moduleId) => {
    const answer = await post(path(moduleId), { methodName: 'ping', ...body }, { ...headers(), ...changed })
    expect(answer).toEqual({ status, body: { message: expect.any(String) } })
  })

  test('an unknown path gives 404', async () => {
    expect(await post('/twins', {}, headers())).toMatchObject({ status: 404 })
  })
})
