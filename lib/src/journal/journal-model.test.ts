import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ManualClock } from '../clock.ts'
import { WeirError } from '../errors.ts'
import { type Journal, type JournalEvent, openJournal } from './journal.ts'
import { MemoryFileSystem } from './memory-file-system.ts'

const fsyncIntervalMs = 5_000
const bytesMax = 3_000

interface Stored {
  readonly kind: number
  readonly payload: string
}

/** What the journal must hold, as plain data. */
interface Model {
  /** Every record ever acknowledged, by sequence; what a power cut took is removed. */
  readonly stored: Map<number, Stored>
  /** Sequences of records that a power cut took. */
  readonly lost: Set<number>
  releasedSequence: number
  /** Records up to here are on the disk. */
  syncedSequence: number
  lastSequence: number
}

class Real {
  readonly fileSystem = new MemoryFileSystem()
  readonly clock = new ManualClock()
  events: JournalEvent[] = []
  /** Places that power cuts damaged; they are reported until their segment is deleted. */
  readonly damages = new Set<string>()
  journal: Journal

  constructor() {
    this.journal = this.open()
  }

  open(): Journal {
    this.events = []
    return openJournal({
      folder: '/state/journal',
      fileSystem: this.fileSystem,
      clock: this.clock,
      bytesMax,
      segmentBytesMax: 300,
      fsyncIntervalMs,
      onEvent: (event) => this.events.push(event),
    })
  }

  /** Every record that is not released, by sequence. */
  contents(): [number, Stored][] {
    const contents: [number, Stored][] = []
    this.journal.replay(({ sequence, kind, payload }) => {
      contents.push([sequence, { kind, payload: payload.toString('latin1') }])
    })
    return contents
  }
}

type Command = fc.Command<Model, Real>

function unreleased(model: Model, afterSequence: number): [number, Stored][] {
  return [...model.stored].filter(([sequence]) => sequence > afterSequence)
}

function expectAgreement(model: Model, real: Real): void {
  expect(real.journal.releasedSequence).toBe(model.releasedSequence)
  expect(real.contents()).toEqual(unreleased(model, model.releasedSequence))
  const stats = real.journal.stats()
  expect(stats.records).toBe(unreleased(model, model.releasedSequence).length)
  expect(stats.bytes).toBe(real.fileSystem.bytes)
  expect(stats.bytes).toBeLessThanOrEqual(bytesMax)
}

class Append implements Command {
  readonly records: readonly Stored[]
  readonly sync: boolean

  constructor(records: readonly Stored[], sync: boolean) {
    this.records = records
    this.sync = sync
  }

  check(): boolean {
    return true
  }

  run(model: Model, real: Real): void {
    const records = this.records.map(({ kind, payload }) => ({ kind, payload: Buffer.from(payload, 'latin1') }))
    let first: number
    try {
      first = real.journal.appendMany(records, { sync: this.sync })
    } catch (error) {
      if (!(error instanceof WeirError) || error.code !== 'QUEUE_FULL') throw error
      expect(unreleased(model, model.releasedSequence).length).toBeGreaterThan(0)
      expectAgreement(model, real)
      return
    }
    expect(first).toBeGreaterThan(model.lastSequence)
    for (const [index, record] of this.records.entries()) model.stored.set(first + index, record)
    model.lastSequence = first + this.records.length - 1
    if (this.sync && records.length > 0) model.syncedSequence = model.lastSequence
    expectAgreement(model, real)
  }

  toString(): string {
    return `append(${this.records.map((one) => one.payload.length).join('+')} bytes${this.sync ? ', sync' : ''})`
  }
}

class Release implements Command {
  readonly share: number

  constructor(share: number) {
    this.share = share
  }

  check(model: Model): boolean {
    return model.stored.size > 0
  }

  run(model: Model, real: Real): void {
    const sequences = unreleased(model, model.releasedSequence).map(([sequence]) => sequence)
    const through = sequences[Math.floor(this.share * sequences.length)] ?? model.releasedSequence
    real.journal.release(through)
    model.releasedSequence = through
    expectAgreement(model, real)
  }

  toString(): string {
    return `release(${this.share})`
  }
}

/** Releases one record after the other, as a drain does. */
class Drain implements Command {
  check(): boolean {
    return true
  }

  run(model: Model, real: Real): void {
    for (const [sequence] of unreleased(model, model.releasedSequence)) {
      real.journal.release(sequence)
      model.releasedSequence = sequence
    }
    expectAgreement(model, real)
  }

  toString(): string {
    return 'drain'
  }
}

class Sync implements Command {
  readonly byTimer: boolean

  constructor(byTimer: boolean) {
    this.byTimer = byTimer
  }

