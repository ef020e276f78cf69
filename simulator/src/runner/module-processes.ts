import { existsSync, mkdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { WeirError } from '@weir/lib/errors'
import type { EdgeHubSettings } from '../edge-hub-control.ts'
import { moduleFaultsFile } from '../faults/fault-control.ts'
import { moduleFaultsVariable } from '../faults/module-faults.ts'
import type { DeployedModule } from '../manifest/deployment.ts'
import type { LoadedDeployment } from '../manifest/load.ts'
import { fileNameOf } from '../workload/private-files.ts'
import { rootFolder } from './preparation.ts'
import type { ModuleProcess } from './supervisor.ts'

export const iotHubHostname = 'weir-simulator.azure-devices.net'
export const deviceId = 'edge-1'
export const gatewayHostname = 'localhost'
/** The port that the SDK takes unless the gateway's name carries another. */
const mqttPortDefault = 8883

/** What edgeAgent tells every module of itself and its surroundings. */
export interface ModuleSurroundings {
  readonly workloadUri: string
  readonly mqttPort: number
  readonly stateFolder: string
  readonly socketFolder: string
  readonly bundles: boolean
  generationId(module: string): string
}

/** Variables of this process that programs need to run at all. */
const passedOn = ['PATH', 'HOME', 'TMPDIR', 'TZ', 'LANG']

/** Node keeps compiled code here, so that the second start is faster. */
const compileCacheFolder = join(rootFolder, 'node_modules', '.cache', 'weir')

/**
 * Flags of every process, in images too. Small devices have little memory: a young generation of 2 MB a half, and an old
 * one that is collected rather than grown, hold down what much traffic leaves behind; `npm run bench -- path` shows it.
 * The warning is of the device SDK, which uses `url.parse`.
 */
export const nodeFlags = ['--max-semi-space-size=2', '--optimize-for-size', '--disable-warning=DEP0169']

/** Makes the process's disk and clock fail where that is ordered. */
const preload: Program = {
  source: join(rootFolder, 'simulator', 'src', 'faults', 'preload.ts'),
  bundle: join(rootFolder, 'dist', 'faults', 'preload.mjs'),
}

function baseEnvironment(): Record<string, string> {
  const passed = passedOn.flatMap((name) => {
    const value = process.env[name]
    return value === undefined ? [] : [[name, value] as const]
  })
  return { ...Object.fromEntries(passed), NODE_COMPILE_CACHE: compileCacheFolder }
}

function existing(module: string, file: string, bundles: boolean): string {
  if (existsSync(file)) return file
  const next = bundles ? 'make it with npm run bundle' : 'give the module a src/main.ts'
  throw new WeirError('CONFIG_REFUSED', `module ${module}: ${file} is missing; ${next}`)
}

interface Program {
  readonly source: string
  readonly bundle: string
}

/** Arguments of Node. Sources run as they are: Node strips the types itself, in half the time that a loader takes. */
function nodeArguments(name: string, program: Program, bundles: boolean): string[] {
  const kind = bundles ? 'bundle' : 'source'
  const file = existing(name, program[kind], bundles)
  return [...nodeFlags, '--import', pathToFileURL(existing(name, preload[kind], bundles)).href, file]
}

function programArguments(module: DeployedModule, folder: string | undefined, bundles: boolean): string[] {
  if (folder === undefined) {
    throw new WeirError(
      'CONFIG_REFUSED',
      `module ${module.name}: image ${module.image} names none of the folders under modules/; set its status to stopped, or start it by hand`,
    )
  }
  const source = join(folder, 'src', 'main.ts')
  return nodeArguments(
    module.name,
    { source, bundle: join(rootFolder, 'dist', 'modules', basename(folder), 'main.mjs') },
    bundles,
  )
}

/** What edgeAgent tells a module. */
function edgeAgentEnvironment(moduleId: string, around: ModuleSurroundings): Record<string, string> {
  return {
    IOTEDGE_WORKLOADURI: around.workloadUri,
    IOTEDGE_DEVICEID: deviceId,
    IOTEDGE_MODULEID: moduleId,
    IOTEDGE_IOTHUBHOSTNAME: iotHubHostname,
    IOTEDGE_AUTHSCHEME: 'sasToken',
    IOTEDGE_MODULEGENERATIONID: around.generationId(moduleId),
    IOTEDGE_GATEWAYHOSTNAME:
      around.mqttPort === mqttPortDefault ? gatewayHostname : `${gatewayHostname}:${around.mqttPort}`,
    IOTEDGE_APIVERSION: '2018-06-28',
    RuntimeLogLevel: 'info',
  }
}

/** edgeAgent's variables, then what the manifest asks for, which wins. */
function deployedEnvironment(module: DeployedModule, around: ModuleSurroundings): Record<string, string> {
  const name = fileNameOf(module.name)
  return {
    ...edgeAgentEnvironment(module.name, around),
    ...module.createOptionsEnv,
    ...module.env,
    // One host for all: folders, ports and sockets that containers would have to themselves.
    WEIR_STATE_FOLDER: join(around.stateFolder, 'modules', name),
    WEIR_METRICS_PORT: '0',
    WEIR_COMMAND_SOCKET: join(around.socketFolder, `${name}.sock`),
  }
}

/** Docker's own variables, then those of the deployment. */
function moduleEnvironment(module: DeployedModule, around: ModuleSurroundings): Record<string, string> {
  return {
    ...baseEnvironment(),
    ...deployedEnvironment(module, around),
    [moduleFaultsVariable]: moduleFaultsFile(around.stateFolder, module.name),
  }
}

/** What a person needs to start a module that edgeAgent would start, or one that the manifest does not name. */
export function environmentByHand(
  moduleId: string,
  deployment: LoadedDeployment,
  around: ModuleSurroundings,
): Record<string, string> {
  const module = deployment.modules.find(({ name }) => name === moduleId)
  return module === undefined ? edgeAgentEnvironment(moduleId, around) : deployedEnvironment(module, around)
}

/** How each module of the deployment is run. Throws CONFIG_REFUSED where one that is to run has no program here. */
export function moduleProcesses(deployment: LoadedDeployment, around: ModuleSurroundings): ModuleProcess[] {
  return deployment.modules.map((module) => {
    const environment = moduleEnvironment(module, around)
    mkdirSync(environment['WEIR_STATE_FOLDER'] ?? '', { recursive: true, mode: 0o700 })
    const { name, restartPolicy, startupOrder, status } = module
    const folder = deployment.folders.get(name)
    const nodeArguments = status === 'stopped' ? [] : programArguments(module, folder, around.bundles)
    return { name, nodeArguments, environment: () => environment, restartPolicy, startupOrder, status }
  })
}

export const edgeHubName = 'edgeHub'
const edgeHub: Program = {
  source: join(rootFolder, 'simulator', 'src', 'edge-hub', 'main.ts'),
  bundle: join(rootFolder, 'dist', 'edge-hub', 'main.mjs'),
}

/** The edge hub, restarted as the manifest's system module of that name is. */
export function edgeHubProcess(
  deployment: LoadedDeployment,
  settings: () => EdgeHubSettings,
  bundles: boolean,
  stateFolder: string,
  onSpawn: NonNullable<ModuleProcess['onSpawn']>,
): ModuleProcess {
  return {
    name: edgeHubName,
    nodeArguments: nodeArguments(edgeHubName, edgeHub, bundles),
    environment: () => ({
      ...baseEnvironment(),
      ...deployment.systemModules[edgeHubName]?.env,
      WEIR_EDGE_HUB: JSON.stringify(settings()),
      [moduleFaultsVariable]: moduleFaultsFile(stateFolder, edgeHubName),
    }),
    restartPolicy: deployment.systemModules[edgeHubName]?.restartPolicy ?? 'always',
    startupOrder: 0,
    status: 'running',
    onSpawn,
  }
}
