import { describe, expect, it } from 'vitest'
import { ManualClock } from './clock.ts'
import { createLog } from './log-stdout.ts'
import { MemoryMetrics } from './metrics-memory.ts'
import { Rejects } from './rejects.ts'

function bench() {
  const clock = new ManualClock()
  const lines: string[] = []
  const metrics = new MemoryMetrics()
  const rejects = new Rejects(
    createLog('info', clock, (line) => lines.push(line)),
    clock,
    metrics.counter('rejected_total'),
  )
  return { clock, lines, metrics, rejects }
}

describe('what is kept out', () => {
  it('is counted by reason, and logged once a minute with the count since', () => {
    const { clock, lines, metrics, rejects } = bench()
    for (let index = 0; index < 5; index++) rejects.add('badTimestamp', `row ${index}`)
    rejects.add('badName', 'x.y', 3)
    expect(lines).toHaveLength(2)
    clock.advance(60_000)
    rejects.add('badTimestamp', 'row 5')
    expect(lines[2]).toContain('badTimestamp: 5 times, last: row 5')
    expect(rejects.counts()).toEqual({ badTimestamp: 6, badName: 3 })
    expect(metrics.value('rejected_total', { reason: 'badTimestamp' })).toBe(6)
  })

  it('cannot grow without bound by ever new reasons', () => {
    const { rejects } = bench()
    for (let index = 0; index < 1000; index++) rejects.add(`reason-${index}`, '')
    expect(Object.keys(rejects.counts()).length).toBeLessThanOrEqual(101)
    expect(rejects.counts()['other']).toBe(900)
  })
})
