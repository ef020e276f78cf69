import type { Clock } from '@weir/lib/clock'
import { plantDevices } from './layout.ts'
import { type Plant, startPlant } from './plant.ts'
import { plantSignal } from './signals.ts'

/**
 * The plant behind a modbus-reader configuration: every device and signal of it, at the addresses and in the types that
 * it names, with the signals that signals.ts models. Throws CONFIG_REFUSED where the configuration cannot be served.
 */
export async function startDefaultPlant(readerDesired: unknown, seed: number, clock: Clock): Promise<Plant> {
  return startPlant(plantDevices(readerDesired), (deviceId, signal) => plantSignal(deviceId, signal, seed), clock)
}
