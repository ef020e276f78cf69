import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Fault } from './fault.ts'
import { parseFault } from './fault.ts'
import { FaultControl, type FaultParts, moduleFaultsFile } from './fault-control.ts'

let folder = ''
let calls: string[] = []
let running = new Set<string>()
let control: FaultControl

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weir-faults-'))
  calls = []
  running = new Set(['edgeHub', 'aggregator', 'reader'])
  control = new FaultControl(parts())
})
afterEach(() => rmSync(folder, { recursive: true }))

function parts(over: Partial<FaultParts> = {}): FaultParts {
  return {
    seed: 5,
    stateFolder: folder,
    edgeHubName: 'edgeHub',
    onOrdered: (text) => calls.push(`ordered ${text}`),
    supervisor: {
      names: ['edgeHub', 'aggregator', 'reader'],
      signal(name, signal) {
        calls.push(`${signal} ${name}`)
        return running.has(name)
      },
      restart(name) {
        calls.push(`restart ${name}`)
        return running.has(name)
      },
    },
    cloud: {
      moduleIds: ['$edgeHub', 'aggregator', 'reader', 'foreign'],
      setLinkFault: (fault) => calls.push(`link ${JSON.stringify(fault)}`),
    },
    edgeHub: {
      setDeliveryFaults: (settings) => calls.push(`deliveries ${JSON.stringify(settings)}`),
      async counters() {
        calls.push('counters')
      },
    },
    plant: {
      deviceIds: ['oven-1'],
      set: (deviceId, fault) => calls.push(`device ${deviceId} ${JSON.stringify(fault)}`),
    },
    ...over,
  }
}

async function order(...faults: object[]): Promise<void> {
  for (const fault of faults) await control.order(parseFault(fault, 'test'))
}

function faultsOf(name: string): unknown {
  return JSON.parse(readFileSync(moduleFaultsFile(folder, name), 'utf8'))
}

describe('faults that last', () => {
  const lasting: readonly (readonly [object, string, object, string])[] = [
    [
      { place: 'upstream', action: 'cut' },
      'link {"isCut":true,"delayMs":0}',
      { place: 'upstream', action: 'restore' },
      'link {"isCut":false,"delayMs":0}',
    ],
    [
      { place: 'messages', name: 'foreign', action: 'duplicate', share: 0.5 },
      'deliveries {"seed":5,"modules":{"foreign":{"duplicateShare":0.5}}}',
      { place: 'messages', name: 'foreign', action: 'restore' },
      'deliveries {"seed":5,"modules":{}}',
    ],
    [
      { place: 'device', name: 'oven-1', action: 'off' },
      'device oven-1 {"place":"device","name":"oven-1","action":"off"}',
      { place: 'device', name: 'oven-1', action: 'restore' },
      'device oven-1 undefined',
    ],
    [
      { place: 'module', name: 'aggregator', action: 'freeze' },
      'SIGSTOP aggregator',
      { place: 'module', name: 'aggregator', action: 'thaw' },
      'SIGCONT aggregator',
    ],
  ]

  test.each(lasting)('%j is active until it is restored', async (fault, begun, restoration, ended) => {
    await order(fault)
    expect(control.active()).toEqual([fault])
    expect(calls[0]).toBe(begun)
    await order(restoration)
    expect(control.active()).toEqual([])
    expect(calls).toContain(ended)
  })

  test('replace what they rule out, and stand beside what they do not', async () => {
    await order({ place: 'upstream', action: 'cut' }, { place: 'upstream', action: 'slow', delayMs: 5 })
    await order({ place: 'messages', name: 'reader', action: 'delay', delayMs: 5 })
    await order({ place: 'messages', name: 'reader', action: 'dropBeforeAck' })
    expect(control.activeTexts()).toEqual([
      'upstream slow 5 ms',
      'messages reader delay 5 ms',
      'messages reader dropBeforeAck',
    ])
    expect(control.deliveryFaults()).toEqual({ seed: 5, modules: { reader: { delayMs: 5, dropBeforeAckShare: 1 } } })
  })

  test('all end when they are cleared, and only those of a place when that is restored', async () => {
    const begun = lasting.map(([fault]) => fault)
    await order(
      ...begun,
      { place: 'disk', name: 'reader', action: 'full' },
      { place: 'clock', name: 'all', action: 'step', ms: 9 },
    )
    await order({ place: 'disk', name: 'reader', action: 'restore' })
    expect(faultsOf('reader')).toEqual({ disk: null, clockOffsetMs: 9 })
    expect(control.active()).toHaveLength(begun.length + 3)
    await control.clear()
    expect(control.active()).toEqual([])
    for (const [, , , ended] of lasting) expect(calls).toContain(ended)
    expect(faultsOf('edgeHub')).toEqual({ disk: null, clockOffsetMs: 0 })
  })

  test('of disk and clock reach a module through its file', async () => {
    await order({ place: 'disk', name: 'reader', action: 'failing', every: 4 })
    await order({ place: 'clock', name: 'reader', action: 'step', ms: -500 })
    expect(faultsOf('reader')).toEqual({ disk: 4, clockOffsetMs: -500 })
    await order({ place: 'disk', name: 'reader', action: 'full' })
    expect(faultsOf('reader')).toEqual({ disk: 'full', clockOffsetMs: -500 })
  })

  test('steps of a clock add up', async () => {
    await order({ place: 'clock', name: 'all', action: 'step', ms: 100 })
    expect(control.activeTexts()).toEqual(['clock all step +100 ms'])
    await order({ place: 'clock', name: 'reader', action: 'step', ms: 11 })
    expect(faultsOf('reader')).toEqual({ disk: null, clockOffsetMs: 111 })
    expect(faultsOf('edgeHub')).toEqual({ disk: null, clockOffsetMs: 100 })
    await order({ place: 'clock', name: 'reader', action: 'step', ms: -111 })
    expect(control.activeTexts()).toEqual(['clock edgeHub step +100 ms', 'clock aggregator step +100 ms'])
  })

  test('of an earlier run are forgotten', () => {
    const file = moduleFaultsFile(folder, 'reader')
    mkdirSync(join(folder, 'faults'), { recursive: true })
    writeFileSync(file, '{"disk":"full","clockOffsetMs":0}')
    new FaultControl(parts())
    expect(() => faultsOf('reader')).toThrow('ENOENT')
  })
})

