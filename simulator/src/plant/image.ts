/** The registers of a plant's devices as they are at a moment. Knows no clock and no network. */
import { ChangeRing } from './changes.ts'
import type { PlantDevice } from './layout.ts'
import type { ModbusUnit } from './pdu.ts'
import { encode, type RegisterPlace, store, unitFor } from './registers.ts'

/** Changes remembered per signal: at least 12 s of a signal that changes every 50 ms. */
const changesMax = 256

/** The value that a signal has `sinceStartMs` after the plant's start. NaN where there is none. */
export type SignalSource = (deviceId: string, signal: string) => (sinceStartMs: number) => number

/** Units by unit id, by link. */
export type Units = ReadonlyMap<string, ReadonlyMap<number, ModbusUnit>>

interface LiveSignal {
  readonly unit: ModbusUnit
  readonly place: RegisterPlace
  readonly value: (sinceStartMs: number) => number
  readonly changes: ChangeRing
}

/** The units behind each link; devices that share a unit id on one link share its registers. */
function unitsOf(devices: readonly PlantDevice[]): Units {
  const places = new Map<string, Map<number, RegisterPlace[]>>()
  for (const { link, unitId, signals } of devices) {
    const units = places.get(link) ?? new Map<number, RegisterPlace[]>()
    places.set(link, units)
    units.set(unitId, [...(units.get(unitId) ?? []), ...signals.values()])
  }
  return new Map(
    [...places].map(([link, units]) => [link, new Map([...units].map(([unitId, of]) => [unitId, unitFor(of)]))]),
  )
}

/** Half a unit of the last decimal that `value` is written with: what rounding may have moved it by. */
function roundingTolerance(value: number): number {
  const decimals = /\.(\d+)$/.exec(String(value))?.[1]?.length ?? 0
  return 0.5 * 10 ** -decimals + 1e-9
}

export class PlantImage {
  readonly units: Units
  readonly #signals = new Map<string, LiveSignal>()

  constructor(devices: readonly PlantDevice[], source: SignalSource) {
    this.units = unitsOf(devices)
    for (const { deviceId, link, unitId, signals } of devices) {
      const unit = this.units.get(link)?.get(unitId)
      if (unit === undefined) continue
      for (const [signal, place] of signals) {
        const value = source(deviceId, signal)
        this.#signals.set(`${deviceId}/${signal}`, { unit, place, value, changes: new ChangeRing(changesMax) })
      }
    }
  }

  get signalCount(): number {
    return this.#signals.size
  }

  /** Brings every register to its value `sinceStartMs` after the start; changes are remembered with the time `nowMs`. */
  update(sinceStartMs: number, nowMs: number): void {
    for (const { unit, place, value, changes } of this.#signals.values()) {
      const { words, shown } = encode(value(sinceStartMs), place)
      if (store(unit, place, words)) changes.add(nowMs, shown)
    }
  }

  /**
   * When the registers of a signal took the value that a row shows: Unix milliseconds of the latest change to `value`
   * (give or take half of its last decimal) not after `timestampMs`; undefined where none is remembered.
   */
  changedMs(deviceId: string, signal: string, value: number, timestampMs: number): number | undefined {
    return this.#signals.get(`${deviceId}/${signal}`)?.changes.find(value, roundingTolerance(value), timestampMs)
  }
}
