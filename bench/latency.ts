/**
 * How long an alert takes from the change of a register to the hub stand-in: Modbus TCP, the modbus-reader's poll, and the
 * routes of the default manifest with all its modules, each a process run from its bundle.
 */
import { type Clock, sleep, systemClock } from '@weir/lib/clock'
import { asObject, type JsonObject } from '@weir/lib/json'
import { type CloudMessage, messageTypeOf, parseBody } from '@weir/simulator/cloud/cloud-message'
import { loadDeployment } from '@weir/simulator/manifest/load'
import type { SignalSource } from '@weir/simulator/plant/image'
import { plantDevices } from '@weir/simulator/plant/layout'
import { type Plant, startPlant } from '@weir/simulator/plant/plant'
import { desiredOf, laidOver, linksOverlay, readerName } from '@weir/simulator/runner/demo'
import { manifestDefault } from '@weir/simulator/runner/preparation'
import { percentile } from '@weir/simulator/runner/report'
import { BenchDevice, processFlags, rounded } from './edge-device.ts'

const pollIntervalsMs = [250, 100]
const alertsPerInterval = 240
const signal = 'temperature'
/** On either side of the limit of the default manifest, 80 °C with a deadband of 2. */
const highValue = 90
const normalValue = 50
/** Tells the changes of a device apart. */
const valueStep = 0.01
const arrivalTimeoutMs = 15_000

export interface LatencyBench {
  readonly settings: Readonly<Record<string, number | string>>
  /** From the register's change to the hub stand-in; the wait for the next poll is part of it. */
  readonly byPollInterval: readonly {
    readonly pollIntervalMs: number
    /** Alerts raised and alerts that ended, both. */
    readonly alerts: number
    readonly msP50: number
    readonly msP99: number
    readonly msMax: number
  }[]
}

export async function benchLatency(): Promise<LatencyBench> {
  const manifest = loadDeployment(manifestDefault, {})
  const reader = desiredOf(manifest, readerName) ?? {}
  const plant = await TogglingPlant.start(reader, systemClock)
  const { edgeHubDesired, modules } = laidOver(manifest, [linksOverlay(plant.addresses)])
  const device = await BenchDevice.start({
    edgeHubDesired,
    modules: Object.fromEntries(modules.map(({ name, desired }) => [name, { folder: `modules/${name}`, desired }])),
  })
  try {
    device.cloud.onMessage((message) => plant.take(message))
    const byPollInterval = []
    for (const pollIntervalMs of pollIntervalsMs) {
      device.cloud.patchDesired(readerName, { pollIntervalMs })
      byPollInterval.push(await measure(plant, pollIntervalMs))
    }
    return {
      settings: {
        manifest: 'deployment.template.json',
        modules: modules.map(({ name }) => name).join(', '),
        devices: plant.deviceIds.length,
        publishIntervalMs: Number(reader['publishIntervalMs']),
        nodeFlags: processFlags(),
      },
      byPollInterval,
    }
  } finally {
    await device.stop()
    await plant.close()
  }
}

async function measure(plant: TogglingPlant, pollIntervalMs: number): Promise<LatencyBench['byPollInterval'][number]> {
  // The first change of each device meets a reader that is still taking up its configuration.
  await Promise.all(plant.deviceIds.map((deviceId) => plant.toggle(deviceId)))
  const latenciesMs: number[] = []
  const perDevice = Math.ceil(alertsPerInterval / plant.deviceIds.length)
  const toggleAll = async (deviceId: string): Promise<void> => {
    for (let alert = 0; alert < perDevice; alert++) {
      // Over one whole interval, so that changes fall evenly between two polls.
      await sleep(systemClock, pollIntervalMs * (0.5 + Math.random()))
      latenciesMs.push(await plant.toggle(deviceId))
    }
  }
  await Promise.all(plant.deviceIds.map(toggleAll))
  const quantile = (share: number): number => rounded(percentile(latenciesMs, share) ?? Number.NaN, 1)
  return {
    pollIntervalMs,
    alerts: latenciesMs.length,
    msP50: quantile(0.5),
    msP99: quantile(0.99),
    msMax: quantile(1),
  }
}

interface Waited {
  readonly value: number
  readonly changedMs: number
  arrived(latencyMs: number): void
}

/** The plant of a modbus-reader configuration. One signal of each device changes when it is told to, all others stand still. */
class TogglingPlant {
  readonly #clock: Clock
  readonly #plant: Plant
  readonly #values: Map<string, number>
  readonly #waited = new Map<string, Waited>()
  #changes = 0

  private constructor(plant: Plant, values: Map<string, number>, clock: Clock) {
    this.#plant = plant
    this.#values = values
    this.#clock = clock
  }

  static async start(reader: JsonObject, clock: Clock): Promise<TogglingPlant> {
    const values = new Map<string, number>()
    const source: SignalSource = (deviceId, name) => () => (name === signal ? (values.get(deviceId) ?? normalValue) : 1)
    return new TogglingPlant(await startPlant(plantDevices(reader), source, clock), values, clock)
  }

  get deviceIds(): string[] {
    return this.#plant.devices.map(({ deviceId }) => deviceId)
  }

  /** Where the devices answer. */
  get addresses(): Plant['addresses'] {
    return this.#plant.addresses
  }

  /** Takes the signal of a device over its limit, or back; resolves with the time until the alert arrived, milliseconds. */
  async toggle(deviceId: string): Promise<number> {
    const isHigh = (this.#values.get(deviceId) ?? normalValue) >= highValue
    const value = rounded((isHigh ? normalValue : highValue) + (++this.#changes % 999) * valueStep, 2)
    this.#values.set(deviceId, value)
    const { promise, resolve, reject } = Promise.withResolvers<number>()
    const timer = this.#clock.setTimer(
      () => reject(new Error(`bench: ${deviceId}: no alert ${arrivalTimeoutMs} ms after ${signal} became ${value}`)),
      arrivalTimeoutMs,
    )
    this.#waited.set(deviceId, { value, changedMs: this.#clock.monotonicMs(), arrived: resolve })
    this.#plant.image.update(0, this.#clock.nowMs())
    return promise.finally(() => timer.cancel())
  }

  /** A message at the hub stand-in: the alert that somebody waits for, or another. */
  take(message: CloudMessage): void {
    if (messageTypeOf(message) !== 'alert') return
    const body = parseBody(message)
    const alert = asObject('value' in body ? body.value : undefined)
    const waited = this.#waited.get(String(alert?.['deviceId']))
    if (waited?.value === alert?.['value']) waited?.arrived(this.#clock.monotonicMs() - waited.changedMs)
  }

  close(): Promise<void> {
    return this.#plant.close()
  }
}
