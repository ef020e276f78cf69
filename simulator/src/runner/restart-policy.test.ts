import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { afterExit, edgeAgentLimits, type RestartPolicy } from './restart-policy.ts'

const policies: RestartPolicy[] = ['never', 'on-failure', 'on-unhealthy', 'always']

describe('the restart policy', () => {
  test.each([
    ['never', 0, 'stopped'],
    ['never', 1, 'failed'],
    ['on-failure', 0, 'stopped'],
    ['on-failure', 1, 'backoff'],
    ['on-failure', null, 'backoff'],
    ['on-unhealthy', 0, 'stopped'],
    ['on-unhealthy', 137, 'backoff'],
    ['always', 0, 'backoff'],
    ['always', null, 'backoff'],
  ] as const)('%s after exit code %s gives %s', (policy, exitCode, state) => {
    expect(afterExit({ policy, exitCode, ranMs: 1000, restartCount: 0 }).state).toBe(state)
  })

  test('waits 10 s, doubling up to 5 minutes, and gives up after 20 restarts', () => {
    const delaysMs: number[] = []
    let restartCount = 0
    for (;;) {
      const next = afterExit({ policy: 'always', exitCode: 1, ranMs: 1000, restartCount })
      if (next.state !== 'backoff') {
        expect(next.state).toBe('failed')
        break
      }
      delaysMs.push(next.delayMs)
      restartCount = next.restartCount
    }
    expect(delaysMs.slice(0, 6)).toEqual([10_000, 20_000, 40_000, 80_000, 160_000, 300_000])
    expect(delaysMs.slice(6).every((delayMs) => delayMs === 300_000)).toBe(true)
    expect(delaysMs.length).toBe(20)
  })

  test('forgets earlier restarts once a module ran for ten minutes', () => {
    expect(afterExit({ policy: 'always', exitCode: 1, ranMs: 600_000, restartCount: 20 })).toEqual({
      state: 'backoff',
      delayMs: 10_000,
      restartCount: 1,
    })
  })

  test('never waits longer than its ceiling, nor restarts past its limit', () => {
    const exit = fc.record({
      policy: fc.constantFrom(...policies),
      exitCode: fc.option(fc.integer({ min: 0, max: 255 })),
      ranMs: fc.integer({ min: 0, max: 10_000_000 }),
      restartCount: fc.integer({ min: 0, max: 30 }),
    })
    fc.assert(
      fc.property(exit, (of) => {
        const next = afterExit(of)
        if (next.state !== 'backoff') return
        expect(of.policy).not.toBe('never')
        expect(next.delayMs).toBeLessThanOrEqual(edgeAgentLimits.coolOffMsMax)
        expect(next.restartCount).toBeLessThanOrEqual(edgeAgentLimits.restartsMax)
      }),
    )
  })
})
