import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { Clock } from '@weir/lib/clock'
import type { JsonObject } from '@weir/lib/json'
import { createLog } from '@weir/lib/log-stdout'
import { Cloud } from '../cloud/cloud.ts'
import type { MessageSink } from '../cloud/cloud-message.ts'
import { compileIotHubRoutes, EndpointFolders } from '../cloud/iothub-routes.ts'
import { DeviceToCloudLimits } from '../cloud/limits.ts'
import { type DeviceOperations, startServiceApi } from '../cloud/service-api.ts'
import { UpstreamOut } from '../cloud/upstream-out.ts'
import { type LoadedDeployment, readJsonFile } from '../manifest/load.ts'
import type { ModuleIdentity } from '../upstream-link.ts'
import { startWorkloadApi } from '../workload/api.ts'
import { CertificateAuthority } from '../workload/certificates.ts'
import { ModuleKeys } from '../workload/keys.ts'
import { ModuleLog } from './module-log.ts'
import { deviceId, edgeHubName, iotHubHostname } from './module-processes.ts'
import type { RunOptions } from './options.ts'
import { rootFolder } from './preparation.ts'
import type { Supervisor } from './supervisor.ts'

/** Twins beside the modules': the routes are in the edge hub's. */
export const edgeHubIdentity = '$edgeHub'
const edgeAgentIdentity = '$edgeAgent'
/** The message routes of the hub. */
const iotHubRoutesFile = join(rootFolder, 'cloud', 'iothub-routes.json')

export interface CloudSideParts {
  readonly deployment: LoadedDeployment
  readonly options: Pick<RunOptions, 'upstreamFolder'> & Partial<Pick<RunOptions, 'hubTier' | 'hubUnits'>>
  readonly stateFolder: string
  readonly socketFolder: string
  readonly clock: Clock
  readonly supervisor: Supervisor
  readonly device: DeviceOperations
}

/** What runs in this process around the edge hub: identities, the workload API, the hub stand-in and its service API. */
export interface CloudSide {
  readonly cloud: Cloud
  readonly upstreamSocket: string
  readonly upstreamSecret: string
  readonly workloadUri: string
  generationId(module: string): string
  isRegistered(module: string): boolean
  /** Gives a module that the manifest does not name an identity. */
  register(module: string): void
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

/** Where messages go: to the endpoints of the hub's routes, and to the folder that was asked for. */
function sinksOf({ options: { upstreamFolder }, stateFolder }: CloudSideParts): MessageSink[] {
  const routes = compileIotHubRoutes(readJsonFile(iotHubRoutesFile), iotHubRoutesFile, deviceId)
  const endpoints = new EndpointFolders(routes, join(stateFolder, 'endpoints'))
  return upstreamFolder === undefined ? [endpoints] : [endpoints, new UpstreamOut(upstreamFolder)]
}

/** Starts all of it; what is to be closed is put on `cleanup`. */
export async function startCloudSide(parts: CloudSideParts, cleanup: AsyncDisposableStack): Promise<CloudSide> {
  const { deployment, options, stateFolder, socketFolder, clock, supervisor, device } = parts
  const keys = new ModuleKeys(stateFolder)
  const names = deployment.modules.map(({ name }) => name)
  const identities = keys.identities([edgeAgentIdentity, edgeHubIdentity, ...names])
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
  const log = new ModuleLog(join(stateFolder, 'logs', 'runtime.log'), () => undefined)
  const upstreamSecret = randomBytes(32).toString('base64url')
  const upstreamSocket = join(socketFolder, 'upstream.sock')
  const cloud = await Cloud.open({
    iotHubHostname,
    deviceId,
    socketPath: upstreamSocket,
    secret: upstreamSecret,
    stateFolder,
    clock,
    log: createLog('info', clock, (line) => log.add([line.trimEnd()])),
    sinks: sinksOf(parts),
    limits: options.hubTier && new DeviceToCloudLimits(options.hubTier, options.hubUnits ?? 1, clock),
  })
  cleanup.defer(() => cloud.close())
  cloud.deploy(deployed(deployment, identities))
  const service = await startServiceApi({ cloud, stateFolder, moduleStates: () => moduleStates(supervisor), device })
  cleanup.defer(() => service.close())
  return {
    cloud,
    upstreamSocket,
    upstreamSecret,
    workloadUri: workload.uri,
    generationId: (module) => keys.get(module)?.generationId ?? '',
    isRegistered: (module) => cloud.moduleIds.includes(module) && !module.startsWith('$'),
    register: (module) => {
      for (const identity of keys.identities([module])) cloud.register(identity)
    },
  }
}
