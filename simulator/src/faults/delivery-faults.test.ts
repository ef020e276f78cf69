import { ManualClock, systemClock } from '@weir/lib/clock'
import { afterEach, describe, expect, test } from 'vitest'
import { EdgeHub } from '../edge-hub/hub.ts'
import { RawClient } from '../edge-hub/raw-client.ts'
import { deviceId, routes, TestDevice, TestLog, until, userName } from '../edge-hub/testing.ts'
import { type DeliveryFaultSettings, DeliveryFaults } from './delivery-faults.ts'

function sent(faults: DeliveryFaults, moduleId: string, again = false): boolean[] {
  const sends: boolean[] = []
  faults.deliver(moduleId, again, (dup) => sends.push(dup))
  return sends
}

describe('deliveries to a module', () => {
  test('are as they were to every other module', () => {
    const faults = new DeliveryFaults(new ManualClock(), { seed: 1, modules: { a: { duplicateShare: 1 } } })
    expect(sent(faults, 'b')).toEqual([false])
    expect(sent(faults, 'toString', true)).toEqual([true])
    expect(faults.losesAcknowledgement('b')).toBe(false)
  })

  test('come twice, the second time marked as a repetition', () => {
    const faults = new DeliveryFaults(new ManualClock(), { seed: 1, modules: { a: { duplicateShare: 1 } } })
    expect(sent(faults, 'a')).toEqual([false, true])
  })

  test('come later, and at once again when the fault is over', () => {
    const clock = new ManualClock()
    const faults = new DeliveryFaults(clock, { seed: 1, modules: { a: { delayMs: 50 } } })
    const sends = sent(faults, 'a')
    clock.advance(49)
    expect(sends).toEqual([])
    clock.advance(1)
    expect(sends).toEqual([false])
    faults.set({ seed: 1, modules: {} })
    expect(sent(faults, 'a')).toEqual([false])
  })

  test('go wrong in the share that was ordered, in the same places for the same seed', () => {
    const places = (seed: number): boolean[] => {
      const modules = { a: { dropBeforeAckShare: 0.25, duplicateShare: 0.5 } }
      const faults = new DeliveryFaults(new ManualClock(), { seed, modules })
      return Array.from({ length: 2000 }, () => faults.losesAcknowledgement('a'))
    }
    expect(places(3)).toEqual(places(3))
    expect(places(3)).not.toEqual(places(4))
    const lost = places(3).filter(Boolean).length
    expect(lost).toBeGreaterThan(400)
    expect(lost).toBeLessThan(600)
  })
})

describe('the edge hub', () => {
  const outTopic = `devices/${deviceId}/modules/reader/messages/events/%24.on=out&%24.mid=`

  const toSink = routes({
    r: 'FROM /messages/modules/reader/outputs/out INTO BrokeredEndpoint("/modules/sink/inputs/in")',
  })

  interface Delivery {
    readonly text: string
    readonly again: boolean
  }

  let device: TestDevice
  let hub: EdgeHub
  let reader: RawClient

  async function start(deliveryFaults: DeliveryFaultSettings): Promise<void> {
    device = await TestDevice.start(['reader', 'sink'], toSink, { deliveryFaults })
    hub = await EdgeHub.start(device.settings, systemClock, new TestLog())
    reader = await connect('reader')
  }

  afterEach(async () => {
    reader.close()
    await hub.stop()
    await device.stop()
  })

  async function connect(moduleId: string): Promise<RawClient> {
    const { client } = await RawClient.connect({
      port: hub.ports.mqttPort,
      ca: device.trustBundle,
      clientId: `${deviceId}/${moduleId}`,
      userName: userName(moduleId),
      password: device.token(moduleId),
    })
    return client
  }

  async function connectSink(got: Delivery[]): Promise<RawClient> {
    const sink = await connect('sink')
    sink.onMessage = ({ payload, dup }) => got.push({ text: String(payload), again: dup })
    await sink.subscribe(`devices/${deviceId}/modules/sink/inputs/#`)
    return sink
  }

  function publish(...texts: string[]): void {
    for (const text of texts) reader.publish(`${outTopic}${text}/`, Buffer.from(text), () => {})
  }

  const waiting = (): number => hub.counters().queued['sink/in'] ?? 0

  test('delivers each message twice where that is ordered, and counts it once', async () => {
    await start({ seed: 1, modules: { sink: { duplicateShare: 1 } } })
    const got: Delivery[] = []
    const sink = await connectSink(got)
    publish('1', '2')
    await until(() => got.length === 4 && waiting() === 0)
    expect(got).toEqual(['1', '2'].flatMap((text) => [false, true].map((again) => ({ text, again }))))
    expect(hub.counters().messagesDelivered).toBe(2)
    sink.close()
  })

  test('delivers late and in order where that is ordered', async () => {
    await start({ seed: 1, modules: { sink: { delayMs: 40 } } })
    const got: Delivery[] = []
    const sink = await connectSink(got)
    const startMs = performance.now()
    publish('1', '2', '3')
    await until(() => got.length === 3)
    expect(got.map(({ text }) => text)).toEqual(['1', '2', '3'])
    expect(performance.now() - startMs).toBeGreaterThan(119)
    sink.close()
  })

  test('keeps a message whose acknowledgement got lost, and delivers it again', async () => {
    await start({ seed: 1, modules: { sink: { dropBeforeAckShare: 1 } } })
    const got: Delivery[] = []
    const before = await connectSink(got)
    publish('1')
    await until(() => got.length === 1)
    // Time for the acknowledgement to arrive, and to get lost.
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(waiting()).toBe(1)
    hub.setDeliveryFaults({ seed: 1, modules: {} })
    before.close()
    const after = await connectSink(got)
    await until(() => waiting() === 0)
    expect(got.map(({ text }) => text)).toEqual(['1', '1'])
    after.close()
  })
})
