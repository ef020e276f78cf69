import { describe, expect, it } from 'vitest'
import { diagnoseLink, diagnoseModule, diagnoseUnit, UnitStatistics } from './doctor.ts'
import type { LinkAnswer } from './link.ts'

const good = (durationMs: number): LinkAnswer => ({ data: Buffer.alloc(2), durationMs })
const bad = (failure: 'timeout' | 'exception' | 'malformed' | 'closed'): LinkAnswer => ({
  failure,
  detail: '',
  durationMs: 300,
})

function statisticsOf(...answers: readonly LinkAnswer[]): UnitStatistics {
  const statistics = new UnitStatistics()
  for (const answer of answers) statistics.record(answer)
  return statistics
}

describe('the doctor', () => {
  it('counts round trips by their length, and what went wrong by its kind', () => {
    const statistics = statisticsOf(
      good(3),
      good(9),
      good(10),
      good(9000),
      bad('timeout'),
      bad('malformed'),
      bad('closed'),
    )
    expect(statistics.roundTrips).toBe('≤ 5 ms: 1, ≤ 10 ms: 2, > 5000 ms: 1')
    expect(statistics).toMatchObject({
      requests: 6,
      answered: 4,
      timeouts: 1,
      damaged: 1,
      exceptions: 0,
      slowestMs: 9000,
    })
  })

  it.each([
    ['down', [bad('timeout')], false, 'check unitId (the command scan shows which answer)'],
    ['down', [bad('timeout')], true, 'A and B of the wiring, baud rate and parity'],
    ['down', [good(5), ...new Array(9).fill(bad('timeout'))], true, 'it answered before: check its power and cable'],
    ['up', [good(80.2), bad('timeout')], true, 'raise timeoutMs (now 300; the slowest answer took 81 ms)'],
    ['up', [good(5), bad('malformed')], true, 'check baud rate, parity and stop bits'],
    ['up', [good(5), bad('malformed')], false, 'check that the transport is right'],
    ['up', [good(5), bad('exception')], false, 'check table, address and addressing of its signals'],
    ['up', [...new Array(200).fill(good(5)), bad('timeout')], false, 'nothing'],
    ['unknown', [], false, 'see its link'],
  ] as const)('advises for a unit that is %s after %j', (state, answers, isSerial, advice) => {
    expect(diagnoseUnit('unit 1', state, statisticsOf(...answers), isSerial, 300).advice).toContain(advice)
  })

  it('advises for links, the hub and the clock', () => {
    expect(diagnoseLink('a', 'up', 'connected', false).advice).toBe('nothing')
    expect(diagnoseLink('a', 'down', 'refused', false)).toMatchObject({
      finding: 'is down: refused',
      advice: expect.stringContaining('host and port'),
    })
    expect(diagnoseLink('a', 'down', 'no such port', true).advice).toContain('adapter is plugged in')
    expect(diagnoseModule(0, true).map(({ advice }) => advice)).toEqual(['nothing', 'nothing'])
    expect(diagnoseModule(101, false).map(({ advice }) => advice)).toEqual([
      expect.stringContaining('edgeHub'),
      expect.stringContaining('timedatectl'),
    ])
  })
})
