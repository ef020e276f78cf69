import { ManualClock } from '@weir/lib/clock'
import { WeirError } from '@weir/lib/errors'
import { describe, expect, test } from 'vitest'
import type { Fault } from '../faults/fault.ts'
import type { FaultSchedule } from '../faults/schedule.ts'
import { RequestError } from '../workload/http-json.ts'
import { ScheduledFaults, scheduleOf } from './scheduled-faults.ts'

const schedule: FaultSchedule = [
  { atS: 1, fault: { place: 'module', name: 'away', action: 'kill' } },
  { atS: 2, fault: { place: 'hub', action: 'kill' } },
]

async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve()
}

describe('the faults of a run', () => {
  test('come from a file, and from being offline', () => {
    expect(scheduleOf({ faultsFile: undefined, offlineAtS: undefined, offlineForS: undefined })).toEqual([])
    expect(scheduleOf({ faultsFile: undefined, offlineAtS: 3, offlineForS: 4 }).map(({ atS }) => atS)).toEqual([3, 7])
    const none = { faultsFile: '/nowhere/faults.json', offlineAtS: undefined, offlineForS: undefined }
    expect(() => scheduleOf(none)).toThrow('/nowhere/faults.json')
  })

  test('are refused before the run where it has nothing of that name', () => {
    const check = (): void => {
      throw new RequestError(404, 'module away: no such module in this run')
    }
    const begin = (): unknown => new ScheduledFaults(schedule, { check, order: async () => {} }, new ManualClock())
    expect(begin).toThrow(WeirError)
    expect(begin).toThrow('fault at 1 s: module away: no such module in this run')
  })

  test('that cannot be ordered when it is their time are problems of the run, and stop no other', async () => {
    const clock = new ManualClock()
    const ordered: Fault[] = []
    const order = async (fault: Fault): Promise<void> => {
      if (fault.place === 'module') throw new RequestError(409, 'away: does not run')
      ordered.push(fault)
    }
    const scheduled = new ScheduledFaults(schedule, { check: () => {}, order }, clock)
    for (let second = 0; second < 3; second++) {
      await settled()
      clock.advance(1000)
    }
    expect(ordered).toEqual([{ place: 'hub', action: 'kill' }])
    expect(scheduled.problems).toEqual(['fault at 1 s, module away kill: away: does not run'])
  })
})
