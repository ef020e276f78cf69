import { parseConfig } from '@weir/lib/config-parse'
import { openJournal } from '@weir/lib/journal/journal'
import { MemoryFileSystem } from '@weir/lib/journal/memory-file-system'
import { type TestContext, testContext } from '@weir/lib/test-context'
import { describe, expect, it } from 'vitest'
import type { Arrival } from './aggregation.ts'
import { type AggregatorConfig, aggregatorConfig } from './config.ts'
import { type DurableAggregation, type DurableParts, openAggregation } from './durable.ts'

const noonMs = Date.UTC(2026, 10, 21, 12)
const journalBytesMax = 8 * 1024

function configOf(raw: object): AggregatorConfig {
  const parsed = parseConfig(aggregatorConfig, raw)
  if ('problems' in parsed) throw new Error(parsed.problems.join('; '))
  return { ...parsed.config, journalBytesMax }
}

const config = configOf({ windows: { main: { lengthMs: 15_000, lateArrivalMs: 2_000 } } })
const sizes = { segmentBytesMax: 1_024 }
const never = { snapshotEveryBytes: Number.POSITIVE_INFINITY }

interface Opened {
  readonly context: TestContext
  readonly durable: DurableAggregation
}

function open(fileSystem: MemoryFileSystem, parts: Partial<DurableParts> = never, settings = config): Opened {
  const context = testContext({ startMs: noonMs, stateFolder: '/state' })
  return { context, durable: openAggregation(context, settings, { fileSystem, ...sizes, ...parts }) }
}

/** The process ends without a word, and the next one begins. */
function reopen(fileSystem: MemoryFileSystem, parts: Partial<DurableParts> = never, settings = config): Opened {
  fileSystem.fault = undefined
  fileSystem.kill()
  return open(fileSystem, parts, settings)
}

function arrival(number: number, deviceId = 'press-4'): Arrival {
  return {
    telemetry: {
      deviceId,
      deviceType: undefined,
      location: undefined,
      clockTrusted: true,
      part: undefined,
      units: undefined,
      rows: [{ timestampMs: noonMs + number, signals: ['level'], values: [number / 10], bad: [] }],
    },
    rowsKeptOut: 0,
    session: 'run-1',
    messageId: `m${number}`,
    bytes: { body: 200, envelope: 100, properties: 80 },
  }
}

function take(durable: DurableAggregation, from: number, count: number): void {
  for (let number = from; number < from + count; number++) durable.telemetry(arrival(number))
}

const filesOf = (fileSystem: MemoryFileSystem, ending: string) =>
  fileSystem.paths().filter((path) => path.endsWith(ending))

/** All that it holds, but for the time. */
function stateOf({ aggregation }: DurableAggregation): object {
  const { processingMs, ...rest } = aggregation.save()
  return rest
}

function damage(fileSystem: MemoryFileSystem, path: string, position: number): void {
  const bytes = Buffer.from(fileSystem.content(path))
  bytes[position] = (bytes[position] ?? 0) ^ 0xff
  fileSystem.place(path, bytes)
}

describe('a restart', () => {
  it('holds what was there before, from the journal alone', () => {
    const fileSystem = new MemoryFileSystem()
    const { durable } = open(fileSystem)
    take(durable, 1, 20)
    expect(filesOf(fileSystem, '.snapshot')).toEqual([])
    expect(stateOf(reopen(fileSystem).durable)).toEqual(stateOf(durable))
  })

  it('holds what was there before, from snapshots and the journal after them', () => {
    const fileSystem = new MemoryFileSystem()
    const parts = { snapshotEveryBytes: 500 }
    let { durable } = open(fileSystem, parts)
    for (let number = 1; number < 200; number++) {
      take(durable, number, 1)
      if (number % 7 > 0) continue
      const before = stateOf(durable)
      durable = reopen(fileSystem, parts).durable
      expect(stateOf(durable)).toEqual(before)
    }
    expect(durable.journalBytes).toBeLessThan(4 * 1_024)
  })

  it('reads no journal after an orderly end', () => {
    const fileSystem = new MemoryFileSystem()
    const { durable } = open(fileSystem)
    take(durable, 1, 20)
    durable.close()
    for (const path of filesOf(fileSystem, '.journal')) damage(fileSystem, path, 70)
    expect(stateOf(reopen(fileSystem).durable)).toEqual(stateOf(durable))
  })

  it('under another configuration finishes open windows under the old one, and so does the restart after it', () => {
    const fileSystem = new MemoryFileSystem()
    take(open(fileSystem).durable, 1, 3)
    const other = configOf({ windows: { main: { lengthMs: 15_000 } }, rules: {} })
    const { durable } = reopen(fileSystem, never, other)
    take(durable, 15_500, 1)
    const again = reopen(fileSystem, never, other)
    expect(stateOf(again.durable)).toEqual(stateOf(durable))
    const plans = again.durable.aggregation.save().windows.plans
    expect(plans.map(({ rules }) => Object.keys(rules))).toEqual([['default'], []])
  })

  it('goes on in processing time where it was: the time in which it was stopped does not count', () => {
    const fileSystem = new MemoryFileSystem()
    const { context, durable } = open(fileSystem)
    context.clock.advance(7_300)
    take(durable, 1, 1)
    const { processingMs } = durable.now()
    const later = reopen(fileSystem)
    expect(later.durable.now().processingMs).toBe(processingMs)
    later.context.clock.advance(10)
    expect(later.durable.now().processingMs).toBe(processingMs + 10)
  })

  it('is refused while another process has the state, and while it was written by a newer version', () => {
    const fileSystem = new MemoryFileSystem()
    open(fileSystem)
    expect(() => open(fileSystem)).toThrow(expect.objectContaining({ code: 'STATE_LOCKED' }))
    fileSystem.kill()
    append(fileSystem, 9, Buffer.alloc(2))
    expect(() => open(fileSystem)).toThrow(expect.objectContaining({ code: 'STATE_NEWER' }))
    expect(() => open(fileSystem)).toThrow(expect.objectContaining({ code: 'STATE_NEWER' }))
  })
})

