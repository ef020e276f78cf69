import { sleep, systemClock } from '@weir/lib/clock'
import { asObject, type JsonObject } from '@weir/lib/json'
import type { CloudMessage } from '@weir/simulator/cloud/cloud-message'
import type { DeployedModule } from '@weir/simulator/manifest/deployment'
import { type LoadedDeployment, loadDeployment } from '@weir/simulator/manifest/load'
import type { TwinOverlay } from '@weir/simulator/manifest/overlay'
import { plantDevices } from '@weir/simulator/plant/layout'
import { type Plant, startPlant } from '@weir/simulator/plant/plant'
import { plantSignal } from '@weir/simulator/plant/signals'
import { aggregatorRows } from '@weir/simulator/runner/accounting'
import {
  aggregatorName,
  desiredOf,
  detectorName,
  laidOver,
  linksOverlay,
  readerName,
} from '@weir/simulator/runner/demo'
import { edgeHubName } from '@weir/simulator/runner/module-processes'
import { manifestDefault } from '@weir/simulator/runner/preparation'
import { type Runtime, startRuntime, stopGraceMs } from '@weir/simulator/runner/runtime'
import { openStateFolder } from '@weir/simulator/runner/state-folder'
import type { SupervisorEvent } from '@weir/simulator/runner/supervisor'
import type { RowsElsewhere } from './invariants.ts'

const clock = systemClock

const forwarderName = 'alert-forwarder'
/** Everything that a run can kill: the modules, and the edge hub between them. */
export const processNames = [readerName, aggregatorName, detectorName, forwarderName, edgeHubName]
const moduleNames = processNames.filter((name) => name !== edgeHubName)

/** Killed processes are there again soon, however often they are killed. */
const restartLimits = {
  restartsMax: Number.POSITIVE_INFINITY,
  coolOffMs: 100,
  coolOffMsMax: 100,
  steadyMs: Number.POSITIVE_INFINITY,
}

export const windowMs = 2_000
/** Out of order come rows that a reader kept while the edge hub was away: urgent ones overtake the others. */
const lateArrivalMs = 10_000
const togglePeriodMs = 8_000
const drainTimeoutMs = 90_000
/** So many processes that end by themselves are enough to give the run up. */
const ownDeathsMax = 5
const pollMs = 100

/** Short windows, fast polls; and what the edge hub acknowledges to the reader goes upstream beside all else. */
const overlays: readonly TwinOverlay[] = [
  { module: readerName, desired: { pollIntervalMs: 100, publishIntervalMs: 250 } },
  {
    module: aggregatorName,
    desired: { windows: { main: { lengthMs: windowMs, lateArrivalMs } }, deviceIdleMs: 3_600_000 },
  },
  {
    module: '$edgeHub',
    desired: {
      routes: {
        telemetryUpstream: {
          route: `FROM /messages/modules/${readerName}/outputs/telemetry INTO $upstream`,
          priority: 9,
          timeToLiveSecs: 604_800,
        },
      },
    },
  },
]

interface TogglingPlant {
  readonly plant: Plant
  /** Between two crossings, from the plant's start on. */
  readonly crossingEveryMs: number
  readonly startMs: number
}

/** The manifest's plant with temperatures that pass their limit, each device in its turn: one up, one down. */
async function startTogglingPlant(readerDesired: JsonObject | undefined, seed: number): Promise<TogglingPlant> {
  const devices = plantDevices(readerDesired)
  const source = (deviceId: string, signal: string): ((sinceStartMs: number) => number) => {
    if (signal !== 'temperature') return plantSignal(deviceId, signal, seed)
    const place = devices.findIndex((device) => device.deviceId === deviceId)
    const aheadMs = (togglePeriodMs * place) / devices.length
    return (sinceStartMs) => ((sinceStartMs + aheadMs) % togglePeriodMs < togglePeriodMs / 2 ? 70 : 90)
  }
  const startMs = clock.monotonicMs()
  return { plant: await startPlant(devices, source, clock), crossingEveryMs: togglePeriodMs / devices.length, startMs }
}

export interface PipelineOptions {
  readonly stateFolder: string
  readonly seed: number
  /** Environment of each module beside the manifest's, and of the edge hub. */
  readonly environment?: Readonly<Record<string, string>>
  readonly edgeHubEnvironment?: Readonly<Record<string, string>>
}

