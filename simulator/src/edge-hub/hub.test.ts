import { systemClock } from '@weir/lib/clock'
import type { JsonObject } from '@weir/lib/json'
import { Message } from 'azure-iot-common'
import { ModuleClient, type Twin } from 'azure-iot-device'
import { Mqtt } from 'azure-iot-device-mqtt'
import type { IPublishPacket } from 'mqtt-packet'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { EdgeHub } from './hub.ts'
import type { RawClient } from './raw-client.ts'
import { deviceId, iotHubHostname, routes, TestDevice, TestLog, until } from './testing.ts'

let device: TestDevice
let hub: EdgeHub
let log: TestLog
let clients: { close(): unknown }[]

beforeEach(async () => {
  device = await TestDevice.start(
    ['reader', 'sink', 'watcher'],
    routes({
      toSink: 'FROM /messages/modules/reader/outputs/out INTO BrokeredEndpoint("/modules/sink/inputs/in")',
      toCloud: 'FROM /messages/modules/reader/outputs/up INTO $upstream',
      changes: 'FROM /twinChangeNotifications INTO BrokeredEndpoint("/modules/watcher/inputs/changes")',
    }),
  )
  clients = []
  log = new TestLog()
  hub = await EdgeHub.start(device.settings, systemClock, log)
})
afterEach(async () => {
  for (const client of clients) await client.close()
  await hub.stop()
  await device.stop()
})

async function connect(moduleId: string, changes: Parameters<TestDevice['connect']>[2] = {}): Promise<RawClient> {
  const client = await device.connect(moduleId, hub.ports.mqttPort, changes)
  clients.push(client)
  return client
}

async function sdkClient(moduleId: string): Promise<ModuleClient> {
  const before = { ...process.env }
  Object.assign(process.env, device.environment(moduleId, hub.ports.mqttPort))
  try {
    const client = await ModuleClient.fromEnvironment(Mqtt)
    clients.push(client)
    return client
  } finally {
    process.env = before
  }
}

const eventsOf = (moduleId: string) => `devices/${deviceId}/modules/${moduleId}/messages/events`
const inputsOf = (moduleId: string) => `devices/${deviceId}/modules/${moduleId}/inputs/#`

function publish(client: RawClient, topic: string, body: string | Buffer = '{}'): Promise<void> {
  return new Promise((resolve) => client.publish(topic, Buffer.from(body), resolve))
}

function collect(client: RawClient): IPublishPacket[] {
  const packets: IPublishPacket[] = []
  client.onMessage = (packet) => packets.push(packet)
  return packets
}

describe('with the device SDK', () => {
  test('what one module sends on an output arrives at the input of another, with all its properties', async () => {
    const sink = await sdkClient('sink')
    const received: Message[] = []
    sink.on('inputMessage', (_input: string, message: Message) => received.push(message))
    await sink.open()
    const reader = await sdkClient('reader')
    await reader.open()
    const message = new Message('{"a":1}')
    message.messageId = 'id-1'
    message.contentType = 'application/json'
    message.contentEncoding = 'utf-8'
    message.properties.add('päth', 'a/b&c=d')
    await reader.sendOutputEvent('out', message)
    const [first] = await until(() => received.length > 0 && received)
    expect(first?.getData().toString()).toBe('{"a":1}')
    expect(first).toMatchObject({ messageId: 'id-1', contentType: 'application/json', contentEncoding: 'utf-8' })
    const properties = Object.fromEntries(first?.properties.propertyList.map(({ key, value }) => [key, value]) ?? [])
    expect(properties).toEqual({ päth: 'a/b&c=d', '$.cdid': deviceId, '$.cmid': 'reader' })
  })

  test('twin: read, reported, and desired changes as they come', async () => {
    device.cloud.patchDesired('sink', { interval: 5 })
    const sink = await sdkClient('sink')
    await sink.open()
    const twin: Twin = await sink.getTwin()
    expect(twin.properties.desired).toMatchObject({ interval: 5 })
    const changes: JsonObject[] = []
    twin.on('properties.desired', (change: JsonObject) => changes.push(change))
    await until(() => changes.length > 0 && log.lines.some((line) => line.endsWith('properties/desired/#')))
    device.cloud.patchDesired('sink', { interval: 6, more: { x: 1 } })
    const change = await until(() => changes[1])
    expect(change).toMatchObject({ interval: 6, more: { x: 1 }, $version: device.cloud.twin('sink')?.desiredVersion })
    await new Promise<void>((resolve, reject) =>
      twin.properties.reported['update']({ state: { ready: true } }, (error: unknown) =>
        error ? reject(error) : resolve(),
      ),
    )
    await until(() => device.cloud.twin('sink')?.reported['state'] !== undefined)
  })

  test('a method called from the cloud is answered by the module', async () => {
    const sink = await sdkClient('sink')
    sink.onMethod('add', (call, response) => {
      void response?.send(201, { sum: call?.payload.a + call?.payload.b })
    })
    await sink.open()
    const result = await device.cloud.callMethod('sink', 'add', { a: 1, b: 2 }, { connectTimeoutMs: 5000 })
    expect(result).toEqual({ status: 201, payload: { sum: 3 } })
  })
})