/** Appends a record to the journal behind the back of the aggregation. */
function append(fileSystem: MemoryFileSystem, kind: number, payload: Buffer): void {
  const { clock } = testContext({ stateFolder: '/state' })
  const bytesMax = journalBytesMax
  const journal = openJournal({
    folder: '/state/journal',
    fileSystem,
    clock,
    bytesMax,
    fsyncIntervalMs: 1_000,
    ...sizes,
  })
  journal.append(kind, payload)
  journal.close()
}

describe('the journal', () => {
  it('that is full is emptied by a snapshot, and the message is taken', () => {
    const fileSystem = new MemoryFileSystem()
    const { durable } = open(fileSystem)
    take(durable, 1, 1_000)
    expect(filesOf(fileSystem, '.snapshot')).not.toEqual([])
    expect(durable.journalBytes).toBeLessThanOrEqual(journalBytesMax)
    expect(stateOf(reopen(fileSystem).durable)).toEqual(stateOf(durable))
  })

  it('that is full where no snapshot can be written refuses the message with nothing changed, and takes it once one can', () => {
    const fileSystem = new MemoryFileSystem()
    const { durable } = open(fileSystem)
    fileSystem.fault = ({ path }) => (path.endsWith('.snapshot') ? { code: 'ENOSPC' } : undefined)
    let number = 0
    expect(() => {
      for (;;) durable.telemetry(arrival(++number))
    }).toThrow(expect.objectContaining({ code: 'STATE_UNWRITABLE' }))
    expect(durable.aggregation.core.rows.taken).toBe(number - 1)
    const { durable: later } = reopen(fileSystem)
    expect(later.aggregation.core.rows.taken).toBe(number - 1)
    take(later, number, 10)
    expect(stateOf(reopen(fileSystem).durable)).toEqual(stateOf(later))
  })

  it('grows on where a snapshot fails, which is counted and tried again', () => {
    const fileSystem = new MemoryFileSystem()
    const parts = { snapshotEveryBytes: 500 }
    const { durable, context } = open(fileSystem, parts)
    fileSystem.fault = ({ path }) => (path.endsWith('.snapshot') ? { code: 'ENOSPC' } : undefined)
    take(durable, 1, 40)
    expect(context.rejected.get('snapshotFailed')?.length).toBeGreaterThan(1)
    expect(filesOf(fileSystem, '.snapshot')).toEqual([])
    fileSystem.fault = undefined
    take(durable, 41, 20)
    expect(filesOf(fileSystem, '.snapshot')).not.toEqual([])
    expect(stateOf(reopen(fileSystem, parts).durable)).toEqual(stateOf(durable))
  })

  it('that refuses one message can be read from there on', () => {
    const fileSystem = new MemoryFileSystem()
    const { durable } = open(fileSystem)
    let writes = 0
    fileSystem.fault = ({ name }) => (name === 'write' && ++writes === 1 ? { code: 'EIO' } : undefined)
    expect(() => durable.telemetry(arrival(1, 'pump-2'))).toThrow(expect.objectContaining({ code: 'STATE_UNWRITABLE' }))
    durable.telemetry(arrival(2, 'pump-2'))
    const later = reopen(fileSystem)
    expect([...later.context.rejected.keys()]).toEqual([])
    expect(stateOf(later.durable)).toEqual(stateOf(durable))
  })

  it('that cannot be synced ends the process, with or without a message at hand', () => {
    const fileSystem = new MemoryFileSystem()
    const { durable, context } = open(fileSystem)
    take(durable, 1, 1)
    fileSystem.fault = ({ name }) => (name === 'sync' ? { code: 'EIO' } : undefined)
    context.clock.advance(context.fsyncIntervalMs)
    expect(context.failures).toMatchObject([{ code: 'STATE_UNWRITABLE' }])
    expect(() => take(durable, 2, 1)).toThrow(expect.objectContaining({ code: 'STATE_UNWRITABLE' }))
  })

  it('says what a power cut would cost now', () => {
    const { durable, context } = open(new MemoryFileSystem())
    take(durable, 1, 1)
    context.clock.advance(context.fsyncIntervalMs - 1)
    expect(durable.unsyncedMs).toBe(context.fsyncIntervalMs - 1)
    context.clock.advance(1)
    expect(durable.unsyncedMs).toBe(0)
  })

  it('is not written to by a tick that has nothing to do', () => {
    const { durable, context } = open(new MemoryFileSystem())
    durable.tick()
    const bytes = durable.journalBytes
    context.clock.advance(5_000)
    expect(durable.tick()).toEqual({ messages: [], refusals: [], duplicate: false })
    expect(durable.journalBytes).toBe(bytes)
  })

  it('takes another size without a restart', () => {
    const fileSystem = new MemoryFileSystem()
    const { durable } = open(fileSystem)
    take(durable, 1, 5)
    durable.configure({ ...config, journalBytesMax: 2 * journalBytesMax })
    take(durable, 6, 300)
    expect(durable.journalBytes).toBeGreaterThan(journalBytesMax)
    expect(stateOf(reopen(fileSystem).durable)).toEqual(stateOf(durable))
  })
})

