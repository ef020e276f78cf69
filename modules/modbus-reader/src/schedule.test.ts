import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PollSchedule, spreadPhases } from './schedule.ts'

function scheduleOf(...polled: { key: string; intervalMs: number }[]): PollSchedule {
  const schedule = new PollSchedule()
  schedule.update(polled, 0)
  return schedule
}

describe('the schedule', () => {
  it('does not drift: polls stay on their grid, however long each takes', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 99 }), { minLength: 1, maxLength: 50 }), (durationsMs) => {
        const schedule = scheduleOf({ key: 'a', intervalMs: 100 })
        durationsMs.forEach((durationMs, index) => {
          expect(schedule.next()?.dueMs).toBe(index * 100)
          expect(schedule.finish('a', index * 100 + durationMs)).toBe(0)
        })
      }),
    )
  })

  it('counts each poll that never began, and piles none up', () => {
    const schedule = scheduleOf({ key: 'a', intervalMs: 100 })
    expect(schedule.finish('a', 350)).toBe(2)
    expect(schedule.next()).toMatchObject({ key: 'a', dueMs: 300 })
    expect(schedule.finish('a', 360)).toBe(0)
    expect(schedule.next()).toMatchObject({ key: 'a', dueMs: 400 })
  })

  it('polls or counts every point of the grid exactly once', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 900 }), { minLength: 1, maxLength: 40 }), (durationsMs) => {
        const schedule = scheduleOf({ key: 'a', intervalMs: 100 })
        let nowMs = 0
        let points = 0
        for (const durationMs of durationsMs) {
          const dueMs = schedule.next()?.dueMs ?? Number.NaN
          nowMs = Math.max(nowMs, dueMs) + durationMs
          points += 1 + schedule.finish('a', nowMs)
          expect(schedule.next()?.dueMs).toBe(points * 100)
        }
      }),
    )
  })

  it('starves nobody: on a line that is too slow, the longest waiting goes first', () => {
    const schedule = scheduleOf({ key: 'fast', intervalMs: 10 }, { key: 'slow', intervalMs: 1000 })
    const polls: Record<string, number> = { fast: 0, slow: 0 }
    let nowMs = 0
    while (nowMs < 10_000) {
      const due = schedule.next()
      if (due === undefined) break
      nowMs = Math.max(nowMs, due.dueMs) + 50
      polls[due.key] = (polls[due.key] ?? 0) + 1
      schedule.finish(due.key, nowMs)
    }
    expect(polls['slow']).toBeGreaterThanOrEqual(10)
    expect(polls['fast']).toBeGreaterThan(150)
  })

  it('spreads devices evenly over the interval', () => {
    expect(spreadPhases([], 4)).toEqual([0, 0.25, 0.5, 0.75])
    const polled = ['a', 'b', 'c', 'd'].map((key) => ({ key, intervalMs: 1000 }))
    const schedule = scheduleOf(...polled)
    for (const { key } of polled) schedule.finish(key, 1)
    const dues = polled.map(() => {
      const due = schedule.next()
      schedule.finish(due?.key ?? '', due?.dueMs ?? 0)
      return due?.dueMs
    })
    expect(dues).toEqual([250, 500, 750, 1000])
  })

  it('puts a new device between those that stay, and moves none of them', () => {
    expect(spreadPhases([0, 0.5], 3)).toEqual([0.25, 0.75, 0.125])
    const schedule = scheduleOf({ key: 'a', intervalMs: 100 })
    schedule.finish('a', 0)
    schedule.update(
      [
        { key: 'a', intervalMs: 100 },
        { key: 'b', intervalMs: 100 },
      ],
      20,
    )
    schedule.finish('b', 20)
    expect(schedule.next()).toMatchObject({ key: 'b', dueMs: 50 })
    schedule.finish('b', 50)
    expect(schedule.next()).toMatchObject({ key: 'a', dueMs: 100 })
  })

  it('has what is new polled at once, however long its interval', () => {
    const schedule = new PollSchedule()
    schedule.update([{ key: 'a', intervalMs: 60_000 }], 12_345)
    expect(schedule.next()?.dueMs).toBeLessThanOrEqual(12_345)
    schedule.finish('a', 12_350)
    expect(schedule.next()?.dueMs).toBe(60_000)
  })

  it('forgets what is polled no more', () => {
    const schedule = scheduleOf({ key: 'a', intervalMs: 100 })
    schedule.update([], 10)
    expect(schedule.next()).toBeUndefined()
    expect(schedule.finish('a', 500)).toBe(0)
  })
})
