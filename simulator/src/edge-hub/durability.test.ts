import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { systemClock } from '@weir/lib/clock'
import type { IPublishPacket } from 'mqtt-packet'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { EdgeHubSettings, FromEdgeHubControl } from '../edge-hub-control.ts'
import { EdgeHub } from './hub.ts'
import type { RawClient } from './raw-client.ts'
import { deviceId, routes, TestDevice, TestLog, until } from './testing.ts'

const main = join(import.meta.dirname, 'main.ts')
const routesHere = routes({
  alerts: { route: 'FROM /messages/modules/reader/outputs/alerts INTO $upstream', priority: 0 },
  rows: { route: 'FROM /messages/modules/reader/outputs/rows INTO $upstream', priority: 5 },
  toSink: 'FROM /messages/modules/reader/outputs/out INTO BrokeredEndpoint("/modules/sink/inputs/in")',
})

let device: TestDevice
let clients: RawClient[]
let children: ChildProcess[]

beforeEach(async () => {
  clients = []
  children = []
  device = await TestDevice.start(['reader', 'sink'], routesHere)
})
afterEach(async () => {
  for (const client of clients) client.close()
  for (const child of children) child.kill('SIGKILL')
  await device.stop()
})

async function connect(moduleId: string, port: number): Promise<RawClient> {
  const client = await device.connect(moduleId, port)
  clients.push(client)
  return client
}

function send(client: RawClient, output: string, messageId: string): Promise<void> {
  const topic = `devices/${deviceId}/modules/reader/messages/events/%24.on=${output}&%24.mid=${messageId}/`
  return new Promise((resolve) => client.publish(topic, Buffer.from('{}'), resolve))
}

const cloudIds = () => device.cloud.recentMessages().map(({ systemProperties }) => systemProperties['messageId'])

describe('while the cloud is away', () => {
  test('everything is taken, and when it is back everything arrives, alerts first', async () => {
    const hub = await EdgeHub.start(device.settings, systemClock, new TestLog())
    const reader = await connect('reader', hub.ports.mqttPort)
    await reader.subscribe('$iothub/twin/res/#', 0)
    hub.cutUpstream(true)
    await until(() => !hub.counters().upstreamConnected)
    for (let index = 0; index < 25; index++) await send(reader, 'rows', `row-${index}`)
    await send(reader, 'alerts', 'alert')
    const answers: IPublishPacket[] = []
    reader.onMessage = (packet) => answers.push(packet)
    await new Promise<void>((resolve) =>
      reader.publish('$iothub/twin/PATCH/properties/reported/?$rid=1', Buffer.from('{"a":1}'), resolve),
    )
    await until(() => answers.length === 1)
    expect(answers[0]?.topic).toBe('$iothub/twin/res/204/?$rid=1')
    expect(hub.counters().queued['$upstream']).toBe(26)
    hub.cutUpstream(false)
    await until(() => cloudIds().length === 26)
    expect(cloudIds()).toEqual(['alert', ...Array.from({ length: 25 }, (_, index) => `row-${index}`)])
    await until(() => device.cloud.twin('reader')?.reported['a'] === 1)
    await hub.stop()
  })

  test('a hub that starts finds its routes, its modules and their twins on disk', async () => {
    const first = await EdgeHub.start(device.settings, systemClock, new TestLog())
    await until(() => first.counters().upstreamConnected)
    await first.stop()
    const away: EdgeHubSettings = { ...device.settings, upstreamSocket: join(device.folder, 'nobody.sock') }
    const second = await EdgeHub.start(away, systemClock, new TestLog())
    const reader = await connect('reader', second.ports.mqttPort)
    await send(reader, 'rows', 'a')
    expect(second.counters()).toMatchObject({ upstreamConnected: false, queued: { $upstream: 1 } })
    await second.stop()
  })
})

describe('the process', () => {
  async function start(): Promise<{ child: ChildProcess; port: number }> {
    const child = fork(main, [], {
      execArgv: [],
      env: { ...process.env, RuntimeLogLevel: 'error', WEIR_EDGE_HUB: JSON.stringify(device.settings) },
    })
    children.push(child)
    const [message] = (await once(child, 'message')) as [FromEdgeHubControl]
    if (message.type !== 'listening') throw new Error(JSON.stringify(message))
    return { child, port: message.mqttPort }
  }

  test('killed while messages come in and go out, it loses none that it acknowledged', async () => {
    const arrived = new Set<string>()
    device.cloud.onMessage(({ systemProperties }) => arrived.add(systemProperties['messageId'] ?? ''))
    const received = new Set<string>()
    const acknowledged: string[] = []
    for (const round of [1, 2]) {
      const { child, port } = await start()
      const sink = await connect('sink', port)
      sink.onMessage = ({ topic }) => received.add(topic.split('%24.mid=')[1] ?? '')
      await sink.subscribe(`devices/${deviceId}/modules/sink/inputs/#`)
      const reader = await connect('reader', port)
      for (let index = 0; index < 600; index++) {
        const messageId = `${round}-${index}`
        void send(reader, index % 2 === 0 ? 'rows' : 'out', messageId).then(() => acknowledged.push(messageId))
      }
      await until(() => acknowledged.length > round * 150)
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
    }
    const { port } = await start()
    const sink = await connect('sink', port)
    sink.onMessage = ({ topic }) => received.add(topic.split('%24.mid=')[1] ?? '')
    await sink.subscribe(`devices/${deviceId}/modules/sink/inputs/#`)
    expect(acknowledged.length).toBeGreaterThan(300)
    await until(() => acknowledged.every((messageId) => arrived.has(messageId) || received.has(messageId)))
    expect(device.cloud.report().redelivered).toBe(0)
  })

  test('SIGTERM ends it within 5 s with code 0', async () => {
    const { child, port } = await start()
    await connect('reader', port)
    const startMs = Date.now()
    child.kill('SIGTERM')
    expect(await once(child, 'exit')).toEqual([0, null])
    expect(Date.now() - startMs).toBeLessThan(5000)
  })

  test('it ends when its parent is gone', async () => {
    const { child } = await start()
    child.disconnect()
    expect(await once(child, 'exit')).toEqual([0, null])
  })
})

test('a taken port is an error that names the port and the option', async () => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  const address = other.address()
  const mqttPort = typeof address === 'object' && address !== null ? address.port : 0
  const starting = EdgeHub.start({ ...device.settings, mqttPort }, systemClock, new TestLog())
  await expect(starting).rejects.toThrow(new RegExp(`MQTT port ${mqttPort} is taken.*--port`))
  other.close()
})
