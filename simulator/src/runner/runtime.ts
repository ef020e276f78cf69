import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Clock } from '@weir/lib/clock'
import { WeirError } from '@weir/lib/errors'
import type { Cloud } from '../cloud/cloud.ts'
import type { CloudMessage } from '../cloud/cloud-message.ts'
import type { EdgeHubSettings } from '../edge-hub-control.ts'
import { FaultControl } from '../faults/fault-control.ts'
import type { LoadedDeployment } from '../manifest/load.ts'
import type { Plant } from '../plant/plant.ts'
import { type CloudSide, edgeHubIdentity, startCloudSide } from './cloud-side.ts'
import { Device } from './device-operations.ts'
import { EdgeHubProcess, type Listening } from './edge-hub-process.ts'
import {
  deviceId,
  edgeHubName,
  edgeHubProcess,
  gatewayHostname,
  iotHubHostname,
  type ModuleSurroundings,
  moduleProcesses,
} from './module-processes.ts'
import { type RunOptions, seedDefault } from './options.ts'
import type { RestartLimits } from './restart-policy.ts'
import { type ModuleProcess, Supervisor, type SupervisorEvent } from './supervisor.ts'
import { startWatchdog } from './watchdog.ts'

/** Longest wait for the edge hub's first sign of life. */
const edgeHubStartMs = 30_000
/** Modules have 5 s from SIGTERM to their exit. */
export const stopGraceMs = 6000

export interface RuntimeParts {
  readonly options: Pick<RunOptions, 'upstreamFolder' | 'port' | 'bundles'> &
    Partial<Pick<RunOptions, 'seed' | 'hubTier' | 'hubUnits'>>
  readonly deployment: LoadedDeployment
  readonly stateFolder: string
  readonly clock: Clock
  /** Default: edgeAgent's. */
  readonly restartLimits?: RestartLimits
  /** Its devices can be made to fail. */
  readonly plant?: Plant | undefined
  /** Told of each fault that was ordered. */
  onFault?(text: string): void
  onEvent(event: SupervisorEvent): void
  onMessage(message: CloudMessage): void
}

/** The local edge device, and the hub stand-in above it. The edge hub runs; modules are started through the supervisor. */
export interface Runtime {
  readonly cloud: Cloud
  readonly edgeHub: EdgeHubProcess
  readonly supervisor: Supervisor
  readonly modules: readonly ModuleProcess[]
  readonly faults: FaultControl
  /** Where the edge hub listens. */
  readonly listening: Listening
  /** Ends every process, then everything else. */
  close(): Promise<void>
}

/** The first word of the edge hub: where it listens, or what keeps it from that. */
class FirstListening {
  readonly promise: Promise<Listening>
  readonly listening: (listening: Listening) => void
  readonly #reject: (error: WeirError) => void

  constructor(clock: Clock) {
    const { promise, resolve, reject } = Promise.withResolvers<Listening>()
    const seconds = edgeHubStartMs / 1000
    const timer = clock.setTimer(() => this.failed(`edge hub: not listening after ${seconds} s`), edgeHubStartMs)
    promise.finally(() => timer.cancel()).catch(() => undefined)
    this.promise = promise
    this.listening = resolve
    this.#reject = reject
  }

  failed(problem: string): void {
    this.#reject(new WeirError('HUB_AWAY', problem))
  }
}

/** Starts the edge hub as the first of the supervisor's processes; resolves once it listens. */
async function startEdgeHub(
  { options, deployment, stateFolder }: RuntimeParts,
  { upstreamSocket, upstreamSecret, workloadUri, generationId }: CloudSide,
  { supervisor, edgeHub, faults }: Pick<Runtime, 'supervisor' | 'edgeHub' | 'faults'>,
  first: FirstListening,
): Promise<Listening> {
  let mqttPort = options.port
  const settings = (): EdgeHubSettings => ({
    iotHubHostname,
    deviceId,
    gatewayHostname,
    mqttPort,
    httpsPort: 0,
    metricsPort: 0,
    stateFolder: join(stateFolder, 'edge-hub'),
    upstreamSocket,
    upstreamSecret,
    workloadUri,
    generationId: generationId(edgeHubIdentity),
    meterTelemetry: true,
    deliveryFaults: faults.deliveryFaults(),
  })
  const attach = edgeHub.attach.bind(edgeHub)
  supervisor.start([edgeHubProcess(deployment, settings, options.bundles, stateFolder, attach)])
  const listening = await first.promise
  // After a restart the edge hub must be where its modules look for it.
  mqttPort = listening.mqttPort
  return listening
}