describe('faults that are over at once', () => {
  test('are never active; the counters of the edge hub are taken before it goes', async () => {
    await order({ place: 'hub', action: 'restart' }, { place: 'module', name: 'reader', action: 'kill' })
    expect(control.active()).toEqual([])
    expect(calls).toEqual([
      'counters',
      'restart edgeHub',
      'ordered hub restart',
      'SIGKILL reader',
      'ordered module reader kill',
    ])
  })

  test('are no fault of the run, once each', async () => {
    await order({ place: 'module', name: 'reader', action: 'kill' })
    expect(control.isOrderedEnd('aggregator')).toBe(false)
    expect(control.isOrderedEnd('reader')).toBe(true)
    expect(control.isOrderedEnd('reader')).toBe(false)
  })

  test('end a frozen module, which is then frozen no more', async () => {
    await order(
      { place: 'module', name: 'reader', action: 'freeze' },
      { place: 'module', name: 'reader', action: 'kill' },
    )
    expect(control.active()).toEqual([])
  })

  test('a module that ends because of its disk is no fault of the run either', async () => {
    await order({ place: 'disk', name: 'reader', action: 'full' })
    expect([control.isOrderedEnd('reader'), control.isOrderedEnd('reader')]).toEqual([true, true])
  })
})

describe('an order that cannot be carried out', () => {
  const refused: readonly (readonly [Fault, number, string])[] = [
    [
      { place: 'module', name: 'raeder', action: 'kill' },
      404,
      'module raeder: no such module in this run (did you mean reader?)',
    ],
    [{ place: 'module', name: 'edgeHub', action: 'kill' }, 404, 'module edgeHub: no such module'],
    [{ place: 'disk', name: 'edgeHub', action: 'full' }, 404, 'module edgeHub: no such module'],
    [{ place: 'messages', name: 'x', action: 'restore' }, 404, 'module x: no such module'],
    [{ place: 'clock', name: 'x', action: 'restore' }, 404, 'there are all, edgeHub, aggregator, reader'],
    [{ place: 'device', name: 'oven', action: 'off' }, 404, 'device oven: no such device in this run'],
  ]

  test.each(refused)('%j is refused', async (fault, status, problem) => {
    await expect(control.order(fault)).rejects.toMatchObject({ status, message: expect.stringContaining(problem) })
    expect(control.active()).toEqual([])
    expect(calls).toEqual([])
  })

  test('there are no devices without a plant', async () => {
    control = new FaultControl(parts({ plant: undefined }))
    const order = control.order({ place: 'device', name: 'oven-1', action: 'off' })
    await expect(order).rejects.toThrow('this run has no simulated plant')
  })

  test.each(['kill', 'freeze', 'restart'] as const)('a module that does not run cannot take a %s', async (action) => {
    running.delete('reader')
    await expect(control.order({ place: 'module', name: 'reader', action })).rejects.toMatchObject({ status: 409 })
    expect(control.isOrderedEnd('reader')).toBe(false)
    expect(control.active()).toEqual([])
  })
})
