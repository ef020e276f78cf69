/**
 * An edge device for benches: the edge hub and its modules run as processes of their own, from the bundles under `dist/`;
 * the workload API and the hub stand-in are in this process.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { sleep, systemClock } from '@weir/lib/clock'
import { asObject, type JsonObject, type JsonValue } from '@weir/lib/json'
import type { Cloud } from '@weir/simulator/cloud/cloud'
import { TestDevice } from '@weir/simulator/edge-hub/testing'
import type { EdgeHubCounters, FromEdgeHubControl, ToEdgeHub } from '@weir/simulator/edge-hub-control'
import { nodeFlags } from '@weir/simulator/runner/module-processes'
import { sampleResources } from '@weir/simulator/runner/resources'

const dist = join(import.meta.dirname, '../dist')
const edgeHubBundle = join(dist, 'edge-hub/main.mjs')
export const edgeHubName = 'edge-hub'
/** The process of the bench itself, which holds the hub stand-in. */
const cloudName = 'cloud'

const startTimeoutMs = 30_000
const stopTimeoutMs = 8_000

export interface BenchModule {
  /** Of its bundle, under `dist/`. */
  readonly folder: string
  readonly desired: JsonObject
}

export interface Usage {
  readonly cpuS: number
  readonly rssBytesMax: number
}

export interface BenchDeviceOptions {
  readonly edgeHubDesired: JsonObject
  readonly modules?: Readonly<Record<string, BenchModule>>
  /** Modules that the bench plays itself. */
  readonly played?: readonly string[]
  /** Called before the edge hub starts. */
  prepare?(device: TestDevice): void
}

/** Flags for every process beside those that modules run with, e.g. `--cpu-prof`: `npm run bench -- --node-flags="…"`. */
export const extraNodeFlags: string[] = []

/** Flags that the processes run with, for the settings beside the figures. */
export function processFlags(): string {
  return [...nodeFlags, ...extraNodeFlags].join(' ')
}

export class BenchDevice {
  readonly device: TestDevice
  readonly #processes = new Map<string, ChildProcess>()
  readonly #counters: ((counters: EdgeHubCounters) => void)[] = []
  #mqttPort = 0

  /** Where the bench ends before its time, nothing goes on without it. */
  readonly #killAll = (): void => {
    for (const child of this.#processes.values()) child.kill('SIGKILL')
  }

  private constructor(device: TestDevice) {
    this.device = device
    process.once('exit', this.#killAll)
  }

  /** Resolves once every module runs with its configuration. */
  static async start({ edgeHubDesired, modules = {}, played = [], prepare }: BenchDeviceOptions): Promise<BenchDevice> {
    const names = Object.keys(modules)
    const device = await TestDevice.start([...names, ...played], edgeHubDesired, { meterTelemetry: false })
    const bench = new BenchDevice(device)
    try {
      for (const [name, { desired }] of Object.entries(modules)) bench.cloud.patchDesired(name, desired)
      prepare?.(device)
      await bench.#startEdgeHub()
      for (const [name, { folder }] of Object.entries(modules)) bench.#startModule(name, folder)
      await Promise.all(names.map((name) => bench.#running(name)))
      return bench
    } catch (error) {
      await bench.stop()
      throw error
    }
  }

  get cloud(): Cloud {
    return this.device.cloud
  }

  /** Where the edge hub listens. */
  get mqttPort(): number {
    return this.#mqttPort
  }

  /** A command of a module. Throws where it answers with anything but 200. */
  async call(module: string, name: string, payload: JsonValue = null): Promise<JsonValue> {
    const timeouts = { responseTimeoutMs: 30_000, connectTimeoutMs: startTimeoutMs }
    const result = await this.cloud.callMethod(module, name, payload, timeouts)
    if (result.status === 200) return result.payload
    throw new Error(`bench: ${module} answers ${name} with ${result.status}: ${JSON.stringify(result.payload)}`)
  }

  async status(module: string): Promise<JsonObject> {
    return asObject(await this.call(module, 'getStatus')) ?? {}
  }

  /** What the processes have used since their start. */
  async usage(): Promise<Map<string, Usage>> {
    const pids = new Map([...this.#processes].map(([name, child]) => [name, child.pid ?? 0]))
    pids.set(cloudName, process.pid)
    const resources = await sampleResources([...pids.values()])
    return new Map([...pids].map(([name, pid]) => [name, resources.get(pid) ?? { cpuS: 0, rssBytesMax: 0 }]))
  }

  /** Messages that wait at the edge hub. */
  async queued(): Promise<number> {
    const counters = await new Promise<EdgeHubCounters>((resolve) => {
      this.#counters.push(resolve)
      this.#tellEdgeHub({ type: 'counters', id: 0 })
    })
    return Object.values(counters.queued).reduce((sum, count) => sum + count, 0)
  }

  /** Modules first: what they have left to say, the edge hub still takes. */
  async stop(): Promise<void> {
    const hub = this.#processes.get(edgeHubName)
    const modules = [...this.#processes.values()].filter((child) => child !== hub)
    await Promise.all(modules.map(stopProcess))
    if (hub !== undefined) await stopProcess(hub)
    process.off('exit', this.#killAll)
    await this.device.stop()
  }

  #tellEdgeHub(message: ToEdgeHub): void {
    this.#processes.get(edgeHubName)?.send(message)
  }

  async #startEdgeHub(): Promise<void> {
    const hub = this.#spawn(edgeHubName, edgeHubBundle, {
      WEIR_EDGE_HUB: JSON.stringify(this.device.settings),
    })
    const ended = once(hub, 'exit').then(([code]) => Promise.reject(new Error(`edge hub: exit code ${code}`)))
    const [message] = (await Promise.race([once(hub, 'message'), ended])) as [FromEdgeHubControl]
    ended.catch(() => {})
    if (message.type !== 'listening') throw new Error(`edge hub: ${JSON.stringify(message)}`)
    this.#mqttPort = message.mqttPort
    hub.on('message', (answer: FromEdgeHubControl) => {
      if (answer.type === 'counters') this.#counters.shift()?.(answer.counters)
    })
  }

  #startModule(name: string, folder: string): void {
    const stateFolder = join(this.device.folder, 'modules', name)
    mkdirSync(stateFolder, { recursive: true })
    this.#spawn(name, join(dist, folder, 'main.mjs'), {
      ...this.device.environment(name, this.#mqttPort),
      WEIR_STATE_FOLDER: stateFolder,
      WEIR_METRICS_PORT: '0',
      WEIR_COMMAND_SOCKET: join(stateFolder, 'weir.sock'),
    })
  }

  #spawn(name: string, file: string, environment: Record<string, string>): ChildProcess {
    // What the processes log goes where it does not mix with the figures.
    const child = spawn(process.execPath, [...nodeFlags, ...extraNodeFlags, file], {
      env: { PATH: process.env['PATH'], RuntimeLogLevel: 'error', ...environment },
      stdio: ['ignore', 2, 2, 'ipc'],
    })
    this.#processes.set(name, child)
    return child
  }

  /** Before it runs, a module may not listen for methods yet. */
  async #running(name: string): Promise<void> {
    const endMs = performance.now() + startTimeoutMs
    while ((await this.status(name))['state'] !== 'running') {
      if (performance.now() > endMs) throw new Error(`bench: ${name} does not run after ${startTimeoutMs} ms`)
      await sleep(systemClock, 50)
    }
  }
}

async function stopProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  const kill = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs)
  await exited
  clearTimeout(kill)
}

export function rounded(value: number, decimals = 0): number {
  return Number(value.toFixed(decimals))
}
