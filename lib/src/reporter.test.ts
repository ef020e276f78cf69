import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { WeirError } from './errors.ts'
import { type JsonObject, mergePatch } from './json.ts'
import { MemoryHub } from './memory-hub.ts'
import { joinPatches, Reporter } from './reporter.ts'

async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve()
}

const leaf = fc.oneof(fc.constant(null), fc.integer(), fc.constant('x'))
const { patch } = fc.letrec<{ patch: JsonObject }>((tie) => ({
  patch: fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.oneof({ maxDepth: 2 }, leaf, tie('patch')), {
    noNullPrototype: true,
  }),
}))

describe('reports', () => {
  it('are not joined where an object comes after what it replaces', () => {
    expect(joinPatches({ a: 1 }, { a: { b: 1 } })).toBeUndefined()
    expect(joinPatches({ a: { b: null } }, { a: { b: { c: 1 } } })).toBeUndefined()
  })

  it('joined have the effect of one after the other', () => {
    fc.assert(
      fc.property(patch, patch, patch, (target, first, second) => {
        const start = mergePatch({}, target)
        const joined = joinPatches(first, second)
        if (joined !== undefined)
          expect(mergePatch(start, joined)).toEqual(mergePatch(mergePatch(start, first), second))
      }),
    )
  })

  it('wait for the connection and are sent as one', async () => {
    const hub = new MemoryHub()
    const reporter = new Reporter(hub, () => {})
    reporter.report({ a: 1, b: 1 })
    reporter.report({ b: null, c: 3 })
    expect(hub.reports).toEqual([])
    await hub.open()
    reporter.setConnected(true)
    await settle()
    expect(hub.reports).toEqual([{ a: 1, b: null, c: 3 }])
    expect(hub.reported).toEqual({ a: 1, c: 3 })
  })

  it('that the hub cannot take now are sent with the next connection', async () => {
    const hub = new MemoryHub()
    const reporter = new Reporter(hub, () => {})
    reporter.setConnected(true)
    reporter.report({ a: 1 })
    await settle()
    reporter.setConnected(false)
    await hub.open()
    reporter.setConnected(true)
    await settle()
    expect(hub.reported).toEqual({ a: 1 })
  })

  it('that the hub would refuse are counted, and the next go on', async () => {
    const hub = new MemoryHub()
    const rejected: string[] = []
    const reporter = new Reporter(hub, (reason, detail) => rejected.push(`${reason}: ${detail}`))
    await hub.open()
    reporter.setConnected(true)
    reporter.report({ 'a.b': 1 })
    reporter.report({ c: 1 })
    await settle()
    expect(rejected).toEqual([expect.stringContaining('reportRefused: reported/a.b')])
    expect(hub.reported).toEqual({ c: 1 })
  })

  it('are not lost where one fails while another waits', async () => {
    const reports: JsonObject[] = []
    let failures = 1
    const reporter = new Reporter(
      {
        async report(given) {
          if (failures-- > 0) throw new WeirError('HUB_AWAY', 'away')
          reports.push(given)
        },
      },
      () => {},
    )
    reporter.setConnected(true)
    reporter.report({ a: 1 })
    reporter.report({ a: 2, b: 1 })
    await settle()
    reporter.setConnected(true)
    await settle()
    expect(reports).toEqual([{ a: 1 }, { a: 2, b: 1 }])
  })
})
