/** The figures of a run, made from what the parts counted: pure, so that they can be checked by hand. */
import { type Saving, saving, type Traffic } from '@weir/lib/meter'
import type { ModuleStatus } from './supervisor.ts'
import { counted } from './text.ts'

/** What makes the savings what they are; null where the manifest has no such module. */
export interface Settings {
  readonly pollMs: number | null
  readonly publishMs: number | null
  /** The shortest window. */
  readonly windowMs: number | null
}

export interface Report {
  readonly durationS: number
  readonly settings: Settings
  readonly modules: Readonly<Record<string, { state: string; restarts: number; rssBytesMax: number; cpuS: number }>>
  /** Against one hub message per row, and against the readers' own messages sent as they are. */
  readonly receipt: { readonly perRow: Saving; readonly perMessage: Saving }
  readonly delivery: { readonly lost: number; readonly duplicated: number }
  readonly alerts: {
    readonly raised: number
    readonly latencyMsP50: number | null
    readonly latencyMsP99: number | null
  }
}

/** What became of the rows that the edge hub took, as its readers sent them. */
export interface RowAccount {
  /** Rows taken by the edge hub in this run. */
  readonly taken: number
  /** Rows taken in runs before that were still kept when this run began. */
  readonly keptBefore: number
  /** Rows counted into windows whose records the hub stand-in has. */
  readonly counted: number
  /** Rows that the aggregator named late, bad or over a limit. */
  readonly refused: number
  /** Rows in open windows, in records not yet sent, or in messages that wait at the edge hub. */
  readonly kept: number
}

/** Where nothing aggregates there is nothing to account for. */
export const noRows: RowAccount = { taken: 0, keptBefore: 0, counted: 0, refused: 0, kept: 0 }

/** Rows that nobody answers for. Never below 0: a row counted twice is a duplicate, not a gain. */
export function lostRows({ taken, keptBefore, counted, refused, kept }: RowAccount): number {
  return Math.max(0, taken + keptBefore - counted - refused - kept)
}

/** The value below which `share` of `values` lie (nearest rank); null where there are none. */
export function percentile(values: readonly number[], share: number): number | null {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? null
}

export interface RunFigures {
  readonly durationS: number
  readonly settings: Settings
  readonly modules: readonly ModuleStatus[]
  readonly perRow: Traffic
  readonly perMessage: Traffic
  readonly sent: Traffic
  readonly rows: RowAccount
  readonly duplicated: number
  readonly alertsRaised: number
  /** From a register's change to the hub stand-in, for each alert raised. */
  readonly alertLatenciesMs: readonly number[]
}

function round(value: number, decimals: number): number {
  return Number(value.toFixed(decimals))
}

function roundedSaving(raw: Traffic, sent: Traffic): Saving {
  const { savedPct } = saving(raw, sent)
  const { messages, bytes, blocks } = savedPct
  return { raw, sent, savedPct: { messages: round(messages, 2), bytes: round(bytes, 2), blocks: round(blocks, 2) } }
}

export function makeReport(run: RunFigures): Report {
  const latency = (share: number): number | null => {
    const value = percentile(run.alertLatenciesMs, share)
    return value === null ? null : Math.round(value)
  }
  return {
    durationS: round(run.durationS, 1),
    settings: run.settings,
    modules: Object.fromEntries(
      run.modules.map(({ name, state, restarts, rssBytesMax, cpuS }) => [
        name,
        { state, restarts, rssBytesMax, cpuS: round(cpuS, 2) },
      ]),
    ),
    receipt: { perRow: roundedSaving(run.perRow, run.sent), perMessage: roundedSaving(run.perMessage, run.sent) },
    delivery: { lost: lostRows(run.rows), duplicated: run.duplicated },
    alerts: { raised: run.alertsRaised, latencyMsP50: latency(0.5), latencyMsP99: latency(0.99) },
  }
}

/** Why a run did not go well: modules that died, rows lost, records doubled. Empty where it did. */
export function faultsOf(modules: readonly ModuleStatus[], { delivery }: Report): string[] {
  const faults = modules
    .filter(({ lastExit }) => lastExit !== undefined)
    .map(
      ({ name, lastExit, restarts, state }) =>
        `${name} died (${lastExit}); ${counted(restarts, 'restart')}, now ${state}`,
    )
  if (delivery.lost > 0) faults.push(`${counted(delivery.lost, 'row')} lost`)
  if (delivery.duplicated > 0) faults.push(`${counted(delivery.duplicated, 'record')} reached the hub twice`)
  return faults
}
