import { ManualClock } from '@weir/lib/clock'
import { describe, expect, it } from 'vitest'
import { Link, type LinkSettings, type LinkState } from './link.ts'
import type { ReadAnswer, ReadRequest, Transport } from './transport.ts'

const settings: LinkSettings = {
  timeoutMs: 100,
  pauseMs: 0,
  connectDelayMs: 0,
  timeoutsMax: 3,
  retryDelayMsMin: 1000,
  retryDelayMsMax: 8000,
}
const request: ReadRequest = { unitId: 1, table: 'holding', address: 0, count: 1 }
const data: ReadAnswer = { data: Buffer.from([0, 7]) }
const closed: ReadAnswer = { failure: 'closed', detail: 'the connection was closed' }
const timeout: ReadAnswer = { failure: 'timeout', detail: 'no answer within 100 ms' }

/** A device whose connections and answers the test decides. */
function bench(change: Partial<LinkSettings> = {}) {
  const clock = new ManualClock()
  const states: LinkState[] = []
  const log: string[] = []
  const answers: ReadAnswer[] = []
  let canOpen = true
  let hangUp: (() => void) | undefined
  const transport: Transport = {
    read: (asked, timeoutMs) => {
      log.push(`read ${asked.address} ${timeoutMs}`)
      return Promise.resolve(answers.shift() ?? data)
    },
    write: ({ address }, timeoutMs) => {
      log.push(`write ${address} ${timeoutMs}`)
      return Promise.resolve(answers.shift() ?? data)
    },
    close: () => log.push('close'),
  }
  const link = new Link({
    settings: { ...settings, ...change },
    clock,
    random: () => 0.999_999,
    open: (onClosed) => {
      log.push('open')
      hangUp = () => onClosed('closed by the device')
      return canOpen ? Promise.resolve({ ...transport }) : Promise.reject(new Error('refused'))
    },
    onState: (state) => states.push(state),
    onRequest: (answer) => log.push(`request ${answer.failure ?? 'data'} ${answer.durationMs}`),
  })
  return {
    clock,
    link,
    log,
    states,
    answers,
    opens: () => log.filter((line) => line === 'open').length,
    setCanOpen: (value: boolean) => {
      canOpen = value
    },
    hangUp: () => hangUp?.(),
  }
}

