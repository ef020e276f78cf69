/**
 * The aggregator is struck at every operation on its disk: killed before it, killed half way through it, out of power, or
 * refused by the disk, once or from then on. Then it starts again, gets what it has not acknowledged, and must have sent
 * what it would have sent.
 */
import { parseConfig } from '@weir/lib/config-parse'
import type { InputMessage } from '@weir/lib/hub'
import { type AggregateRecord, type Row, recordIdentity } from '@weir/lib/messages'
import { decodeTelemetry, encodeTelemetry } from '@weir/lib/telemetry'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type AggregatorConfig, aggregatorConfig } from './config.ts'
import { type Blow, type Event, type Outcome, type Received, type Step, World } from './crash-world.ts'

const startMs = Date.UTC(2026, 10, 21, 12)
const windowMs = 5_000
const seconds = 17
/** Every window has closed by then, even where restarts let idle devices begin to wait again. */
const endMs = startMs + seconds * 1_000 + 60_000

function configOf(raw: object): AggregatorConfig {
  const parsed = parseConfig(aggregatorConfig, {
    windows: { main: { lengthMs: windowMs, lateArrivalMs: 1_000 }, long: { lengthMs: 15_000, lateArrivalMs: 1_000 } },
    deviceIdleMs: 3_000,
    batch: { maxDelayMs: 500, recordsMax: 3 },
    ...raw,
  })
  if ('problems' in parsed) throw new Error(parsed.problems.join('; '))
  return { ...parsed.config, journalBytesMax: 64 * 1024 }
}

const rules = { all: { select: '*', functions: ['avg', 'std', 'last', 'count'] } }
const config = configOf({ rules })
const laterConfig = configOf({ rules: { all: { select: 'signal:*level*', functions: ['max'], decimals: 1 } } })

function message(deviceId: string, second: number, rows: readonly Row[], extra: object = {}): InputMessage {
  const [encoded] = encodeTelemetry({ deviceId, deviceType: 'press', units: { level: 'mm' } }, rows)
  const body = { ...JSON.parse(String(encoded?.body)), ...extra }
  return {
    input: 'telemetry',
    body: Buffer.from(JSON.stringify(body)),
    messageId: `${deviceId}-${second}`,
    contentType: 'application/json',
    contentEncoding: 'utf-8',
    properties: { messageType: 'telemetry', deviceId, session: 'run-1' },
    sourceModuleId: 'modbus-reader',
  }
}

function row(ms: number, level: number, others: Partial<Row> = {}): Row {
  return { timestamp: new Date(startMs + ms).toISOString(), values: { level, running: level > 50 }, ...others }
}

/** Seventeen seconds of two devices: late rows, bad ones, texts, a message that comes twice, a hub away, a new configuration. */
function script(): Step[] {
  const steps: Step[] = []
  const at = (ms: number, event: Event) => steps.push({ atMs: startMs + ms, event })
  const send = (ms: number, each: InputMessage) => at(ms, { type: 'message', message: each })
  for (let second = 0; second < seconds; second++) {
    const level = 50 + ((second * 37) % 101) / 10
    send(
      second * 1_000 + 100,
      message('press-4', second, [row(second * 1_000, level), row(second * 1_000 + 50, -level)]),
    )
    if (second % 2 === 0) {
      const bad = second % 6 === 0 ? { quality: { level: 'noAnswer' as const } } : {}
      const values = { level, mode: `m${second % 3}` }
      send(second * 1_000 + 300, message('pump-2', second, [row(second * 1_000, level, { values, ...bad })]))
    }
    if (second === 6) send(6_500, message('press-4', 6, [row(6_000, 1)]))
    if (second === 9) send(9_500, message('pump-2', 1_013, [row(2_000, 99)]))
    if (second === 10) at(10_600, { type: 'hub', takes: false })
    if (second === 12) at(12_600, { type: 'configure', config: laterConfig })
    if (second === 15) at(15_600, { type: 'hub', takes: true })
  }
  return steps
}

const steps = script()
const play = (...blows: readonly Blow[]): Outcome => new World(config, startMs, steps, endMs, blows).run()

/** Messages without repeats; a repeat under the same id must say the same. */
function distinct(received: readonly Received[]): Received[] {
  const bodies = new Map<string, string>()
  for (const { messageId, body } of received) {
    expect(bodies.get(messageId) ?? body, `message ${messageId}`).toBe(body)
    bodies.set(messageId, body)
  }
  return [...bodies].map(([messageId, body]) => ({ messageId, body }))
}

