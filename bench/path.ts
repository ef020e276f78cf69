/**
 * The whole path from a reader to the cloud: a generator publishes as a reader does, the edge hub stores and delivers, the
 * aggregator makes windows, and their records arrive at the hub stand-in. Each is a process of its own, run from its bundle.
 */
import { join } from 'node:path'
import { systemClock } from '@weir/lib/clock'
import type { JsonObject } from '@weir/lib/json'
import { noBaseline, settle } from '@weir/simulator/runner/accounting'
import { lostRows } from '@weir/simulator/runner/report'
import { bundle } from '../scripts/bundle.ts'
import { BenchDevice, processFlags, rounded, type Usage } from './edge-device.ts'

const generatorBundle = 'bench/generator'
const devices = 20
const rowsPerMessage = 100
const signals = 10
const windowMs = 5_000
const lateArrivalMs = 1_000
const pollMs = 200
const settleTimeoutMs = 60_000

interface ProcessFigures {
  readonly cpuSPerMillionValues: number
  readonly rssMbMax: number
}

export interface PathBench {
  readonly settings: Readonly<Record<string, number | string>>
  /** From the first message until the aggregator had taken the last. */
  readonly valuesPerS: number
  readonly values: number
  /** Until the generator stopped, and until the edge hub's queues were empty. */
  readonly generatedS: number
  readonly drainedS: number
  /**
   * Rows published; in records that arrived upstream; late, bad or refused; still with the aggregator; found nowhere.
   * `duplicated`: records that arrived twice.
   */
  readonly rows: Readonly<Record<'published' | 'counted' | 'refused' | 'kept' | 'lost' | 'duplicated', number>>
  readonly upstream: Readonly<Record<'messages' | 'bytes', number>>
  /** By process. Processor time of the run, without the start of the processes. */
  readonly processes: Readonly<Record<string, ProcessFigures>>
}

/** @param seconds How long the generator publishes. */
export async function benchPath(seconds = 15): Promise<PathBench> {
  await bundle('bench/generator.ts', join('dist', generatorBundle, 'main.mjs'))
  const device = await startDevice()
  try {
    const before = await device.usage()
    const startMs = performance.now()
    await device.call('generator', 'generate', { seconds })
    const generated = await waitFor(device, 'generator', ({ generating, queued }) => !generating && queued === 0)
    const generatedS = (performance.now() - startMs) / 1000
    const published = Number(generated['rows'])
    await waitFor(device, 'aggregator', ({ rowsTaken }) => Number(rowsTaken) >= published)
    const drainedS = (performance.now() - startMs) / 1000
    const after = await device.usage()
    const values = published * signals
    const rows = await account(device, published)
    const { sent } = device.cloud.report()
    return {
      settings: {
        seconds,
        devices,
        rowsPerMessage,
        signals,
        windowMs,
        edgeHubStore: 'SQLite, WAL, synchronous=FULL',
        nodeFlags: processFlags(),
      },
      valuesPerS: rounded(values / drainedS),
      values,
      generatedS: rounded(generatedS, 1),
      drainedS: rounded(drainedS, 1),
      rows,
      upstream: { messages: sent.messages, bytes: sent.bytes },
      processes: Object.fromEntries(
        [...after].map(([name, usage]) => [name, figuresOf(before.get(name), usage, values)]),
      ),
    }
  } finally {
    await device.stop()
  }
}

function startDevice(): Promise<BenchDevice> {
  const input = 'BrokeredEndpoint("/modules/aggregator/inputs/telemetry")'
  return BenchDevice.start({
    edgeHubDesired: {
      schemaVersion: '1.1',
      routes: {
        telemetry: { route: `FROM /messages/modules/generator/outputs/telemetry INTO ${input}`, priority: 2 },
        aggregates: {
          route: 'FROM /messages/modules/aggregator/outputs/aggregates INTO $upstream',
          priority: 5,
          timeToLiveSecs: 604_800,
        },
      },
      storeAndForwardConfiguration: { timeToLiveSecs: 604_800 },
    },
    modules: {
      generator: { folder: generatorBundle, desired: { devices, rowsPerMessage, signals } },
      aggregator: {
        folder: 'modules/aggregator',
        desired: { windows: { main: { lengthMs: windowMs, lateArrivalMs } }, deviceIdleMs: lateArrivalMs },
      },
    },
  })
}

/** Asks a module for its status until it is as wanted. Throws where that takes too long. */
async function waitFor(
  device: BenchDevice,
  module: string,
  isDone: (status: JsonObject) => boolean,
): Promise<JsonObject> {
  const endMs = performance.now() + settleTimeoutMs
  for (;;) {
    const status = await device.status(module)
    if (isDone(status)) return status
    if (performance.now() > endMs) throw new Error(`bench: ${module} is not done: ${JSON.stringify(status)}`)
    await new Promise((resolve) => setTimeout(resolve, pollMs))
  }
}

/** Where the published rows are, once every window has closed and the last row has been found, or a time is over. */
async function account(device: BenchDevice, published: number): Promise<PathBench['rows']> {
  const { accountedWindow } = await waitFor(
    device,
    'aggregator',
    ({ rowsOpen, rowsInUnsentRecords }) => rowsOpen === 0 && rowsInUnsentRecords === 0,
  )
  const sources = {
    queued: () => device.queued(),
    taken: () => published,
    aggregatorStatus: () => device.status('aggregator'),
    windows: () => device.cloud.report().windows,
  }
  const rows = await settle(sources, systemClock, new Set([String(accountedWindow)]), noBaseline)
  const { counted, refused, kept } = rows
  return { published, counted, refused, kept, lost: lostRows(rows), duplicated: device.cloud.report().duplicated }
}

function figuresOf(before: Usage | undefined, after: Usage, values: number): ProcessFigures {
  return {
    cpuSPerMillionValues: rounded((after.cpuS - (before?.cpuS ?? 0)) / (values / 1e6), 2),
    rssMbMax: rounded(after.rssBytesMax / 2 ** 20),
  }
}