describe('delivery', () => {
  test('a message that was not acknowledged comes again with the next connection, as a duplicate', async () => {
    const sink = await connect('sink')
    sink.acknowledges = false
    const first = collect(sink)
    await sink.subscribe(inputsOf('sink'))
    const reader = await connect('reader')
    await publish(reader, `${eventsOf('reader')}/%24.on=out&%24.mid=1/`)
    await publish(reader, `${eventsOf('reader')}/%24.on=out&%24.mid=2/`)
    await until(() => first.length === 1)
    sink.close()
    const again = await connect('sink')
    const second = collect(again)
    await again.subscribe(inputsOf('sink'))
    await until(() => second.length === 2)
    expect(first.map(({ dup }) => dup)).toEqual([false])
    expect(second.map(({ topic, dup }) => [topic.slice(-1), dup])).toEqual([
      ['1', true],
      ['2', false],
    ])
  })

  test('subscriptions of a kept session are remembered, over a restart of the hub too', async () => {
    const sink = await connect('sink')
    await sink.subscribe(inputsOf('sink'))
    await hub.stop()
    hub = await EdgeHub.start(device.settings, systemClock, new TestLog())
    const reader = await connect('reader')
    await publish(reader, `${eventsOf('reader')}/%24.on=out/`)
    const packets: IPublishPacket[] = []
    await connect('sink', { onMessage: (packet) => packets.push(packet) })
    await until(() => packets.length === 1)
  })

  test('a clean session begins without subscriptions, and leaves none', async () => {
    const sink = await connect('sink')
    await sink.subscribe(inputsOf('sink'))
    sink.close()
    const reader = await connect('reader')
    await publish(reader, `${eventsOf('reader')}/%24.on=out/`)
    const packets: IPublishPacket[] = []
    const onMessage = (packet: IPublishPacket) => packets.push(packet)
    const clean = await connect('sink', { clean: true, onMessage })
    clean.close()
    const kept = await connect('sink', { onMessage })
    await publish(reader, `${eventsOf('reader')}/%24.on=out/`)
    expect(packets).toEqual([])
    await kept.subscribe(inputsOf('sink'))
    await until(() => packets.length === 2)
  })

  test('a module that unsubscribes its inputs gets nothing more', async () => {
    const sink = await connect('sink')
    const packets = collect(sink)
    await sink.subscribe(inputsOf('sink'))
    sink.write({ cmd: 'unsubscribe', messageId: 9, unsubscriptions: [inputsOf('sink')] })
    await sink.next('unsuback')
    const reader = await connect('reader')
    await publish(reader, `${eventsOf('reader')}/%24.on=out/`)
    expect(packets).toEqual([])
    await sink.subscribe(inputsOf('sink'))
    await until(() => packets.length === 1)
  })

  test('what is too large, has a bad topic or no route is acknowledged, dropped and counted', async () => {
    const reader = await connect('reader')
    for (const bytes of [262_144, 10_000_000]) {
      await publish(reader, `${eventsOf('reader')}/%24.on=out/`, Buffer.alloc(bytes))
    }
    await publish(reader, `${eventsOf('sink')}/%24.on=out/`)
    await publish(reader, `${eventsOf('reader')}/%24.on=nowhere/`)
    expect(hub.counters().messagesDropped).toEqual({ too_large: 2, bad_topic: 1, no_route: 1 })
    expect(hub.counters().queued).toEqual({})
  })

  test('quality of service 2 ends the connection and stores nothing', async () => {
    const reader = await connect('reader')
    const topic = `${eventsOf('reader')}/%24.on=out/`
    reader.write({ cmd: 'publish', topic, payload: 'x', qos: 2, dup: false, retain: false, messageId: 1 })
    await until(() => reader.closed)
    expect(hub.counters().messagesTaken).toBe(0)
  })

  test('no module can send to another but by the routes', async () => {
    const sink = await connect('sink')
    const packets = collect(sink)
    await sink.subscribe(inputsOf('sink'))
    await sink.subscribe('#')
    await sink.subscribe('$iothub/twin/res/#', 0)
    const reader = await connect('reader')
    await publish(reader, `devices/${deviceId}/modules/sink/inputs/in/`)
    await publish(reader, '$iothub/twin/res/200/?$rid=1')
    await publish(reader, '$iothub/methods/POST/stop/?$rid=1')
    expect(packets).toEqual([])
    expect(hub.counters().messagesDropped).toEqual({ bad_topic: 3 })
  })
})

