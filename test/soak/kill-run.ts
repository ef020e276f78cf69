import { sleep, systemClock } from '@weir/lib/clock'
import type { RowsElsewhere } from './invariants.ts'
import { planKills } from './kills.ts'
import { Pipeline, windowMs } from './pipeline.ts'
import { allProblems, examine, type Findings } from './proof.ts'
import { processNames } from './running-device.ts'

/** A process that was killed is back, and at work, after about two seconds: some kills meet it before, most after. */
const pauseMsMin = 200
const pauseMsMaxOfOne = 15_000
const settleMs = 3_000
/** Out of order come rows that a reader kept while the edge hub was away: urgent ones overtake the others. */
const lateArrivalMs = 10_000
const readerTailMax = 64

export interface KillRunOptions {
  readonly stateFolder: string
  readonly seed: number
  readonly killsEach: number
  /** Default: all of processNames. */
  readonly processes?: readonly string[] | undefined
  /** Told of each kill. */
  onKill?(done: number, of: number, process: string): void
}

export interface KillRun {
  /** Kills made, by process. */
  readonly kills: Readonly<Record<string, number>>
  readonly findings: Findings
  readonly elsewhere: RowsElsewhere
  /** How processes ended, kills included: `aggregator: SIGKILL`. */
  readonly deaths: readonly string[]
}

/** Runs the pipeline under load, kills its processes again and again, and examines what arrived. */
export async function runKills(options: KillRunOptions): Promise<KillRun> {
  const { stateFolder, seed, killsEach, processes = processNames, onKill } = options
  await using pipeline = await Pipeline.start({ stateFolder, seed, lateArrivalMs })
  const pauseMsMax = pauseMsMaxOfOne / processes.length
  const plan = planKills({ processes, killsEach, seed, pauseMsMin, pauseMsMax })
  for (const [done, { process, pauseMs }] of plan.entries()) {
    await sleep(systemClock, pauseMs)
    await pipeline.device.kill(process)
    onKill?.(done + 1, plan.length, process)
  }
  await sleep(systemClock, settleMs)
  const elsewhere = await pipeline.drain()
  return {
    kills: Object.fromEntries(processes.map((process) => [process, killsEach])),
    findings: examine(pipeline.device.arrived, { elsewhere, windowMs, readerTailMax }),
    elsewhere,
    deaths: [...pipeline.device.deaths],
  }
}

/** Where the deaths are not those that the run brought about: something died by itself. */
export function deathProblems({ kills, deaths }: Pick<KillRun, 'kills' | 'deaths'>): string[] {
  const wanted = new Map(Object.entries(kills).map(([process, count]) => [`${process}: SIGKILL`, count]))
  const seen = new Map([...Map.groupBy(deaths, (death) => death)].map(([death, all]) => [death, all.length]))
  return [...new Set([...wanted.keys(), ...seen.keys()])].flatMap((death) => {
    const [count, killed] = [seen.get(death) ?? 0, wanted.get(death) ?? 0]
    return count === killed ? [] : [`${death}: died so ${count} times, was killed ${killed} times`]
  })
}

export function problemsOf(run: KillRun): string[] {
  return [...deathProblems(run), ...allProblems(run.findings)]
}