/** Records by identity; none may be there twice. */
function recordsOf({ received }: Outcome): Map<string, AggregateRecord> {
  const records = new Map<string, AggregateRecord>()
  for (const { body } of distinct(received)) {
    const parsed: AggregateRecord[] = JSON.parse(body)
    for (const record of parsed) {
      const identity = recordIdentity(record)
      expect(records.has(identity), `${identity} came twice`).toBe(false)
      records.set(identity, record)
    }
  }
  return records
}

const accountOf = ({ status }: Outcome) => {
  const names = ['rowsTaken', 'rowsSent', 'rowsLate', 'rowsBad', 'rowsRefused', 'rowsOpen', 'rowsInUnsentRecords']
  return Object.fromEntries(names.map((name) => [name, status[name]]))
}

const undisturbed = play()
const expectedRecords = recordsOf(undisturbed)
const expectedAccount = accountOf(undisturbed)

/** Messages that came again, under their own id. */
const repeatsOf = ({ received }: Outcome) => received.length - distinct(received).length
/** Messages that leave within `fsyncIntervalMs` and a second. */
const repeatsMax = 3

function expectNothingLostOrDoubled(outcome: Outcome): void {
  expect(recordsOf(outcome)).toEqual(expectedRecords)
  expect(accountOf(outcome)).toEqual(expectedAccount)
}

describe('the script', () => {
  it('has what the guarantees are about, and closes every window', () => {
    expect(expectedRecords.size).toBeGreaterThan(10)
    expect(expectedAccount).toMatchObject({ rowsLate: 1, rowsOpen: 0, rowsInUnsentRecords: 0 })
    expect(undisturbed.status['messagesDuplicate']).toBe(1)
    expect(repeatsOf(undisturbed)).toBe(0)
    expect(undisturbed.received.length).toBeGreaterThan(5)
  })

  it('lets the journal begin new segments, and snapshots release old ones', () => {
    const { files } = undisturbed
    expect(files.filter((path) => path.endsWith('.snapshot'))).toHaveLength(2)
    expect(files).not.toContain('/state/snapshots/0000000000000003.snapshot')
    expect(files).not.toContain('/state/journal/0000000000000001.journal')
  })
})

describe.each([
  ['killed before', 'kill'],
  ['killed half way through', 'tornKill'],
  ['refused by the disk at', 'fails'],
  ['refused by the disk at and after', 'failsOn'],
  ['out of space half way through', 'full'],
  ['out of space half way through and after', 'fullOn'],
] as const)('%s any operation', (_what, kind) => {
  it('the aggregator sends every window once, as it would have, and repeats only what left last, under its own id', () => {
    let ended = 0
    for (let operation = 1; operation <= undisturbed.operations; operation++) {
      const outcome = play({ kind, operation, seed: 0 })
      expectNothingLostOrDoubled(outcome)
      expect(repeatsOf(outcome)).toBeLessThanOrEqual(repeatsMax)
      ended += outcome.ended
    }
    expect(ended).toBeGreaterThan(undisturbed.operations / 4)
  })
})

describe('out of power at any operation', () => {
  const rowsOf = ({ body }: InputMessage) => {
    const reading = decodeTelemetry(body)
    return 'telemetry' in reading ? reading.telemetry.rows : []
  }

  it('the aggregator contradicts nothing that has left, and loses rows younger than fsyncIntervalMs alone', () => {
    for (let operation = 1; operation <= undisturbed.operations; operation++) {
      const outcome = play({ kind: 'powerCut', operation, seed: operation })
      const records = recordsOf(outcome)
      const risky = outcome.atRisk.flatMap((each) => rowsOf(each).map(({ timestampMs }) => timestampMs))
      for (const [identity, expected] of expectedRecords) {
        const [fromMs, toMs] = [Date.parse(expected.windowStart), Date.parse(expected.windowEnd)]
        const mayDiffer = risky.some((timestampMs) => timestampMs >= fromMs && timestampMs < toMs)
        if (!mayDiffer) expect(records.get(identity), identity).toEqual(expected)
      }
      expect([...records.keys()].filter((identity) => !expectedRecords.has(identity))).toEqual([])
    }
  })
})

describe('for any sequence of blows', () => {
  it('the aggregator sends every window once, as it would have', () => {
    const blow = fc.record({
      kind: fc.constantFrom('kill', 'tornKill', 'fails', 'failsOn', 'full', 'fullOn') satisfies fc.Arbitrary<
        Blow['kind']
      >,
      operation: fc.integer({ min: 1, max: 150 }),
      seed: fc.nat(),
    })
    fc.assert(
      fc.property(fc.array(blow, { minLength: 2, maxLength: 8 }), (blows) => {
        expectNothingLostOrDoubled(play(...blows))
      }),
      { numRuns: 100 },
    )
  })
})
