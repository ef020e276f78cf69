import { ManualClock, systemClock } from '@weir/lib/clock'
import { openTcp, type ReadAnswer, type Transport } from '@weir/modbus-reader/transport'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Plant, startPlant } from '../plant/plant.ts'
import { DeviceFaults } from './device-faults.ts'

const place = { table: 'holding', type: 'uint16', scale: 1, offset: 0, byteOrder: 'ABCD' } as const

function device(deviceId: string, unitId: number) {
  const signals = new Map([0, 1, 2].map((address) => [`s${address}`, { ...place, address }]))
  return { deviceId, link: 'hall', unitId, signals }
}

const devices = [device('press', 1), device('oven', 2)]

describe('a device of the plant', () => {
  let plant: Plant
  let transport: Transport

  beforeEach(async () => {
    plant = await startPlant(devices, () => () => 500, systemClock)
    transport = await open()
  })
  afterEach(async () => {
    transport.close()
    await plant.close()
  })

  function open(): Promise<Transport> {
    const { host = '', port = 0 } = plant.addresses.get('hall') ?? {}
    return openTcp({ host, port, connectTimeoutMs: 1000 }, systemClock)(() => {}, new AbortController().signal)
  }

  function read(unitId: number, timeoutMs = 200): Promise<ReadAnswer> {
    return transport.read({ unitId, table: 'holding', address: 0, count: 3 }, timeoutMs)
  }

  const good = { data: Buffer.from([1, 244, 1, 244, 1, 244]) }

  test('that is off answers nothing, while the others on its line do', async () => {
    plant.faults.set('press', { action: 'off' })
    expect(await read(1)).toMatchObject({ failure: 'timeout' })
    expect(await read(2)).toEqual(good)
    plant.faults.set('press', undefined)
    expect(await read(1)).toEqual(good)
  })

  test('that is slow answers later', async () => {
    plant.faults.set('press', { action: 'slow', delayMs: 80 })
    const startMs = performance.now()
    expect(await read(1)).toEqual(good)
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(79)
  })

  test('whose answers are garbled is never taken for one that answers', async () => {
    plant.faults.set('oven', { action: 'garbled' })
    for (let attempt = 0; attempt < 10; attempt++) {
      expect((await read(2)).failure).toMatch(/timeout|malformed|exception|closed/)
      transport.close()
      transport = await open()
    }
    plant.faults.set('oven', undefined)
    expect(await read(2)).toEqual(good)
  })
})

test('every way to damage an answer changes it', () => {
  const faults = new DeviceFaults(devices, new ManualClock())
  faults.set('press', { action: 'garbled' })
  const frame = Buffer.from([0, 1, 0, 0, 0, 9, 1, 3, 6, 1, 244, 1, 244, 1, 244])
  const damaged = new Set<string>()
  for (let way = 0; way < 20; way++) faults.filter('hall')(1, frame, (sent) => damaged.add(sent.toString('hex')))
  expect(damaged.size).toBe(5)
  expect(damaged).not.toContain(frame.toString('hex'))
})
