import type { Clock } from '@weir/lib/clock'
import { errorText, WeirError } from '@weir/lib/errors'
import { faultText } from '../faults/fault.ts'
import type { FaultControl } from '../faults/fault-control.ts'
import { type FaultSchedule, offlineSchedule, readFaultSchedule, runSchedule } from '../faults/schedule.ts'
import type { RunOptions } from './options.ts'

/** What `--faults`, `--offline-at` and `--offline-for` ask for. Throws CONFIG_REFUSED. */
export function scheduleOf({
  faultsFile,
  offlineAtS,
  offlineForS,
}: Pick<RunOptions, 'faultsFile' | 'offlineAtS' | 'offlineForS'>): FaultSchedule {
  return [
    ...(faultsFile === undefined ? [] : readFaultSchedule(faultsFile)),
    ...(offlineAtS === undefined ? [] : offlineSchedule(offlineAtS, offlineForS)),
  ]
}

/** The faults of a schedule in a run. */
export class ScheduledFaults {
  /** Faults that could not be ordered when it was their time, and why: the run was not what it should have been. */
  readonly problems: string[] = []
  readonly #end: () => void

  /** Begins at once. Throws CONFIG_REFUSED where the run has nothing of a name in the schedule. */
  constructor(schedule: FaultSchedule, faults: Pick<FaultControl, 'check' | 'order'>, clock: Clock) {
    for (const { atS, fault } of schedule) {
      try {
        faults.check(fault)
      } catch (error) {
        throw new WeirError('CONFIG_REFUSED', `fault at ${atS} s: ${errorText(error)}`, { cause: error })
      }
    }
    this.#end = runSchedule(schedule, clock, async ({ atS, fault }) => {
      await faults.order(fault).catch((error: unknown) => {
        this.problems.push(`fault at ${atS} s, ${faultText(fault)}: ${errorText(error)}`)
      })
    })
  }

  end(): void {
    this.#end()
  }
}