  check(): boolean {
    return true
  }

  run(model: Model, real: Real): void {
    if (this.byTimer) real.clock.advance(fsyncIntervalMs)
    else real.journal.sync()
    expect(real.journal.stats().unsyncedMs).toBe(0)
    model.syncedSequence = model.lastSequence
    expectAgreement(model, real)
  }

  toString(): string {
    return this.byTimer ? 'wait' : 'sync()'
  }
}

class Restart implements Command {
  readonly how: 'close' | 'kill'

  constructor(how: 'close' | 'kill') {
    this.how = how
  }

  check(): boolean {
    return true
  }

  run(model: Model, real: Real): void {
    const last = real.journal.lastSequence
    if (this.how === 'close') real.journal.close()
    else real.fileSystem.kill()
    real.journal = real.open()
    for (const event of real.events) expect([...real.damages]).toContain(eventPlace(event))
    takeUpReleased(model, real)
    expectNoLossInvented(model, real)
    model.syncedSequence = model.lastSequence
    expectAgreement(model, real)
    expect(real.journal.lastSequence).toBe(last)
  }

  toString(): string {
    return this.how
  }
}

class PowerCut implements Command {
  readonly seed: number

  constructor(seed: number) {
    this.seed = seed
  }

  check(): boolean {
    return true
  }

  run(model: Model, real: Real): void {
    real.fileSystem.powerCut(this.seed)
    real.journal = real.open()
    for (const event of real.events) real.damages.add(eventPlace(event))
    takeUpReleased(model, real)
    const contents = new Map(real.contents())
    for (const [sequence, record] of unreleased(model, model.releasedSequence)) {
      if (contents.has(sequence)) expect(contents.get(sequence)).toEqual(record)
      else if (sequence <= model.syncedSequence) expect.fail(`record ${sequence} was synced and is gone`)
      else {
        model.stored.delete(sequence)
        model.lost.add(sequence)
      }
    }
    expectNoLossInvented(model, real)
    // Sequences of records that are gone are never given again.
    expect(real.journal.lastSequence).toBeGreaterThan(model.lastSequence)
    model.lastSequence = real.journal.lastSequence
    model.syncedSequence = model.lastSequence
    expectAgreement(model, real)
  }

  toString(): string {
    return `powerCut(${this.seed})`
  }
}

function eventPlace(event: JournalEvent): string {
  if (event.type === 'damaged') return `${event.segment} ${event.damage.position} ${event.damage.bytes}`
  if (event.type === 'missing') return `after ${event.throughSequence}`
  if (event.type === 'tornTail') return `${event.segment} torn after ${event.afterSequence}`
  return event.type === 'damagedHeader' ? event.segment : event.type
}

/** A loss that leaves no trace may go unnoticed, but none is reported that is none. */
function expectNoLossInvented(model: Model, real: Real): void {
  const lost = [...model.lost].filter((sequence) => sequence > model.releasedSequence)
  expect(real.journal.stats().corruptRecords).toBeLessThanOrEqual(lost.length)
}

/** A released position may lag after a restart; it is never ahead. */
function takeUpReleased(model: Model, real: Real): void {
  expect(real.journal.releasedSequence).toBeLessThanOrEqual(model.releasedSequence)
  model.releasedSequence = real.journal.releasedSequence
}

const record = fc.record({
  kind: fc.integer({ min: 1, max: 254 }),
  payload: fc.string({ unit: fc.constantFrom('a', '\0', '\xff'), maxLength: 60 }),
})
const commands = fc.commands(
  [
    fc.tuple(fc.array(record, { maxLength: 3 }), fc.boolean()).map(([records, sync]) => new Append(records, sync)),
    fc.tuple(fc.array(record, { minLength: 1, maxLength: 3 })).map(([records]) => new Append(records, false)),
    fc.double({ min: 0, max: 0.999, noNaN: true }).map((share) => new Release(share)),
    fc.constant(new Drain()),
    fc.boolean().map((byTimer) => new Sync(byTimer)),
    fc.constantFrom('close' as const, 'kill' as const).map((how) => new Restart(how)),
    fc.integer().map((seed) => new PowerCut(seed)),
  ],
  { maxCommands: 60, size: 'max' },
)

test('whatever the order of appends, releases, syncs, kills and power cuts: nothing synced is lost, nothing killed is lost, order and sequences hold', () => {
  fc.assert(
    fc.property(commands, (sequence) => {
      fc.modelRun(() => {
        const model: Model = {
          stored: new Map(),
          lost: new Set(),
          releasedSequence: 0,
          syncedSequence: 0,
          lastSequence: 0,
        }
        return { model, real: new Real() }
      }, sequence)
    }),
    { numRuns: 150 },
  )
})
