import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Clock, sleep } from '@weir/lib/clock'
import { WeirError } from '@weir/lib/errors'
import type { JsonObject } from '@weir/lib/json'
import { createLog } from '@weir/lib/log-stdout'
import { Cloud } from '../cloud/cloud.ts'
import type { CloudMessage } from '../cloud/cloud-message.ts'
import { startServiceApi } from '../cloud/service-api.ts'
import { UpstreamOut } from '../cloud/upstream-out.ts'
import type { EdgeHubSettings } from '../edge-hub-control.ts'
import type { LoadedDeployment } from '../manifest/load.ts'
import type { ModuleIdentity } from '../upstream-link.ts'
import { startWorkloadApi } from '../workload/api.ts'
import { CertificateAuthority } from '../workload/certificates.ts'
import { ModuleKeys } from '../workload/keys.ts'
import { EdgeHubProcess, type Listening } from './edge-hub-process.ts'
import { ModuleLog } from './module-log.ts'
import {
  deviceId,
  edgeHubName,
  edgeHubProcess,
  gatewayHostname,
  iotHubHostname,
  moduleProcesses,
} from './module-processes.ts'
import type { RunOptions } from './options.ts'
import { type ModuleProcess, Supervisor, type SupervisorEvent } from './supervisor.ts'
import { startWatchdog } from './watchdog.ts'

/** Longest wait for the edge hub's first sign of life. */
const edgeHubStartMs = 30_000
/** Modules have 5 s from SIGTERM to their exit. */
const stopGraceMs = 6000

/** Twins beside the modules': the routes are in the edge hub's. */
const edgeHubIdentity = '$edgeHub'
const edgeAgentIdentity = '$edgeAgent'

export interface RuntimeParts {
  readonly options: RunOptions
  readonly deployment: LoadedDeployment
  readonly stateFolder: string
  readonly clock: Clock
  onEvent(event: SupervisorEvent): void
  onMessage(message: CloudMessage): void
}

/** The local edge device, and the hub stand-in above it. The edge hub runs; modules are started by `start`. */
export interface Runtime {
  readonly cloud: Cloud
  readonly edgeHub: EdgeHubProcess
  readonly supervisor: Supervisor
  readonly modules: readonly ModuleProcess[]
  /** Where the edge hub listens. */
  readonly listening: Listening
  readonly serviceUrl: string
  readonly workloadUri: string
  /** Ends every process, then everything else. */
  close(): Promise<void>
}

/** Resolves with what the edge hub says once it listens; rejects with what keeps it from that. */
function firstListening(clock: Clock): {
  promise: Promise<Listening>
  listening(message: Listening): void
  failed(message: string): void
} {
  const { promise, resolve, reject } = Promise.withResolvers<Listening>()
  const fail = (text: string): void => reject(new WeirError('HUB_AWAY', text))
  const timer = clock.setTimer(() => fail(`edge hub: not listening after ${edgeHubStartMs / 1000} s`), edgeHubStartMs)
  promise.finally(() => timer.cancel()).catch(() => undefined)
  return { promise, listening: resolve, failed: fail }
}

function deployed(
  deployment: LoadedDeployment,
  identities: readonly ModuleIdentity[],
): { identity: ModuleIdentity; desired: JsonObject }[] {
  const desired = new Map<string, JsonObject>([
    [edgeHubIdentity, deployment.edgeHubDesired],
    [edgeAgentIdentity, deployment.edgeAgentDesired],
    ...deployment.modules.map((module) => [module.name, module.desired] as const),
  ])
  return identities.map((identity) => ({ identity, desired: desired.get(identity.moduleId) ?? {} }))
}

function moduleStates(supervisor: Supervisor): Record<string, JsonObject> {
  return Object.fromEntries(
    supervisor
      .statuses()
      .map(({ name, state, restarts, pid, rssBytes, cpuS }) => [
        name === edgeHubName ? edgeHubIdentity : name,
        { state, restarts, ...(pid === undefined ? {} : { pid }), rssBytes, cpuS: Number(cpuS.toFixed(2)) },
      ]),
  )
}

