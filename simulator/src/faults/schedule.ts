/** Faults that come by themselves: `--faults FILE.json`, `--offline-at` and `--offline-for`. */
import type { Clock, Timer } from '@weir/lib/clock'
import { WeirError } from '@weir/lib/errors'
import { z } from 'zod'
import { readJsonFile } from '../manifest/load.ts'
import { type Fault, parseFault } from './fault.ts'

export interface ScheduledFault {
  /** Seconds after the start of the modules. */
  readonly atS: number
  readonly fault: Fault
}

export type FaultSchedule = readonly ScheduledFault[]

const fileSchema = z.array(z.strictObject({ atS: z.number().min(0), fault: z.unknown() }))

/** Reads a schedule. @throws WeirError CONFIG_REFUSED naming the entry, by its number from 0. */
export function parseFaultSchedule(value: unknown, source: string): FaultSchedule {
  const parsed = fileSchema.safeParse(value)
  if (!parsed.success) {
    const problems = parsed.error.issues.map(({ path, message }) => [...path, message].join(': '))
    throw new WeirError(
      'CONFIG_REFUSED',
      `${source}: ${problems.join('; ')}; expected [{"atS": 20, "fault": {"place": "upstream", "action": "cut"}}, …]`,
    )
  }
  return parsed.data.map(({ atS, fault }, index) => ({ atS, fault: parseFault(fault, `${source}: ${index}`) }))
}

export function readFaultSchedule(file: string): FaultSchedule {
  return parseFaultSchedule(readJsonFile(file), `--faults ${file}`)
}

/** The upstream link away from `atS` on, for `forS` seconds; without those to the end of the run. */
export function offlineSchedule(atS: number, forS: number | undefined): FaultSchedule {
  const cut: ScheduledFault = { atS, fault: { place: 'upstream', action: 'cut' } }
  return forS === undefined ? [cut] : [cut, { atS: atS + forS, fault: { place: 'upstream', action: 'restore' } }]
}

/** What of a schedule has its time and what has not yet; at one moment in the order of the schedule. */
export class FaultTimeline {
  readonly #entries: FaultSchedule
  #next = 0

  constructor(schedule: FaultSchedule) {
    this.#entries = schedule.toSorted((a, b) => a.atS - b.atS)
  }

  /** Seconds after the start at which something is due next; undefined where nothing is left. */
  get nextAtS(): number | undefined {
    return this.#entries[this.#next]?.atS
  }

  /** Faults due up to `elapsedS` that were not given before. */
  due(elapsedS: number): readonly ScheduledFault[] {
    const from = this.#next
    while ((this.nextAtS ?? Number.POSITIVE_INFINITY) <= elapsedS) this.#next++
    return this.#entries.slice(from, this.#next)
  }
}

/** Orders each fault at its time, one after the other, from now on. @returns what ends that. */
export function runSchedule(
  schedule: FaultSchedule,
  clock: Clock,
  order: (scheduled: ScheduledFault) => Promise<void>,
): () => void {
  const timeline = new FaultTimeline(schedule)
  const startMs = clock.monotonicMs()
  let timer: Timer | undefined
  let isOver = false
  const elapsedS = (): number => (clock.monotonicMs() - startMs) / 1000
  const step = async (): Promise<void> => {
    for (const scheduled of timeline.due(elapsedS())) {
      if (isOver) return
      await order(scheduled)
    }
    const nextAtS = timeline.nextAtS
    // Rounded up: a timer that fires a moment early would find nothing due.
    if (nextAtS !== undefined && !isOver) {
      timer = clock.setTimer(() => void step(), Math.ceil(Math.max(0, nextAtS - elapsedS()) * 1000))
    }
  }
  void step()
  return () => {
    isOver = true
    timer?.cancel()
  }
}
