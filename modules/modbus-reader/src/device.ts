import type { Clock, Timer } from '@weir/lib/clock'
import type { Row } from '@weir/lib/messages'
import { DeviceBatch, type UrgentLimits } from './batch.ts'
import type { DeviceConfig, ModbusConfig } from './config.ts'
import { type Deadband, ExceptionReport } from './exception-report.ts'
import { intervalOf } from './groups.ts'
import type { DeviceLabels } from './telemetry.ts'

/** Values in one message; with ids of usual length this stays far below 256 KiB. */
const valuesPerMessageMax = 4000

function urgentLimits(device: DeviceConfig): UrgentLimits {
  return new Map(
    Object.entries(device.signals).flatMap(([signalId, { urgent }]) =>
      urgent === undefined ? [] : [[signalId, urgent]],
    ),
  )
}

function deadbandsOf(device: DeviceConfig): ReadonlyMap<string, Deadband> {
  return new Map(
    Object.entries(device.signals).flatMap(([signalId, { deadband }]) =>
      deadband === undefined ? [] : [[signalId, deadband]],
    ),
  )
}

/** How often the units go along, so that a receiver that began anew learns them. */
const unitsIntervalMs = 600_000

function unitsOf(device: DeviceConfig): Readonly<Record<string, string>> | undefined {
  const units = Object.entries(device.signals).flatMap(([signalId, { unit }]) =>
    unit === undefined ? [] : [[signalId, unit] as const],
  )
  return units.length === 0 ? undefined : Object.fromEntries(units)
}

/** One device while it is polled: its rows on their way into messages. */
export class Device {
  readonly id: string
  readonly config: DeviceConfig
  /** Two devices of equal fingerprint behave alike, so that a new configuration need not start this one anew. */
  readonly fingerprint: string
  readonly #batch: DeviceBatch
  readonly #report: ExceptionReport
  readonly #clock: Clock
  readonly #publish: (device: Device, rows: Row[]) => void
  readonly #units: Readonly<Record<string, string>> | undefined
  #unitsDueMs = Number.NEGATIVE_INFINITY
  #timer: Timer | undefined

  constructor(
    id: string,
    config: ModbusConfig,
    device: DeviceConfig,
    clock: Clock,
    publish: (device: Device, rows: Row[]) => void,
  ) {
    this.id = id
    this.config = device
    this.fingerprint = deviceFingerprint(config, device)
    this.#clock = clock
    this.#publish = publish
    this.#units = unitsOf(device)
    const urgent = urgentLimits(device)
    this.#report = new ExceptionReport(deadbandsOf(device), urgent)
    this.#batch = new DeviceBatch({
      publishIntervalMs: config.publishIntervalMs,
      pollIntervalMs: Math.min(...Object.values(device.signals).map((signal) => intervalOf(config, device, signal))),
      urgent,
      valuesMax: valuesPerMessageMax,
    })
  }

  /** Takes the row of a poll of `group`, or what of it is worth telling. */
  add(group: string, row: Row): void {
    const told = this.#report.filter(row, this.#clock.monotonicMs())
    if (told === undefined) return
    const verdict = this.#batch.add(group, told, this.#clock.monotonicMs())
    if (verdict === 'publish') this.flush()
    else if (this.#timer === undefined && this.#batch.dueMs !== undefined) {
      this.#timer = this.#clock.setTimer(() => this.flush(), this.#batch.dueMs - this.#clock.monotonicMs())
    }
  }

  /** What goes with the rows of the message about to be made. The units are in the first one, then every ten minutes. */
  labels(): DeviceLabels {
    const { deviceType, location } = this.config
    const nowMs = this.#clock.monotonicMs()
    if (nowMs < this.#unitsDueMs) return { deviceType, location }
    this.#unitsDueMs = nowMs + unitsIntervalMs
    return { deviceType, location, units: this.#units }
  }

  /** Sends what is collected now. */
  flush(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    const rows = this.#batch.take()
    if (rows.length > 0) this.#publish(this, rows)
  }
}

export function deviceFingerprint(config: ModbusConfig, device: DeviceConfig): string {
  const { publishIntervalMs, pollIntervalMs, gapRegistersMax, gapBitsMax } = config
  return JSON.stringify([device, publishIntervalMs, pollIntervalMs, gapRegistersMax, gapBitsMax])
}
