import { join } from 'node:path'
import { sleep, systemClock } from '@weir/lib/clock'
import { asObject, type JsonObject } from '@weir/lib/json'
import type { CloudMessage } from '@weir/simulator/cloud/cloud-message'
import type { LoadedDeployment } from '@weir/simulator/manifest/load'
import { aggregatorRows } from '@weir/simulator/runner/accounting'
import { aggregatorName, detectorName, readerName } from '@weir/simulator/runner/demo'
import { edgeHubName } from '@weir/simulator/runner/module-processes'
import { type Runtime, startRuntime } from '@weir/simulator/runner/runtime'
import { openStateFolder } from '@weir/simulator/runner/state-folder'
import type { RowsElsewhere } from './invariants.ts'

const clock = systemClock

/** Every process of the manifest: the modules, and the edge hub between them. */
export const moduleNames = [readerName, aggregatorName, detectorName, 'alert-forwarder']
export const processNames = [...moduleNames, edgeHubName]

/** Killed processes are there again soon, however often they are killed. */
const restartLimits = {
  restartsMax: Number.POSITIVE_INFINITY,
  coolOffMs: 100,
  coolOffMsMax: 100,
  steadyMs: Number.POSITIVE_INFINITY,
}

const patienceMs = 90_000
const pollMs = 100
/** So many processes that end by themselves are enough to give a run up. */
const ownDeathsMax = 5

/** The simulated edge device, its processes in the hands of a test; and the hub stand-in, which keeps what arrives. */
export class RunningDevice implements AsyncDisposable {
  readonly runtime: Runtime
  /** In the order of their arrival; a message that the edge hub sent again is in it once. */
  readonly arrived: readonly CloudMessage[]
  /** How processes ended: `aggregator: SIGKILL`. */
  readonly deaths: readonly string[]

  private constructor(runtime: Runtime, arrived: readonly CloudMessage[], deaths: readonly string[]) {
    this.runtime = runtime
    this.arrived = arrived
    this.deaths = deaths
  }

  /** With the edge hub; modules are started by the caller. */
  static async start(deployment: LoadedDeployment, stateFolder: string): Promise<RunningDevice> {
    const arrived: CloudMessage[] = []
    const deaths: string[] = []
    const runtime = await startRuntime({
      // What arrived lies beside the logs, for whoever looks into a failure.
      options: { upstreamFolder: join(stateFolder, 'upstream'), port: 0, bundles: false },
      deployment,
      stateFolder: (await openStateFolder(stateFolder)).path,
      clock,
      restartLimits,
      onEvent(event) {
        if (event.type === 'died') deaths.push(`${event.module}: ${event.exit}`)
      },
      onMessage: (message) => arrived.push(message),
    })
    return new RunningDevice(runtime, arrived, deaths)
  }

  /** Ends a process with SIGKILL; waits until there is one. */
  async kill(name: string): Promise<void> {
    const { supervisor } = this.runtime
    const pid = (): number | undefined => supervisor.statuses().find((status) => status.name === name)?.pid
    await this.until(`a process of ${name}`, () => pid() !== undefined)
    const killed = pid()
    supervisor.signal(name, 'SIGKILL')
    await this.until(`the end of ${name}`, () => pid() !== killed)
  }

  /** What a module answers to `getStatus`. */
  async status(module: string): Promise<JsonObject> {
    const { payload } = await this.runtime.cloud.callMethod(module, 'getStatus', null, { responseTimeoutMs: 5_000 })
    return asObject(payload) ?? {}
  }

  /** The aggregator's account of the rows that are in no record at the hub. */
  async rowsElsewhere(): Promise<RowsElsewhere> {
    const status = await this.status(aggregatorName)
    const rows = aggregatorRows(status)
    if (rows === undefined) throw new Error(`the aggregator's status lacks rows: ${JSON.stringify(status)}`)
    const { rowsLate, rowsBad, rowsRefused } = status
    return { late: Number(rowsLate), bad: Number(rowsBad), refused: Number(rowsRefused), kept: rows.kept }
  }

  /** Nothing waits in a module that takes inputs, nor at the edge hub, and nothing arrives. */
  async isQuiet(): Promise<boolean> {
    const before = this.arrived.length
    for (const name of moduleNames) {
      if (name !== readerName && (await this.status(name))['queued'] !== 0) return false
    }
    const { queued } = await this.runtime.edgeHub.counters()
    await sleep(clock, pollMs)
    return Object.values(queued).every((count) => count === 0) && this.arrived.length === before
  }

  /** Waits; a condition that throws does not hold yet. Rejects with `what` after 90 s, or where processes keep dying. */
  async until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
    const endMs = clock.monotonicMs() + patienceMs
    for (;;) {
      let problem = ''
      try {
        if (await condition()) return
      } catch (error) {
        problem = ` (${error})`
      }
      const ownDeaths = this.deaths.filter((death) => !death.endsWith(': SIGKILL'))
      if (ownDeaths.length >= ownDeathsMax)
        throw new Error(`processes end by themselves: ${ownDeaths.slice(0, ownDeathsMax).join(', ')}`)
      if (clock.monotonicMs() > endMs) throw new Error(`waited ${patienceMs} ms for ${what}${problem}`)
      await sleep(clock, pollMs)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.runtime.close()
  }
}
