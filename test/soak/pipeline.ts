import { systemClock } from '@weir/lib/clock'
import type { JsonObject } from '@weir/lib/json'
import type { DeployedModule } from '@weir/simulator/manifest/deployment'
import { type LoadedDeployment, loadDeployment } from '@weir/simulator/manifest/load'
import type { TwinOverlay } from '@weir/simulator/manifest/overlay'
import { plantDevices } from '@weir/simulator/plant/layout'
import { type Plant, startPlant } from '@weir/simulator/plant/plant'
import { plantSignal } from '@weir/simulator/plant/signals'
import { aggregatorName, desiredOf, laidOver, linksOverlay, readerName } from '@weir/simulator/runner/demo'
import { edgeHubName } from '@weir/simulator/runner/module-processes'
import { manifestDefault } from '@weir/simulator/runner/preparation'
import { stopGraceMs } from '@weir/simulator/runner/runtime'
import type { RowsElsewhere } from './invariants.ts'
import { RunningDevice } from './running-device.ts'

export const windowMs = 2_000
/** Between two alerts of a device. */
const togglePeriodMs = 1_200

/** The manifest's plant with temperatures that pass their limit and come back, each device in its turn. */
async function startTogglingPlant(readerDesired: JsonObject | undefined, seed: number): Promise<Plant> {
  const devices = plantDevices(readerDesired)
  const source = (deviceId: string, signal: string): ((sinceStartMs: number) => number) => {
    if (signal !== 'temperature') return plantSignal(deviceId, signal, seed)
    const place = devices.findIndex((device) => device.deviceId === deviceId)
    const aheadMs = (togglePeriodMs * place) / devices.length
    return (sinceStartMs) => ((sinceStartMs + aheadMs) % togglePeriodMs < togglePeriodMs / 2 ? 70 : 90)
  }
  return startPlant(devices, source, systemClock)
}

export interface PipelineOptions {
  readonly stateFolder: string
  readonly seed: number
  readonly lateArrivalMs: number
  /** Environment of each module beside the manifest's, and of the edge hub. */
  readonly environment?: Readonly<Record<string, string>>
  readonly edgeHubEnvironment?: Readonly<Record<string, string>>
}

/** Short windows, fast polls; and what the edge hub acknowledges to the reader goes upstream beside all else. */
function overlays(lateArrivalMs: number): readonly TwinOverlay[] {
  const main = { lengthMs: windowMs, lateArrivalMs }
  const route = `FROM /messages/modules/${readerName}/outputs/telemetry INTO $upstream`
  return [
    { module: readerName, desired: { pollIntervalMs: 100, publishIntervalMs: 250 } },
    { module: aggregatorName, desired: { windows: { main }, deviceIdleMs: 3_600_000 } },
    { module: '$edgeHub', desired: { routes: { telemetryUpstream: { route, priority: 9, timeToLiveSecs: 604_800 } } } },
  ]
}

function withEnvironment(module: DeployedModule, more: Readonly<Record<string, string>> = {}): DeployedModule {
  return { ...module, env: { ...module.env, ...more } }
}

function deploymentOf({ lateArrivalMs, environment, edgeHubEnvironment }: PipelineOptions): LoadedDeployment {
  const deployment = laidOver(loadDeployment(manifestDefault, process.env), overlays(lateArrivalMs))
  const edgeHub = deployment.systemModules[edgeHubName]
  return {
    ...deployment,
    modules: deployment.modules.map((module) => withEnvironment(module, environment)),
    systemModules: {
      ...deployment.systemModules,
      ...(edgeHub === undefined ? {} : { [edgeHubName]: withEnvironment(edgeHub, edgeHubEnvironment) }),
    },
  }
}

/** The whole pipeline under load: a plant that is read and raises alerts, the modules, the edge hub, the hub stand-in. */
export class Pipeline implements AsyncDisposable {
  readonly device: RunningDevice
  readonly #plant: Plant

  private constructor(device: RunningDevice, plant: Plant) {
    this.device = device
    this.#plant = plant
  }

  static async start(options: PipelineOptions): Promise<Pipeline> {
    const deployment = deploymentOf(options)
    const plant = await startTogglingPlant(desiredOf(deployment, readerName), options.seed)
    const withLinks = laidOver(deployment, [linksOverlay(plant.addresses)])
    const device = await RunningDevice.start(withLinks, options.stateFolder)
    device.runtime.supervisor.start(device.runtime.modules)
    await device.until('the first readings', () => device.arrived.length > 0)
    return new Pipeline(device, plant)
  }

  /**
   * Stops the reader and waits until all that it sent has arrived where it belongs, its windows closed.
   * @returns the rows that are in no record.
   */
  async drain(): Promise<RowsElsewhere> {
    const { device } = this
    const { supervisor, cloud } = device.runtime
    await supervisor.stop([readerName], stopGraceMs)
    await device.until('the queues to be empty', () => device.isQuiet())
    cloud.patchDesired(aggregatorName, { deviceIdleMs: 1_000 })
    await device.until('the windows to close', async () => (await device.rowsElsewhere()).kept === 0)
    await device.until('the last windows to arrive', () => device.isQuiet())
    return device.rowsElsewhere()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.device[Symbol.asyncDispose]()
    await this.#plant.close()
  }
}
