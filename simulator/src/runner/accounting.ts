/** What became of every row: asked of the edge hub, of the aggregator and of the hub stand-in at the end of a run. */
import { type Clock, sleep } from '@weir/lib/clock'
import { asObject, type JsonValue } from '@weir/lib/json'
import type { CloudReport } from '../cloud/cloud.ts'
import { aggregatorName } from './demo.ts'
import { lostRows, type RowAccount } from './report.ts'
import type { Runtime } from './runtime.ts'

/** The aggregator's own account of the rows it took, as its `getStatus` has it. */
export interface AggregatorRows {
  /** Late, without a good value, or over a limit. */
  readonly refused: number
  /** In open windows, and in records that have not left. */
  readonly kept: number
}

/** What was there before a run, where the state of an earlier one was kept. */
export interface Baseline {
  readonly kept: number
  readonly refused: number
  readonly counted: number
}

export const noBaseline: Baseline = { kept: 0, refused: 0, counted: 0 }

const settleTimeoutMs = 10_000
const settleEveryMs = 200

/** The figures in the answer of the aggregator's `getStatus`; undefined where one of them is missing. */
export function aggregatorRows(status: JsonValue): AggregatorRows | undefined {
  const fields = asObject(status)
  const sum = (...names: readonly string[]): number => names.reduce((total, name) => total + Number(fields?.[name]), 0)
  const refused = sum('rowsLate', 'rowsBad', 'rowsRefused')
  const kept = sum('rowsOpen', 'rowsInUnsentRecords')
  return Number.isNaN(refused + kept) ? undefined : { refused, kept }
}

/** Rows in the windows of the given labels. */
export function countedRows({ windows }: Pick<CloudReport, 'windows'>, labels: ReadonlySet<string>): number {
  return Object.entries(windows).reduce((sum, [label, { rows }]) => sum + (labels.has(label) ? rows : 0), 0)
}

async function askAggregator(runtime: Runtime): Promise<AggregatorRows | undefined> {
  try {
    const { status, payload } = await runtime.cloud.callMethod(aggregatorName, 'getStatus', null, {
      responseTimeoutMs: 5000,
    })
    return status === 200 ? aggregatorRows(payload) : undefined
  } catch {
    return undefined
  }
}

function queuedMessages(queued: Readonly<Record<string, number>>): number {
  return Object.values(queued).reduce((sum, messages) => sum + messages, 0)
}

/** Waits until no message waits at the edge hub, a bounded time; false where some still do. */
async function drained(runtime: Runtime, clock: Clock): Promise<boolean> {
  const deadlineMs = clock.monotonicMs() + settleTimeoutMs
  for (;;) {
    const counters = await runtime.edgeHub.counters().catch(() => undefined)
    if (counters !== undefined && queuedMessages(counters.queued) === 0) return true
    if (clock.monotonicMs() >= deadlineMs) return false
    await sleep(clock, settleEveryMs)
  }
}

/** Takes what an earlier run left behind, once its messages have gone where they belong. Before any reader starts. */
export async function takeBaseline(runtime: Runtime, clock: Clock, labels: ReadonlySet<string>): Promise<Baseline> {
  await drained(runtime, clock)
  const rows = await askAggregator(runtime)
  return { kept: rows?.kept ?? 0, refused: rows?.refused ?? 0, counted: countedRows(runtime.cloud.report(), labels) }
}

/**
 * The account once readers have stopped: asked for until every row is found, or the time for messages under way is
 * over. Rows of which an aggregator that does not answer says nothing are neither kept nor refused.
 */
export async function settle(
  runtime: Runtime,
  clock: Clock,
  labels: ReadonlySet<string>,
  baseline: Baseline,
): Promise<RowAccount> {
  const deadlineMs = clock.monotonicMs() + settleTimeoutMs
  for (;;) {
    await drained(runtime, clock)
    const rows = await askAggregator(runtime)
    const account = {
      taken: runtime.edgeHub.sums.rows,
      keptBefore: baseline.kept,
      counted: countedRows(runtime.cloud.report(), labels) - baseline.counted,
      refused: (rows?.refused ?? 0) - baseline.refused,
      kept: rows?.kept ?? 0,
    }
    if (lostRows(account) === 0 || clock.monotonicMs() >= deadlineMs) return account
    await sleep(clock, settleEveryMs)
  }
}
