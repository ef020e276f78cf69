import { systemClock } from '@weir/lib/clock'
import type { IPublishPacket } from 'mqtt-packet'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { EdgeHub } from './hub.ts'
import { RawClient } from './raw-client.ts'
import { deviceId, routes, TestDevice, TestLog, until, userName } from './testing.ts'

let device: TestDevice
let hub: EdgeHub
let log: TestLog

beforeEach(async () => {
  device = await TestDevice.start(
    ['reader', 'sink'],
    routes({
      toSink: 'FROM /messages/modules/reader/outputs/out INTO BrokeredEndpoint("/modules/sink/inputs/in")',
      up: 'FROM /messages/modules/reader/outputs/up INTO $upstream',
    }),
  )
  log = new TestLog()
  hub = await EdgeHub.start(device.settings, systemClock, log)
})
afterEach(async () => {
  await hub.stop()
  await device.stop()
})

async function connect(moduleId: string, password = device.token(moduleId)): Promise<RawClient> {
  const { client, returnCode } = await RawClient.connect({
    port: hub.ports.mqttPort,
    ca: device.trustBundle,
    clientId: `${deviceId}/${moduleId}`,
    userName: userName(moduleId),
    password,
  })
  expect(returnCode).toBe(0)
  return client
}

test('goes', async () => {
  const sink = await connect('sink')
  const got: IPublishPacket[] = []
  sink.onMessage = (packet) => got.push(packet)
  await sink.subscribe(`devices/${deviceId}/modules/sink/inputs/#`)
  const reader = await connect('reader')
  let acks = 0
  reader.publish(
    `devices/${deviceId}/modules/reader/messages/events/%24.on=out&%24.mid=1&a=b/`,
    Buffer.from('{}'),
    () => acks++,
  )
  reader.publish(
    `devices/${deviceId}/modules/reader/messages/events/%24.on=up&%24.mid=2&a=b/`,
    Buffer.from('{}'),
    () => acks++,
  )
  await until(() => acks === 2)
  await until(() => got.length === 1)
  console.log(got[0], hub.counters())
  await until(() => device.cloud.recentMessages().length === 1)
  console.log(device.cloud.recentMessages(), log.lines)
  reader.close()
  sink.close()
})