describe('a link', () => {
  it('opens with the first request and stays open', async () => {
    const { link, log, states } = bench()
    expect(await link.read(request)).toMatchObject(data)
    expect(await link.read({ ...request, address: 5 }, { timeoutMs: 20 })).toMatchObject(data)
    expect(log.filter((line) => !line.startsWith('request'))).toEqual(['open', 'read 0 100', 'read 5 20'])
    expect(states).toEqual(['up'])
  })

  it('runs one request at a time, in the order in which they were asked for', async () => {
    const { link, log } = bench()
    await Promise.all([1, 2, 3].map((address) => link.read({ ...request, address })))
    expect(log).toEqual([
      'open',
      'read 1 100',
      'request data 0',
      'read 2 100',
      'request data 0',
      'read 3 100',
      'request data 0',
    ])
  })

  it('rests between an answer and the next request', async () => {
    const { link, log, clock } = bench({ pauseMs: 30 })
    await link.read(request)
    const second = link.read({ ...request, address: 9 })
    await Promise.resolve()
    clock.advance(29)
    expect(log).not.toContain('read 9 100')
    clock.advance(1)
    await second
    expect(log).toContain('read 9 100')
  })

  it('rests between opening and the first request', async () => {
    const { link, log, clock } = bench({ connectDelayMs: 50 })
    const first = link.read(request)
    for (let turn = 0; turn < 5; turn++) await Promise.resolve()
    clock.advance(49)
    expect(log).toEqual(['open'])
    clock.advance(1)
    await first
    expect(log).toContain('read 0 100')
  })

  it('sends a request without an answer again, as often as it may', async () => {
    const { link, answers, log } = bench({ timeoutsMax: 10 })
    answers.push(timeout, timeout, data)
    expect(await link.read(request, { retries: 2 })).toMatchObject(data)
    answers.push(timeout, timeout)
    expect(await link.read(request, { retries: 1 })).toMatchObject(timeout)
    expect(log.filter((line) => line.startsWith('read'))).toHaveLength(5)
  })

  it('writes once, whatever comes of it, and waits its turn', async () => {
    const { link, answers, log } = bench()
    await link.read(request)
    for (const failed of [timeout, closed]) {
      answers.push(failed)
      expect(await link.write({ unitId: 1, address: 7, values: [1], isMultiple: false })).toMatchObject(failed)
    }
    expect(log.filter((line) => line.startsWith('write'))).toEqual(['write 7 100', 'write 7 100'])
  })

  it('sends a request that is refused once', async () => {
    const { link, answers, log } = bench()
    answers.push({ failure: 'exception', detail: 'refused', exceptionCode: 2 })
    await link.read(request, { retries: 3 })
    expect(log.filter((line) => line.startsWith('read'))).toHaveLength(1)
  })

  it('that cannot be opened says so once, fails what is asked meanwhile, and tries again after the back-off', async () => {
    const { link, states, opens, clock, setCanOpen } = bench()
    setCanOpen(false)
    expect(await link.read(request)).toMatchObject({ failure: 'closed', detail: 'refused' })
    expect(await link.read(request)).toMatchObject({ failure: 'closed', detail: 'refused' })
    expect(opens()).toBe(1)
    const openedAtMs: number[] = []
    for (let ms = 100; ms <= 30_000; ms += 100) {
      clock.advance(100)
      const before = opens()
      await link.read(request)
      if (opens() > before) openedAtMs.push(ms)
    }
    expect(openedAtMs).toEqual([1000, 3000, 7000, 15_000, 23_000])
    expect(states).toEqual(['down'])
    setCanOpen(true)
    clock.advance(8000)
    expect(await link.read(request)).toMatchObject(data)
    expect(states).toEqual(['down', 'up'])
  })

  it('whose connection closes between two requests opens anew without a word', async () => {
    const { link, states, opens, hangUp } = bench()
    await link.read(request)
    hangUp()
    expect(await link.read(request)).toMatchObject(data)
    expect(opens()).toBe(2)
    expect(states).toEqual(['up'])
  })

  it('whose connection closes under a request asks again on a new one', async () => {
    const { link, states, answers, opens } = bench()
    await link.read(request)
    answers.push(closed)
    expect(await link.read(request)).toMatchObject(data)
    expect(opens()).toBe(2)
    expect(states).toEqual(['up'])
  })

  it('to a device that hangs up on every request backs off', async () => {
    const { link, answers, opens, states, clock } = bench()
    answers.push(closed, closed)
    expect(await link.read(request)).toMatchObject({ failure: 'closed' })
    expect(await link.read(request)).toMatchObject({ failure: 'closed', detail: 'the connection was closed' })
    expect(opens()).toBe(1)
    expect(states).toEqual(['up', 'down'])
    clock.advance(1000)
    await link.read(request)
    expect(opens()).toBe(2)
  })

  it('on which nobody answers is opened anew after the time-outs in a row, and counts as up as long as it opens', async () => {
    const { link, answers, opens, states, log } = bench()
    await link.read(request)
    answers.push(timeout, timeout, timeout)
    for (let index = 0; index < 3; index++) expect(await link.read(request)).toMatchObject(timeout)
    expect(log).toContain('close')
    expect(await link.read(request)).toMatchObject(data)
    expect(opens()).toBe(2)
    expect(states).toEqual(['up'])
  })

  it('stays open while one unit is silent and another answers', async () => {
    const { link, answers, opens } = bench()
    for (let index = 0; index < 10; index++) {
      answers.push(timeout, data)
      await link.read(request)
      await link.read({ ...request, unitId: 2 })
    }
    expect(opens()).toBe(1)
  })

  it('is not opened anew for the silence of probes', async () => {
    const { link, answers, opens, log } = bench()
    await link.read(request)
    for (let index = 0; index < 10; index++) {
      answers.push(timeout)
      await link.read(request, { isProbe: true })
    }
    expect(opens()).toBe(1)
    expect(log.filter((line) => line.startsWith('request'))).toEqual(['request data 0'])
  })

  it('is opened anew after an answer that does not fit', async () => {
    const { link, answers, opens, log } = bench()
    await link.read(request)
    answers.push({ failure: 'malformed', detail: '3 bytes of data, expected 2' })
    expect(await link.read(request)).toMatchObject({ failure: 'malformed' })
    expect(log).toContain('close')
    await link.read(request)
    expect(opens()).toBe(2)
  })

  it('that was closed answers nothing any more and opens nothing', async () => {
    const { link, opens, states } = bench()
    await link.read(request)
    link.close()
    expect(await link.read(request)).toMatchObject({ failure: 'closed' })
    expect(opens()).toBe(1)
    expect(states).toEqual(['up'])
  })
})