function deploymentOf({ environment = {}, edgeHubEnvironment = {} }: PipelineOptions): LoadedDeployment {
  const deployment = laidOver(loadDeployment(manifestDefault, process.env), overlays)
  const withEnvironment = (module: DeployedModule, more: Readonly<Record<string, string>>): DeployedModule => ({
    ...module,
    env: { ...module.env, ...more },
  })
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

/** The whole pipeline: a plant, the modules as processes, the edge hub, and the hub stand-in that keeps what arrives. */
export class Pipeline implements AsyncDisposable {
  /** In the order of their arrival; a message that the edge hub sent again is in it once. */
  readonly arrived: readonly CloudMessage[]
  /** How processes ended: `aggregator: SIGKILL`. */
  readonly deaths: readonly string[]
  readonly #runtime: Runtime
  readonly #toggling: TogglingPlant

  private constructor(
    runtime: Runtime,
    toggling: TogglingPlant,
    arrived: readonly CloudMessage[],
    deaths: readonly string[],
  ) {
    this.#runtime = runtime
    this.#toggling = toggling
    this.arrived = arrived
    this.deaths = deaths
  }

  static async start(options: PipelineOptions): Promise<Pipeline> {
    const deployment = deploymentOf(options)
    const toggling = await startTogglingPlant(desiredOf(deployment, readerName), options.seed)
    const arrived: CloudMessage[] = []
    const deaths: string[] = []
    const runtime = await startRuntime({
      options: { upstreamFolder: undefined, port: 0, bundles: false },
      deployment: laidOver(deployment, [linksOverlay(toggling.plant.addresses)]),
      stateFolder: (await openStateFolder(options.stateFolder)).path,
      clock,
      restartLimits,
      onEvent(event: SupervisorEvent) {
        if (event.type === 'died') deaths.push(`${event.module}: ${event.exit}`)
      },
      onMessage: (message) => arrived.push(message),
    })
    const pipeline = new Pipeline(runtime, toggling, arrived, deaths)
    runtime.supervisor.start(runtime.modules)
    await pipeline.#until('the first readings', async () => arrived.length > 0)
    return pipeline
  }

  /** Until a temperature passes its limit. */
  nextCrossingMs(): number {
    const { startMs, crossingEveryMs } = this.#toggling
    return crossingEveryMs - ((clock.monotonicMs() - startMs) % crossingEveryMs)
  }

  /** Ends a process with SIGKILL; waits until there is one. */
  async kill(name: string): Promise<void> {
    let pid: number | undefined
    await this.#until(`a process of ${name}`, async () => {
      const status = this.#runtime.supervisor.statuses().find((module) => module.name === name)
      pid = status?.pid
      return pid !== undefined
    })
    // Each leads a process group of its own.
    if (pid !== undefined) process.kill(-pid, 'SIGKILL')
    await this.#until(`the end of ${name}`, async () =>
      this.#runtime.supervisor.statuses().every((module) => module.name !== name || module.pid !== pid),
    )
  }

  /**
   * Stops the reader and waits until all that it sent has arrived where it belongs, its windows closed.
   * @returns the rows that are in no record, as the aggregator has them.
   */
  async drain(): Promise<RowsElsewhere> {
    await this.#runtime.supervisor.stop([readerName], stopGraceMs)
    await this.#until('the queues to be empty', () => this.#isQuiet())
    this.#runtime.cloud.patchDesired(aggregatorName, { deviceIdleMs: 1_000 })
    await this.#until('the windows to close', async () => {
      const { rowsOpen, rowsInUnsentRecords } = await this.#status(aggregatorName)
      return rowsOpen === 0 && rowsInUnsentRecords === 0
    })
    await this.#until('the last windows to arrive', () => this.#isQuiet())
    const status = await this.#status(aggregatorName)
    const rows = aggregatorRows(status)
    if (rows === undefined) throw new Error(`the aggregator's status lacks rows: ${JSON.stringify(status)}`)
    const { rowsLate, rowsBad, rowsRefused } = status
    return { late: Number(rowsLate), bad: Number(rowsBad), refused: Number(rowsRefused), kept: rows.kept }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#runtime.close()
    await this.#toggling.plant.close()
  }

  /** Nothing waits anywhere, and nothing arrives. */
  async #isQuiet(): Promise<boolean> {
    const before = this.arrived.length
    for (const name of moduleNames.filter((module) => module !== readerName)) {
      if ((await this.#status(name))['queued'] !== 0) return false
    }
    const { queued } = await this.#runtime.edgeHub.counters()
    await sleep(clock, pollMs)
    return Object.values(queued).every((count) => count === 0) && this.arrived.length === before
  }

  async #status(module: string): Promise<JsonObject> {
    const { payload } = await this.#runtime.cloud.callMethod(module, 'getStatus', null, { responseTimeoutMs: 5_000 })
    return asObject(payload) ?? {}
  }

  /** What cannot be asked yet counts as not yet. */
  async #until(what: string, condition: () => Promise<boolean>): Promise<void> {
    const endMs = clock.monotonicMs() + drainTimeoutMs
    let problem = ''
    for (;;) {
      const holds = await condition().catch((error: unknown) => {
        problem = ` (${error})`
        return false
      })
      if (holds) return
      const ownDeaths = this.deaths.filter((death) => !death.endsWith(': SIGKILL'))
      if (ownDeaths.length >= ownDeathsMax) throw new Error(`processes end by themselves: ${ownDeaths.join(', ')}`)
      if (clock.monotonicMs() > endMs) throw new Error(`waited ${drainTimeoutMs} ms for ${what}${problem}`)
      await sleep(clock, pollMs)
    }
  }
}
