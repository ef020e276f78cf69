import { describe, expect, it } from 'vitest'
import { ManualClock } from './clock.ts'
import { WeirError } from './errors.ts'
import { Reopener } from './reopener.ts'
import { testContext } from './test-context.ts'

function bench() {
  const clock = new ManualClock()
  const { log, logLines } = testContext()
  const opens: number[] = []
  const gaveUp: unknown[] = []
  const state: { error: WeirError | undefined } = { error: undefined }
  const reopener = new Reopener({
    hub: {
      async open() {
        opens.push(clock.monotonicMs())
        if (state.error !== undefined) throw state.error
      },
    },
    clock,
    log,
    random: () => 1,
    giveUp: (error) => gaveUp.push(error),
  })
  return { clock, opens, gaveUp, state, reopener, logLines }
}

async function pass(clock: ManualClock, seconds: number): Promise<void> {
  for (let step = 0; step < seconds * 4; step++) {
    clock.advance(250)
    for (let turn = 0; turn < 6; turn++) await Promise.resolve()
  }
}

const away = new WeirError('HUB_AWAY', 'hub: away')
const refused = new WeirError('HUB_REFUSED', 'hub: refused')

describe('opening the hub', () => {
  it('is tried for hours, at most every 15 s, and logged once a minute', async () => {
    const { clock, opens, gaveUp, state, reopener, logLines } = bench()
    state.error = away
    reopener.open()
    await pass(clock, 600)
    const pauses = opens.slice(1).map((at, index) => at - (opens[index] ?? 0))
    expect(pauses).toEqual(pauses.toSorted((a, b) => a - b))
    expect(pauses[0]).toBeLessThan(1_000)
    expect(opens.length).toBeGreaterThan(30)
    expect(opens.length).toBeLessThan(60)
    expect(logLines.length).toBeLessThanOrEqual(11)
    expect(gaveUp).toEqual([])
    state.error = undefined
    await pass(clock, 20)
    const before = opens.length
    await pass(clock, 60)
    expect(opens.length).toBe(before)
  })

  it('is tried at once after a connection that lasted', async () => {
    const { clock, opens, reopener } = bench()
    reopener.open()
    await pass(clock, 60)
    reopener.lost()
    await Promise.resolve()
    expect(opens).toEqual([0, 60_000])
  })

  it('waits ever longer where connections do not last', async () => {
    const { clock, opens, reopener } = bench()
    reopener.open()
    for (let second = 0; second < 60; second++) {
      await pass(clock, 1)
      reopener.lost()
    }
    expect(opens.length).toBeLessThan(15)
  })

  it('ends after five refusals in a row, not after refusals among other failures', async () => {
    const { clock, opens, gaveUp, state, reopener } = bench()
    state.error = refused
    reopener.open()
    await pass(clock, 3)
    state.error = away
    await pass(clock, 10)
    expect(gaveUp).toEqual([])
    state.error = refused
    await pass(clock, 120)
    expect(gaveUp).toEqual([refused])
    const before = opens.length
    await pass(clock, 60)
    expect(opens.length).toBe(before)
  })

  it('is tried again where the connection is lost just as it opens', async () => {
    const clock = new ManualClock()
    let opens = 0
    const reopener: Reopener = new Reopener({
      hub: {
        async open() {
          opens += 1
          if (opens === 1) queueMicrotask(() => reopener.lost())
        },
      },
      clock,
      log: testContext().log,
      random: () => 1,
      giveUp: () => {},
    })
    reopener.open()
    await pass(clock, 5)
    expect(opens).toBe(2)
  })

  it('ends when the module stops', async () => {
    const { clock, opens, state, reopener } = bench()
    state.error = away
    reopener.open()
    await pass(clock, 2)
    reopener.stop()
    const before = opens.length
    await pass(clock, 60)
    expect(opens.length).toBe(before)
  })
})