describe('twins', () => {
  test('a refused report is answered 400 with an empty body, an accepted one 204', async () => {
    const sink = await connect('sink')
    const packets = collect(sink)
    await sink.subscribe('$iothub/twin/res/#', 0)
    await publish(sink, '$iothub/twin/PATCH/properties/reported/?$rid=1', '{"a.b":1}')
    await publish(sink, '$iothub/twin/PATCH/properties/reported/?$rid=2', 'no json')
    await publish(sink, '$iothub/twin/PATCH/properties/reported/?$rid=3', '{"a":1}')
    await publish(sink, '$iothub/twin/GET/?$rid=4', ' ')
    await until(() => packets.length === 4)
    expect(packets.map(({ topic, payload }) => [topic, payload.toString()])).toEqual([
      ['$iothub/twin/res/400/?$rid=1', ''],
      ['$iothub/twin/res/400/?$rid=2', ''],
      ['$iothub/twin/res/204/?$rid=3', ''],
      ['$iothub/twin/res/200/?$rid=4', '{"desired":{"$version":1},"reported":{"a":1,"$version":2}}'],
    ])
  })

  test('a report is routed as a twin change of $edgeHub that names who reported', async () => {
    const watcher = await connect('watcher')
    const packets = collect(watcher)
    await watcher.subscribe(inputsOf('watcher'))
    const reader = await connect('reader')
    await publish(reader, '$iothub/twin/PATCH/properties/reported/?$rid=1', '{"a":1}')
    await until(() => packets.length === 1)
    expect(packets[0]?.payload.toString()).toBe('{"a":1}')
    expect(packets[0]?.topic).toBe(
      `devices/${deviceId}/modules/watcher/inputs/changes/%24.cdid=${deviceId}&%24.cmid=reader&%24.schema=twinChangeNotification`,
    )
  })

  test('a configuration with one bad route is refused whole, reported, and the one before stays', async () => {
    device.cloud.patchDesired('$edgeHub', { routes: { bad: 'FROM nowhere', toCloud: null } })
    const status = () => device.cloud.twin('$edgeHub')?.reported['lastDesiredStatus'] as JsonObject | undefined
    await until(() => status()?.['code'] === 400)
    expect(status()?.['description']).toContain('"bad"')
    const reader = await connect('reader')
    await publish(reader, `${eventsOf('reader')}/%24.on=up/`)
    await until(() => device.cloud.recentMessages().length === 1)
    device.cloud.patchDesired('$edgeHub', { routes: { bad: null } })
    await until(() => status()?.['code'] === 200)
    await publish(reader, `${eventsOf('reader')}/%24.on=up/`)
    expect(hub.counters().messagesDropped).toEqual({ no_route: 1 })
  })

  test('$edgeHub reports who is connected', async () => {
    const sink = await connect('sink')
    const status = () => {
      const reported = device.cloud.twin('$edgeHub')?.reported['clients'] as Record<string, JsonObject> | undefined
      return reported?.[`${deviceId}/sink`]?.['status']
    }
    await until(() => status() === 'Connected')
    sink.close()
    await until(() => status() === 'Disconnected')
  })
})

test('metrics have the names and labels of edgeHub', async () => {
  const reader = await connect('reader')
  await publish(reader, `${eventsOf('reader')}/%24.on=up/`)
  await publish(reader, `${eventsOf('reader')}/%24.on=out/`)
  await until(() => device.cloud.recentMessages().length === 1)
  await publish(reader, `${eventsOf('reader')}/%24.on=nowhere/`)
  const text = await (await fetch(`http://127.0.0.1:${hub.ports.metricsPort}/metrics`)).text()
  const tags = `iothub="${iotHubHostname}",edge_device="${deviceId}",instance_number="[^"]+"`
  for (const line of [
    `edgehub_messages_received_total{route_output="up",id="${deviceId}/reader",${tags}} 1`,
    `edgehub_messages_sent_total{from="${deviceId}/reader",to="upstream",from_route_output="up",to_route_input="",priority="2000000000",${tags}} 1`,
    `edgehub_messages_dropped_total{reason="no_route",from="${deviceId}/reader",from_route_output="nowhere",${tags}} 1`,
    `edgehub_queue_length{endpoint="${deviceId}/sink/in",priority="2000000000",${tags}} 1`,
    `edgehub_connected_clients{${tags}} 1`,
    `edgehub_message_size_bytes_count{id="${deviceId}/reader",${tags}} 3`,
  ]) {
    expect(text).toMatch(new RegExp(line.replace(/[{}$]/g, '\\$&')))
  }
})
