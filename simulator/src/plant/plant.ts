import type { Clock, Timer } from '@weir/lib/clock'
import { DeviceFaults } from '../faults/device-faults.ts'
import { PlantImage, type SignalSource } from './image.ts'
import type { PlantDevice } from './layout.ts'
import { type ModbusServer, startModbusServer } from './server.ts'

/** Registers are brought up to date this often. */
export const plantTickMs = 50

export interface PlantAddress {
  readonly host: string
  readonly port: number
}

/** A running plant: its devices answer on loopback and change by themselves. */
export interface Plant {
  readonly devices: readonly PlantDevice[]
  readonly source: SignalSource
  readonly image: PlantImage
  /** Where the devices behind each link answer. */
  readonly addresses: ReadonlyMap<string, PlantAddress>
  /** Makes devices fail. */
  readonly faults: DeviceFaults
  close(): Promise<void>
}

/**
 * Starts one Modbus TCP server per link on free loopback ports and keeps the registers of `devices` at what `source`
 * says, from now on.
 */
export async function startPlant(devices: readonly PlantDevice[], source: SignalSource, clock: Clock): Promise<Plant> {
  const image = new PlantImage(devices, source)
  const startMs = clock.monotonicMs()
  let timer: Timer | undefined
  const tick = (): void => {
    const sinceStartMs = clock.monotonicMs() - startMs
    image.update(sinceStartMs, clock.nowMs())
    timer = clock.setTimer(tick, plantTickMs - (sinceStartMs % plantTickMs))
  }
  tick()
  const addresses = new Map<string, ModbusServer>()
  const faults = new DeviceFaults(devices, clock)
  for (const [link, units] of image.units) addresses.set(link, await startModbusServer(units, faults.filter(link)))
  return {
    devices,
    source,
    image,
    addresses,
    faults,
    async close() {
      timer?.cancel()
      await Promise.all([...addresses.values()].map((server) => server.close()))
    },
  }
}
