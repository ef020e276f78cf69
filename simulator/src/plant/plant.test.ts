import { ManualClock } from '@weir/lib/clock'
import modbusSerial from 'modbus-serial'
import { afterEach, describe, expect, test } from 'vitest'
import { ChangeRing } from './changes.ts'
import { startDefaultPlant } from './default-plant.ts'
import type { Plant } from './plant.ts'
import { plantSignal } from './signals.ts'

const reader = {
  links: { a: { transport: 'tcp', host: 'plc', port: 502 }, b: { transport: 'tcp', host: 'plc-b', port: 502 } },
  devices: {
    'oven-1': {
      link: 'a',
      unitId: 1,
      signals: {
        temperature: { table: 'holding', address: 0, type: 'float32' },
        humidity: { table: 'holding', address: 2, type: 'uint16', scale: 0.1 },
        doorOpen: { table: 'discrete', address: 0, type: 'bit' },
      },
    },
    'mill-3': { link: 'a', unitId: 3, signals: { load: { table: 'input', address: 4, type: 'int16', scale: 0.1 } } },
    'press-4': { link: 'b', unitId: 1, signals: { strokes: { table: 'input', address: 0, type: 'uint32' } } },
  },
}

let plant: Plant | undefined
type Client = InstanceType<typeof modbusSerial.default>
const clients: Client[] = []

async function client(link: string, unitId: number): Promise<Client> {
  const address = plant?.addresses.get(link)
  if (address === undefined) throw new Error(`no link ${link}`)
  const modbus = new modbusSerial.default()
  await modbus.connectTCP(address.host, { port: address.port })
  modbus.setID(unitId)
  clients.push(modbus)
  return modbus
}

afterEach(async () => {
  for (const modbus of clients.splice(0)) modbus.close(() => undefined)
  await plant?.close()
  plant = undefined
})

describe('the default plant', () => {
  test('serves each signal where, and as what, the reader is configured to read it', async () => {
    const clock = new ManualClock()
    plant = await startDefaultPlant(reader, 1, clock)
    clock.advance(30_000)
    const oven = await client('a', 1)
    const registers = await oven.readHoldingRegisters(0, 3)
    expect(registers.buffer.readFloatBE(0)).toBeCloseTo(plantSignal('oven-1', 'temperature', 1)(30_000), 3)
    expect(registers.buffer.readUInt16BE(4)).toBe(Math.round(plantSignal('oven-1', 'humidity', 1)(30_000) * 10))
    expect((await oven.readDiscreteInputs(0, 1)).data[0]).toBe(false)
    const mill = await client('a', 3)
    const load = await mill.readInputRegisters(4, 1)
    expect(load.buffer.readInt16BE(0)).toBe(Math.round(plantSignal('mill-3', 'load', 1)(30_000) * 10))
    const press = await client('b', 1)
    const strokes = await press.readInputRegisters(0, 2)
    expect(strokes.buffer.readUInt32BE(0)).toBe(plantSignal('press-4', 'strokes', 1)(30_000))
  })

  test('answers for a unit or an address that it does not have with an exception', async () => {
    plant = await startDefaultPlant(reader, 1, new ManualClock())
    const nobody = await client('a', 9)
    await expect(nobody.readHoldingRegisters(0, 1)).rejects.toThrow('Modbus exception 11')
    const oven = await client('a', 1)
    await expect(oven.readHoldingRegisters(3, 1)).rejects.toThrow('Modbus exception 2')
  })

  test('remembers when a value that a reader shows came about', async () => {
    const clock = new ManualClock()
    const startMs = clock.nowMs()
    plant = await startDefaultPlant(reader, 1, clock)
    clock.advance(24_300)
    const shown = Number(plantSignal('oven-1', 'temperature', 1)(24_300).toFixed(2))
    // The sensor renews every 500 ms: at 24,000 ms.
    expect(plant.image.changedMs('oven-1', 'temperature', shown, clock.nowMs())).toBe(startMs + 24_000)
    expect(plant.image.changedMs('oven-1', 'temperature', shown, startMs + 23_999)).toBeUndefined()
    expect(plant.image.changedMs('oven-1', 'nothing', shown, clock.nowMs())).toBeUndefined()
  })

  test('refuses a configuration that it cannot serve, with the place', async () => {
    const strange = structuredClone(reader)
    strange.devices['oven-1'].signals.temperature.type = 'complex128'
    await expect(async () => startDefaultPlant(strange, 1, new ManualClock())).rejects.toThrow(
      'modbus-reader/devices/oven-1/signals/temperature/type',
    )
    const unlinked = structuredClone(reader)
    unlinked.devices['mill-3'].link = 'c'
    await expect(async () => startDefaultPlant(unlinked, 1, new ManualClock())).rejects.toThrow(
      'link c is not in links',
    )
  })
})

test('a ring of changes forgets the oldest and finds the latest that fits', () => {
  const ring = new ChangeRing(3)
  for (const [timeMs, value] of [
    [10, 1],
    [20, 2],
    [30, 1],
    [40, 3],
  ] as const)
    ring.add(timeMs, value)
  expect(ring.find(1, 0, 100)).toBe(30)
  expect(ring.find(1, 0, 25)).toBeUndefined()
  expect(ring.find(2.04, 0.05, 100)).toBe(20)
  expect(ring.find(9, 0.5, 100)).toBeUndefined()
})
