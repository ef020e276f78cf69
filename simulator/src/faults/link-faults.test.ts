import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ManualClock, systemClock } from '@weir/lib/clock'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Cloud } from '../cloud/cloud.ts'
import { TestEdgeHub, upstreamMessage } from '../cloud/test-edge-hub.ts'
import { DelayLine, noLinkFault } from './link-faults.ts'

describe('a line', () => {
  test('passes on at once what it is not to delay', () => {
    const line = new DelayLine(new ManualClock())
    const arrived: string[] = []
    line.pass(0, () => arrived.push('a'))
    expect(arrived).toEqual(['a'])
  })

  test('delays each frame by its time, and keeps their order when the delay ends', () => {
    const clock = new ManualClock()
    const line = new DelayLine(clock)
    const arrived: string[] = []
    line.pass(100, () => arrived.push('a'))
    clock.advance(60)
    line.pass(0, () => arrived.push('b'))
    clock.advance(39)
    expect(arrived).toEqual([])
    clock.advance(1)
    expect(arrived).toEqual(['a', 'b'])
    line.pass(0, () => arrived.push('c'))
    expect(arrived).toEqual(['a', 'b', 'c'])
  })

  test('delivers everything, in order and never early, whatever the delays', () => {
    const step = fc.record({ delayMs: fc.integer({ min: 0, max: 50 }), pauseMs: fc.integer({ min: 0, max: 30 }) })
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const clock = new ManualClock()
        const line = new DelayLine(clock)
        const arrived: number[] = []
        steps.forEach(({ delayMs, pauseMs }, index) => {
          const dueMs = clock.monotonicMs() + delayMs
          line.pass(delayMs, () => {
            expect(clock.monotonicMs()).toBeGreaterThanOrEqual(dueMs)
            arrived.push(index)
          })
          clock.advance(pauseMs)
        })
        clock.advance(1000)
        expect(arrived).toEqual(steps.map((_, index) => index))
      }),
    )
  })
})

describe('the line to the hub stand-in', () => {
  let folder = ''
  let cloud: Cloud
  const hubs: TestEdgeHub[] = []

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'weir-link-'))
    cloud = await Cloud.open({
      iotHubHostname: 'hub.azure-devices.net',
      deviceId: 'gateway',
      socketPath: join(folder, 'cloud.sock'),
      secret: 's',
      stateFolder: folder,
      clock: systemClock,
      log: { debug() {}, info() {}, warning() {}, error() {}, critical() {} },
    })
    cloud.deploy([{ identity: { moduleId: 'reader', generationId: '1', primaryKey: 'a2V5' }, desired: {} }])
  })
  afterEach(async () => {
    for (const hub of hubs.splice(0)) hub.close()
    await cloud.close()
    rmSync(folder, { recursive: true })
  })

  async function dial(): Promise<TestEdgeHub> {
    const hub = await TestEdgeHub.dial(join(folder, 'cloud.sock'))
    hubs.push(hub)
    hub.send({ type: 'hello', deviceId: 'gateway', secret: 's' })
    return hub
  }

  test('when it is cut it ends every connection, those to come too, until it is restored', async () => {
    const hub = await dial()
    await hub.next('welcome')
    cloud.setLinkFault({ isCut: true, delayMs: 0 })
    await hub.untilClosed()
    await (await dial()).untilClosed()
    expect(cloud.edgeHubConnected).toBe(false)
    cloud.setLinkFault(noLinkFault)
    await (await dial()).next('welcome')
  })

  test('when it is slow, a request and its answer take the delay each', async () => {
    const hub = await dial()
    await hub.next('welcome')
    cloud.setLinkFault({ isCut: false, delayMs: 60 })
    const startMs = performance.now()
    hub.send({ type: 'messages', id: 1, messages: [upstreamMessage('alert', {})] })
    await hub.next('stored')
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(119)
    expect(cloud.report().sent.messages).toBe(1)
  })
})
