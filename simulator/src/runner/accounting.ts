/** What became of every row: asked of the edge hub, of the aggregator and of the hub stand-in at the end of a run. */
import { type Clock, sleep } from '@weir/lib/clock'
import { asObject, type JsonValue } from '@weir/lib/json'
import type { CloudReport } from '../cloud/cloud.ts'
import { aggregatorName } from './demo.ts'
import { lostRows, type RowAccount } from './report.ts'
import type { Runtime } from './runtime.ts'

/** Who is asked. */
export interface AccountSources {
  /** Messages waiting at the edge hub; undefined where it does not answer. */
  queued(): Promise<number | undefined>
  /** Rows that the edge hub has taken in this run, as of the last `queued`. */
  taken(): number
  /** What the aggregator answers to `getStatus`; undefined where it does not. */
  aggregatorStatus(): Promise<JsonValue | undefined>
  windows(): CloudReport['windows']
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
const statusTimeoutMs = 5000

export function sourcesOf({ edgeHub, cloud }: Pick<Runtime, 'edgeHub' | 'cloud'>): AccountSources {
  return {
    async queued() {
      const counters = await edgeHub.counters().catch(() => undefined)
      if (counters === undefined) return undefined
      return Object.values(counters.queued).reduce((sum, messages) => sum + messages, 0)
    },
    taken: () => edgeHub.sums.rows,
    async aggregatorStatus() {
      const timeouts = { responseTimeoutMs: statusTimeoutMs, connectTimeoutMs: statusTimeoutMs }
      const answer = await cloud.callMethod(aggregatorName, 'getStatus', null, timeouts).catch(() => undefined)
      return answer?.status === 200 ? answer.payload : undefined
    },
    windows: () => cloud.report().windows,
  }
}

/** The aggregator's own account of the rows it took. */
interface AggregatorRows {
  /** Late, without a good value, or over a limit. */
  readonly refused: number
  /** In open windows, and in records that have not left. */
  readonly kept: number
  /** Label of the window whose records account for rows. */
  readonly window: string
}

/** The figures in the answer of the aggregator's `getStatus`; undefined where one of them is missing. */
export function aggregatorRows(status: JsonValue | undefined): AggregatorRows | undefined {
  const fields = asObject(status)
  const sum = (...names: readonly string[]): number => names.reduce((total, name) => total + Number(fields?.[name]), 0)
  const refused = sum('rowsLate', 'rowsBad', 'rowsRefused')
  const kept = sum('rowsOpen', 'rowsInUnsentRecords')
  const window = fields?.['accountedWindow']
  return Number.isNaN(refused + kept) || typeof window !== 'string' ? undefined : { refused, kept, window }
}

function countedRows(windows: CloudReport['windows'], labels: ReadonlySet<string>): number {
  return Object.entries(windows).reduce((sum, [label, { rows }]) => sum + (labels.has(label) ? rows : 0), 0)
}

/** Waits until no message waits at the edge hub, as long as they get fewer. */
async function drain(sources: AccountSources, clock: Clock): Promise<void> {
  let least = Number.POSITIVE_INFINITY
  let deadlineMs = clock.monotonicMs() + settleTimeoutMs
  for (;;) {
    const queued = await sources.queued()
    if (queued === 0 || clock.monotonicMs() >= deadlineMs) return
    if (queued !== undefined && queued < least) {
      least = queued
      deadlineMs = clock.monotonicMs() + settleTimeoutMs
    }
    await sleep(clock, settleEveryMs)
  }
}

/** Takes what an earlier run left behind, once its messages have gone where they belong. Before any reader starts. */
export async function takeBaseline(sources: AccountSources, clock: Clock): Promise<Baseline> {
  // The aggregator answers only once it is connected, and then takes what waits for it.
  await sources.aggregatorStatus()
  await drain(sources, clock)
  const rows = aggregatorRows(await sources.aggregatorStatus())
  if (rows === undefined) return noBaseline
  return { kept: rows.kept, refused: rows.refused, counted: countedRows(sources.windows(), new Set([rows.window])) }
}

/**
 * The account once readers have stopped: asked for until every row is found, or the time for messages under way is
 * over. Rows of which an aggregator that does not answer says nothing are neither kept nor refused.
 * @param labels Labels of the windows that accounted for rows earlier in the run, beside the one that does now.
 */
export async function settle(
  sources: AccountSources,
  clock: Clock,
  labels: ReadonlySet<string>,
  baseline: Baseline,
): Promise<RowAccount> {
  const deadlineMs = clock.monotonicMs() + settleTimeoutMs
  for (;;) {
    await drain(sources, clock)
    const rows = aggregatorRows(await sources.aggregatorStatus())
    const account = {
      taken: sources.taken(),
      keptBefore: baseline.kept,
      counted:
        countedRows(sources.windows(), new Set([...labels, ...(rows === undefined ? [] : [rows.window])])) -
        baseline.counted,
      refused: rows === undefined ? 0 : rows.refused - baseline.refused,
      kept: rows?.kept ?? 0,
    }
    if (lostRows(account) === 0 || clock.monotonicMs() >= deadlineMs) return account
    await sleep(clock, settleEveryMs)
  }
}
