import { ManualClock } from '@weir/lib/clock'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { faultText } from './fault.ts'
import { FaultTimeline, offlineSchedule, parseFaultSchedule, runSchedule, type ScheduledFault } from './schedule.ts'

function at(atS: number, name = 'a'): ScheduledFault {
  return { atS, fault: { place: 'module', name, action: 'kill' } }
}

describe('a timeline of faults', () => {
  test('gives each fault once, at its time, those of one moment in their order', () => {
    const timeline = new FaultTimeline([at(5, 'late'), at(1, 'first'), at(1, 'second'), at(0, 'start')])
    expect(timeline.nextAtS).toBe(0)
    expect(timeline.due(0)).toEqual([at(0, 'start')])
    expect(timeline.due(0.9)).toEqual([])
    expect(timeline.due(1)).toEqual([at(1, 'first'), at(1, 'second')])
    expect(timeline.nextAtS).toBe(5)
    expect(timeline.due(60)).toEqual([at(5, 'late')])
    expect(timeline.nextAtS).toBeUndefined()
    expect(timeline.due(600)).toEqual([])
  })

  test('gives all of any schedule, in rising order and never early, whenever it is asked', () => {
    const seconds = fc.integer({ min: 0, max: 50 })
    fc.assert(
      fc.property(fc.array(seconds), fc.array(seconds), (times, asked) => {
        const timeline = new FaultTimeline(times.map((atS) => at(atS)))
        const given = [...asked.toSorted((a, b) => a - b), 50].flatMap((elapsedS) => {
          const due = timeline.due(elapsedS).map(({ atS }) => atS)
          expect(due.every((atS) => atS <= elapsedS)).toBe(true)
          return due
        })
        expect(given).toEqual(times.toSorted((a, b) => a - b))
      }),
    )
  })
})

describe('a schedule that runs', () => {
  async function settled(): Promise<void> {
    for (let turn = 0; turn < 10; turn++) await Promise.resolve()
  }

  test('orders its faults one after the other, counted from its start', async () => {
    const clock = new ManualClock()
    clock.advance(12_345)
    const ordered: string[] = []
    const orders: (() => void)[] = []
    runSchedule([at(2, 'b'), at(1, 'a'), at(2, 'c')], clock, ({ fault }) => {
      ordered.push(faultText(fault))
      return new Promise((resolve) => orders.push(resolve))
    })
    await settled()
    clock.advance(999)
    expect(ordered).toEqual([])
    clock.advance(1)
    expect(ordered).toEqual(['module a kill'])
    orders.shift()?.()
    await settled()
    clock.advance(1000)
    expect(ordered).toEqual(['module a kill', 'module b kill'])
    orders.shift()?.()
    await settled()
    expect(ordered).toEqual(['module a kill', 'module b kill', 'module c kill'])
  })

  test('orders nothing more once it was ended', async () => {
    const clock = new ManualClock()
    const ordered: string[] = []
    const end = runSchedule([at(1)], clock, async () => {
      ordered.push('x')
    })
    await settled()
    end()
    clock.advance(5000)
    await settled()
    expect(ordered).toEqual([])
  })

  test('the upstream link can be away for a time, or to the end', () => {
    expect(offlineSchedule(20, 10).map(({ atS, fault }) => [atS, faultText(fault)])).toEqual([
      [20, 'upstream cut'],
      [30, 'upstream restore'],
    ])
    expect(offlineSchedule(20, undefined)).toHaveLength(1)
  })
})

describe('a file of faults', () => {
  test('is a list of times and faults', () => {
    expect(parseFaultSchedule([{ atS: 1, fault: { place: 'hub', action: 'kill' } }], 'f')).toEqual([
      { atS: 1, fault: { place: 'hub', action: 'kill' } },
    ])
  })

  test.each([
    [{}, 'f: '],
    [[{ atS: -1, fault: { place: 'hub', action: 'kill' } }], 'f: 0: atS: '],
    [[{ atS: 1, fault: { place: 'hub', action: 'kill' }, more: 1 }], 'f: 0: '],
    [
      [
        { atS: 1, fault: { place: 'hub', action: 'kill' } },
        { atS: 1, fault: { place: 'hub', action: 'freeze' } },
      ],
      'f: 1: action: ',
    ],
  ])('%j is refused with the entry that is wrong', (value, problem) => {
    expect(() => parseFaultSchedule(value, 'f')).toThrow(problem)
  })
})