function faultControl(
  { options, deployment, stateFolder, plant, onFault }: RuntimeParts,
  { supervisor, cloud, edgeHub }: Pick<Runtime, 'supervisor' | 'cloud' | 'edgeHub'>,
): FaultControl {
  const running = deployment.modules.filter(({ status }) => status === 'running')
  return new FaultControl({
    seed: options.seed ?? seedDefault,
    stateFolder,
    edgeHubName,
    onOrdered: (text) => onFault?.(text),
    supervisor: {
      names: [edgeHubName, ...running.map(({ name }) => name)],
      signal: (name, signal) => supervisor.signal(name, signal),
      restart: (name) => supervisor.restart(name, stopGraceMs),
    },
    cloud,
    edgeHub,
    plant: plant && {
      deviceIds: plant.devices.map(({ deviceId: id }) => id),
      set: (id, fault) => plant.faults.set(id, fault),
    },
  })
}

/** Starts the edge device up to its edge hub. Throws a WeirError that says what is in the way. */
export async function startRuntime(parts: RuntimeParts): Promise<Runtime> {
  const { options, deployment, stateFolder, clock } = parts
  await using cleanup = new AsyncDisposableStack()
  const socketFolder = mkdtempSync(join(tmpdir(), 'weir-'))
  cleanup.defer(() => rmSync(socketFolder, { recursive: true, force: true }))
  const watchdog = startWatchdog(socketFolder)
  cleanup.defer(() => watchdog.done())
  const first = new FirstListening(clock)
  let isListening = false
  let faults: FaultControl | undefined
  const supervisor = new Supervisor({
    logFolder: join(stateFolder, 'logs'),
    watchdog,
    clock,
    ...(parts.restartLimits === undefined ? {} : { limits: parts.restartLimits }),
    isOrderedEnd: (name) => faults?.isOrderedEnd(name) ?? false,
    onEvent(event) {
      if (isListening) parts.onEvent(event)
      else if (event.type === 'died') first.failed(`edge hub: ${event.exit}: ${event.log.join(' | ')}`)
    },
  })
  const device = new Device()
  const cloudSide = await startCloudSide(
    { deployment, options, stateFolder, socketFolder, clock, supervisor, device },
    cleanup,
  )
  const { cloud } = cloudSide
  const edgeHub = new EdgeHubProcess(clock, first.listening, (problem) => first.failed(problem))
  faults = faultControl(parts, { supervisor, cloud, edgeHub })
  cloud.onMessage(parts.onMessage)
  cleanup.defer(async () => {
    // Modules first: what they have left to say, the edge hub still takes.
    const modules = deployment.modules.map(({ name }) => name)
    await supervisor.stop(modules, stopGraceMs)
    await supervisor.stopAll(stopGraceMs)
  })
  const listening = await startEdgeHub(parts, cloudSide, { supervisor, edgeHub, faults }, first)
  isListening = true
  const around: ModuleSurroundings = {
    workloadUri: cloudSide.workloadUri,
    mqttPort: listening.mqttPort,
    stateFolder,
    socketFolder,
    bundles: options.bundles,
    generationId: cloudSide.generationId,
  }
  const modules = moduleProcesses(deployment, around)
  const { isRegistered, register } = cloudSide
  device.ready({ faults, deployment, around, isRegistered, register })
  const kept = cleanup.move()
  return { cloud, edgeHub, supervisor, modules, faults, listening, close: () => kept.disposeAsync() }
}