describe('damage', () => {
  it('of the last snapshot costs nothing: the one before and the journal after it are there', () => {
    const fileSystem = new MemoryFileSystem()
    const parts = { snapshotEveryBytes: 500 }
    const { durable } = open(fileSystem, parts)
    take(durable, 1, 100)
    const snapshots = filesOf(fileSystem, '.snapshot')
    expect(snapshots).toHaveLength(2)
    damage(fileSystem, snapshots[1] ?? '', 50)
    const later = reopen(fileSystem, parts)
    expect([...later.context.rejected.keys()]).toEqual([])
    expect(stateOf(later.durable)).toEqual(stateOf(durable))
  })

  it('of both snapshots is reported, and what the journal has is taken', () => {
    const fileSystem = new MemoryFileSystem()
    const parts = { snapshotEveryBytes: 500 }
    const { durable } = open(fileSystem, parts)
    take(durable, 1, 100)
    for (const path of filesOf(fileSystem, '.snapshot')) damage(fileSystem, path, 50)
    const later = reopen(fileSystem, parts)
    expect(later.context.rejected.get('stateDamaged')).toHaveLength(1)
    expect(later.durable.aggregation.core.rows.taken).toBeGreaterThan(0)
    take(later.durable, 101, 10)
  })

  it('of a record of the journal is reported, and all others are taken', () => {
    const fileSystem = new MemoryFileSystem()
    const { durable } = open(fileSystem)
    take(durable, 1, 50)
    damage(fileSystem, filesOf(fileSystem, '.journal')[1] ?? '', 100)
    const later = reopen(fileSystem)
    expect(later.context.rejectedCounts.get('journalDamaged')).toBe(1)
    expect(later.durable.aggregation.core.rows.taken).toBe(49)
  })

  it('that only shows when a record is taken does not keep the module from starting', () => {
    const fileSystem = new MemoryFileSystem()
    take(open(fileSystem).durable, 1, 3)
    fileSystem.kill()
    append(fileSystem, 6, Buffer.from([0, 0, 0, 0, 4, 0x7b, 0x7b]))
    const later = reopen(fileSystem)
    expect(later.context.rejected.get('journalDamaged')).toHaveLength(1)
    expect(later.durable.aggregation.core.rows.taken).toBe(3)
  })

  it('by somebody who took the journal away costs what came after the snapshot, and nothing that comes later', () => {
    const fileSystem = new MemoryFileSystem()
    const { durable } = open(fileSystem)
    take(durable, 1, 5)
    durable.close()
    for (const path of filesOf(fileSystem, '.journal')) fileSystem.remove(path)
    const { durable: next } = reopen(fileSystem)
    expect(next.aggregation.core.rows.taken).toBe(5)
    take(next, 6, 2)
    expect(stateOf(reopen(fileSystem).durable)).toEqual(stateOf(next))
  })
})
