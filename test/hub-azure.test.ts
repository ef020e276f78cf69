/** lib's hub on the real device SDK against the simulator's edge hub. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join, resolve } from 'node:path'
import { systemClock } from '@weir/lib/clock'
import type { WeirError } from '@weir/lib/errors'
import type { InputMessage } from '@weir/lib/hub'
import { AzureHub } from '@weir/lib/hub-azure'
import type { JsonObject } from '@weir/lib/json'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { EdgeHub } from '../simulator/src/edge-hub/hub.ts'
import { RawClient } from '../simulator/src/edge-hub/raw-client.ts'
import { deviceId, routes, TestDevice, TestLog, until, userName } from '../simulator/src/edge-hub/testing.ts'

const sinkRoutes = routes({
  toSink: 'FROM /messages/modules/reader/outputs/out INTO BrokeredEndpoint("/modules/sink/inputs/in")',
  up: 'FROM /messages/modules/sink/outputs/* INTO $upstream',
})

let device: TestDevice
let edgeHub: EdgeHub
let reader: RawClient
let hub: AzureHub
let inputs: InputMessage[]
let desired: { properties: JsonObject; version: number }[]
let connections: boolean[]
let stopping: boolean

beforeEach(async () => {
  device = await TestDevice.start(['reader', 'sink'], sinkRoutes)
  edgeHub = await EdgeHub.start(device.settings, systemClock, new TestLog())
  Object.assign(process.env, device.environment('sink', edgeHub.ports.mqttPort))
  reader = await connectReader()
  inputs = []
  desired = []
  connections = []
  stopping = false
})
afterEach(async () => {
  stopping = true
  await hub.close()
  reader.close()
  await edgeHub.stop()
  await device.stop()
})

async function connectReader(): Promise<RawClient> {
  const { client } = await RawClient.connect({
    port: edgeHub.ports.mqttPort,
    ca: device.trustBundle,
    clientId: `${deviceId}/reader`,
    userName: userName('reader'),
    password: device.token('reader'),
  })
  return client
}

function publishFromReader(messageId: string): Promise<void> {
  return new Promise((done) => {
    const topic = `devices/${deviceId}/modules/reader/messages/events/%24.on=out&%24.mid=${messageId}&color=red/`
    reader.publish(topic, Buffer.from(JSON.stringify({ messageId })), done)
  })
}

/** Opens again whenever the connection is lost, as the host does. */
function keepOpen(renewalMs: number): Promise<void> {
  hub = new AzureHub({ renewalMs })
  hub.onInput((message) => inputs.push(message))
  hub.onDesired((properties, version) => desired.push({ properties, version }))
  hub.onMethod(async (name, payload) => ({ status: 200, payload: { name, payload } }))
  hub.onConnection((connected) => {
    connections.push(connected)
    if (!connected && !stopping) void reopen()
  })
  return hub.open()
}

async function reopen(): Promise<void> {
  while (!stopping) {
    try {
      return await hub.open()
    } catch {
      await new Promise((done) => setTimeout(done, 50))
    }
  }
}

/** Sends until the hub has it, with the same id each time. */
async function sendUntilTaken(messageId: string): Promise<void> {
  for (;;) {
    try {
      return await hub.send({ output: 'up', messageId, body: Buffer.from('{}'), properties: { deviceId: 'press-4' } })
    } catch {
      await new Promise((done) => setTimeout(done, 10))
    }
  }
}

const anHourMs = 3_600_000

describe('the hub on the device SDK', () => {
  it('takes inputs without the properties that the edge hub adds, and says who sent them', async () => {
    await keepOpen(anHourMs)
    await publishFromReader('m1')
    await until(() => inputs.length === 1)
    expect(inputs[0]).toMatchObject({
      input: 'in',
      messageId: 'm1',
      properties: { color: 'red' },
      sourceModuleId: 'reader',
    })
  })

  it('sends messages, reports properties, follows desired ones and answers methods', async () => {
    await keepOpen(anHourMs)
    await sendUntilTaken('m1')
    await until(() => device.cloud.recentMessages().length === 1)
    await hub.report({ config: { status: 'applied' } })
    await until(() => device.cloud.twin('sink')?.reported['config'] !== undefined)
    device.cloud.patchDesired('sink', { gain: 2 })
    await until(() => desired.some(({ properties }) => properties['gain'] === 2))
    expect(await device.cloud.callMethod('sink', 'anything', { a: 1 })).toMatchObject({
      status: 200,
      payload: { name: 'anything', payload: { a: 1 } },
    })
  })

  it('refuses a report that the edge hub would drop in silence', async () => {
    await keepOpen(anHourMs)
    await expect(hub.report({ 'a.b': 1 })).rejects.toMatchObject({ code: 'REPORT_REFUSED' })
  })

  it('is open again soon after the edge hub was restarted, and loses nothing that either has acknowledged', async () => {
    await keepOpen(anHourMs)
    await publishFromReader('m1')
    await until(() => inputs.length === 1)
    await edgeHub.stop()
    await until(() => connections.at(-1) === false)
    const sent = sendUntilTaken('up1')
    edgeHub = await EdgeHub.start({ ...device.settings, mqttPort: edgeHub.ports.mqttPort }, systemClock, new TestLog())
    await until(() => connections.at(-1) === true)
    reader = await connectReader()
    await publishFromReader('m2')
    await until(() => inputs.some(({ messageId }) => messageId === 'm2'))
    await sent
  })

  it('loses nothing, in either direction, while its token is renewed again and again', async () => {
    await keepOpen(150)
    const sends: Promise<void>[] = []
    const publishes: Promise<void>[] = []
    const count = 600
    for (let index = 0; index < count; index++) {
      sends.push(sendUntilTaken(`s${index}`))
      publishes.push(publishFromReader(`p${index}`))
      await new Promise((done) => setTimeout(done, 4))
    }
    await Promise.all([...sends, ...publishes])
    await until(() => new Set(inputs.map(({ messageId }) => messageId)).size === count, 20_000)
    await until(() => edgeHub.counters().queued['$upstream'] === 0, 20_000)
    expect(connections.filter((connected) => !connected).length).toBeGreaterThan(3)
    expect(edgeHub.counters().messagesTaken).toBeGreaterThanOrEqual(2 * count)
  })

  it('is refused with an identity that the edge hub does not know', async () => {
    process.env['IOTEDGE_IOTHUBHOSTNAME'] = 'other.azure-devices.net'
    const error = await keepOpen(anHourMs).catch((reason: unknown) => reason as WeirError)
    expect(error).toMatchObject({ code: 'HUB_REFUSED' })
  })

  it('leaves a message with the edge hub when the listener throws and the process ends', async () => {
    await publishFromReader('m1')
    const program = join(resolve(import.meta.dirname), 'programs', 'throwing-listener.ts')
    const loader = ['--import', 'tsx']
    const child = spawn(process.execPath, [...loader, program], { env: process.env, stdio: 'ignore' })
    expect(await once(child, 'exit')).toEqual([3, null])
    await keepOpen(anHourMs)
    await until(() => inputs.length === 1)
    expect(inputs[0]?.messageId).toBe('m1')
  })
})