/** Starts the edge device up to its edge hub. Throws a WeirError that says what is in the way. */
export async function startRuntime(parts: RuntimeParts): Promise<Runtime> {
  const { options, deployment, stateFolder, clock } = parts
  await using cleanup = new AsyncDisposableStack()
  const socketFolder = mkdtempSync(join(tmpdir(), 'weir-'))
  cleanup.defer(() => rmSync(socketFolder, { recursive: true, force: true }))
  const watchdog = startWatchdog(socketFolder)
  cleanup.defer(() => watchdog.done())

  const keys = new ModuleKeys(stateFolder)
  const names = deployment.modules.map(({ name }) => name)
  const identities = keys.identities([edgeAgentIdentity, edgeHubIdentity, ...names])
  const generationId = (module: string): string => keys.get(module)?.generationId ?? ''
  const logFolder = join(stateFolder, 'logs')
  const runtimeLog = new ModuleLog(join(logFolder, 'runtime.log'), () => undefined)
  const first = firstListening(clock)
  const supervisor = new Supervisor({
    logFolder,
    watchdog,
    clock,
    onEvent(event) {
      if (event.type === 'died' && event.module === edgeHubName)
        first.failed(`edge hub: ${event.exit}: ${event.log.join(' | ')}`)
      parts.onEvent(event)
    },
  })
  const workload = await startWorkloadApi({
    socketPath: join(socketFolder, 'workload.sock'),
    iotHubHostname,
    deviceId,
    authority: await CertificateAuthority.open(stateFolder, clock),
    clock,
    identity: (module) => keys.get(module),
    modules: () => deployment.modules.map(({ name, image, status }) => ({ name, image, status })),
  })
  cleanup.defer(() => workload.close())
  const secret = randomBytes(32).toString('base64url')
  const upstreamSocket = join(socketFolder, 'upstream.sock')
  const cloud = await Cloud.open({
    iotHubHostname,
    deviceId,
    socketPath: upstreamSocket,
    secret,
    stateFolder,
    clock,
    log: createLog('info', clock, (line) => runtimeLog.add([line.trimEnd()])),
    sinks: options.upstreamFolder === undefined ? [] : [new UpstreamOut(options.upstreamFolder)],
  })
  cleanup.defer(() => cloud.close())
  cloud.onMessage(parts.onMessage)
  cloud.deploy(deployed(deployment, identities))
  const service = await startServiceApi({ cloud, stateFolder, moduleStates: () => moduleStates(supervisor) })
  cleanup.defer(() => service.close())

  // After a restart the edge hub must be where its modules look for it.
  let mqttPort = options.port
  const edgeHub = new EdgeHubProcess(
    clock,
    (listening) => {
      mqttPort = listening.mqttPort
      first.listening(listening)
    },
    first.failed,
  )
  const settings = (): EdgeHubSettings => ({
    iotHubHostname,
    deviceId,
    gatewayHostname,
    mqttPort,
    httpsPort: 0,
    metricsPort: 0,
    stateFolder: join(stateFolder, 'edge-hub'),
    upstreamSocket,
    upstreamSecret: secret,
    workloadUri: workload.uri,
    generationId: generationId(edgeHubIdentity),
    meterTelemetry: true,
  })
  cleanup.defer(async () => {
    // Modules first: what they have left to say, the edge hub still takes.
    await supervisor.stop(names, stopGraceMs)
    await supervisor.stopAll(stopGraceMs)
  })
  supervisor.start([edgeHubProcess(deployment, settings, (child) => edgeHub.attach(child))])
  const listening = await first.promise
  const modules = moduleProcesses(deployment, {
    workloadUri: workload.uri,
    mqttPort: listening.mqttPort,
    stateFolder,
    socketFolder,
    bundles: options.bundles,
    generationId,
  })
  const kept = cleanup.move()
  return {
    cloud,
    edgeHub,
    supervisor,
    modules,
    listening,
    serviceUrl: service.url,
    workloadUri: workload.uri,
    close: () => kept.disposeAsync(),
  }
}

/** Resolves with true once `condition` holds, looked at every `everyMs`; with false after `timeoutMs`. */
export async function eventually(
  clock: Clock,
  timeoutMs: number,
  everyMs: number,
  condition: () => boolean | Promise<boolean>,
): Promise<boolean> {
  const deadlineMs = clock.monotonicMs() + timeoutMs
  for (;;) {
    if (await condition()) return true
    if (clock.monotonicMs() >= deadlineMs) return false
    await sleep(clock, everyMs)
  }
}
