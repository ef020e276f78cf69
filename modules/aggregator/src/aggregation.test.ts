import { parseConfig } from '@weir/lib/config-parse'
import { aggregateSchema, receiptSchema, type SignalValue } from '@weir/lib/messages'
import type { DecodedRow } from '@weir/lib/telemetry'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Aggregation, type Arrival, type Decision, savedAggregationSchema } from './aggregation.ts'
import { type AggregatorConfig, aggregatorConfig } from './config.ts'

function configOf(raw: unknown): AggregatorConfig {
  const parsed = parseConfig(aggregatorConfig, raw)
  if ('problems' in parsed) throw new Error(parsed.problems.join('; '))
  return parsed.config
}

const noonMs = Date.UTC(2026, 10, 21, 12)
const configs = {
  short: configOf({ windows: { main: { lengthMs: 15_000, lateArrivalMs: 2_000 } } }),
  two: configOf({ windows: { a: { lengthMs: 5_000, lateArrivalMs: 0 }, b: { lengthMs: 60_000 } } }),
  narrow: configOf({ windows: { main: { lengthMs: 15_000 } }, devicesMax: 1, signalsPerDeviceMax: 1, rules: {} }),
} as const

let messages = 0
function arrival(
  deviceId: string,
  rows: readonly DecodedRow[],
  messageId = `m${messages++}`,
  rowsKeptOut = 0,
): Arrival {
  return {
    telemetry: {
      deviceId,
      deviceType: undefined,
      location: undefined,
      clockTrusted: true,
      part: undefined,
      units: undefined,
      rows,
    },
    rowsKeptOut,
    session: 'run-1',
    messageId,
    bytes: { body: 1_000, envelope: 100, properties: 100 },
  }
}

function row(timestampMs: number, values: Readonly<Record<string, SignalValue>>): DecodedRow {
  const bad =
    Object.keys(values).length === 0 ? [{ signal: 'level', reason: 'noAnswer' as const, value: undefined }] : []
  return { timestampMs, signals: Object.keys(values), values: Object.values(values), bad }
}

const at = (processingMs: number) => ({ processingMs, wallMs: noonMs + processingMs })
const recordsOf = ({ messages: decided }: Decision) =>
  decided
    .filter(({ outgoing }) => outgoing.messageType === 'aggregate')
    .flatMap(({ outgoing }) => aggregateSchema.parse(JSON.parse(String(outgoing.body))))

describe('the aggregation', () => {
  it('sends the windows of all devices in one message, maxDelayMs after the first closed', () => {
    const aggregation = new Aggregation(configs.short)
    const rows = [row(noonMs, { level: 1 }), row(noonMs + 17_000, { level: 1 })]
    expect(aggregation.telemetry(arrival('press-4', rows), at(17_000)).messages).toEqual([])
    expect(aggregation.telemetry(arrival('pump-2', rows), at(17_500)).messages).toEqual([])
    expect(aggregation.dueMs).toBe(18_000)
    expect(aggregation.rowsWaiting).toBe(2)
    const decision = aggregation.tick(at(18_000))
    expect(decision.messages).toHaveLength(1)
    expect(recordsOf(decision).map(({ deviceId }) => deviceId)).toEqual(['press-4', 'pump-2'])
    expect(aggregation.rowsWaiting).toBe(0)
  })

  it('counts a message that comes twice once', () => {
    const aggregation = new Aggregation(configs.short)
    const twice = arrival('press-4', [row(noonMs, { level: 1 }), row(noonMs + 1, { level: 2 })], 'twice')
    expect(aggregation.telemetry(twice, at(0)).duplicate).toBe(false)
    expect(aggregation.telemetry(twice, at(0)).duplicate).toBe(true)
    expect(aggregation.core.rows).toMatchObject({ taken: 2, open: 2 })
    expect(aggregation.repeats).toEqual({ messages: 1, rows: 2 })
    expect(aggregation.receipt.total).toMatchObject({ rows: 2, messages: 1 })
  })

  it('counts rows that the decoder kept out as refused', () => {
    const aggregation = new Aggregation(configs.short)
    aggregation.telemetry(arrival('press-4', [row(noonMs, { level: 1 })], 'm', 3), at(0))
    expect(aggregation.core.rows).toMatchObject({ taken: 4, refused: 3, open: 1 })
  })

  it('sends a receipt when the day has ended, and counts it as sent', () => {
    const aggregation = new Aggregation(configs.short)
    aggregation.tick(at(0))
    aggregation.telemetry(arrival('press-4', [row(noonMs, { level: 1 })]), at(0))
    const [message] = aggregation.tick(at(12 * 3_600_000)).messages.slice(-1)
    const receipt = receiptSchema.parse(JSON.parse(String(message?.outgoing.body)))
    expect(receipt).toMatchObject({ periodStart: '2026-11-21T12:00:00.000Z', rows: 1, records: 0, windows: ['15s'] })
    expect(message?.outgoing).toMatchObject({ output: 'receipts', messageType: 'receipt' })
    const due = aggregation.tick(at(12 * 3_600_000 + 1_000))
    expect(recordsOf(due)).toHaveLength(1)
    expect(aggregation.receipt.total.sent.messages).toBe(2)
  })
})

type Step =
  | {
      kind: 'message'
      deviceId: string
      rows: { secondsBack: number; values: Record<string, SignalValue> }[]
      keptOut: number
    }
  | { kind: 'repeat' }
  | { kind: 'pause'; seconds: number }
  | { kind: 'configure'; name: keyof typeof configs }

const value = fc.oneof(fc.integer({ min: -1_000, max: 1_000 }), fc.boolean(), fc.constantFrom('run', 'stop'))
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('message' as const),
      deviceId: fc.constantFrom('press-4', 'pump-2'),
      rows: fc.array(
        fc.record({
          secondsBack: fc.integer({ min: -90, max: 60 }),
          values: fc.dictionary(fc.constantFrom('level', 'flow'), value),
        }),
        { maxLength: 6 },
      ),
      keptOut: fc.nat(2),
    }),
  },
  fc.constant({ kind: 'repeat' as const }),
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('pause' as const), seconds: fc.integer({ min: 1, max: 60 }) }),
  },
  fc.record({ kind: fc.constant('configure' as const), name: fc.constantFrom('short', 'two', 'narrow') }),
)

/** Plays steps, saving and restoring after every `restartEvery` of them; `check` sees the state after each step. */
function play(steps: readonly Step[], restartEvery: number, check: (aggregation: Aggregation, sent: number) => void) {
  let aggregation = new Aggregation(configs.short)
  let processingMs = 0
  let sent = 0
  let last: Arrival | undefined
  const texts: string[] = []
  const carryOut = ({ messages: decided }: Decision) => {
    for (const { outgoing, accounted } of decided) {
      sent += accounted
      texts.push(`${outgoing.messageId} ${outgoing.body}`)
    }
  }
  steps.forEach((each, place) => {
    if (each.kind === 'pause') {
      processingMs += each.seconds * 1_000
      carryOut(aggregation.tick(at(processingMs)))
    } else if (each.kind === 'configure') {
      aggregation.configure(configs[each.name])
    } else {
      const rows = (each.kind === 'message' ? each.rows : []).map(({ secondsBack, values }) =>
        row(noonMs + processingMs - secondsBack * 1_000, values),
      )
      if (each.kind === 'message') last = arrival(each.deviceId, rows, `m${place}`, each.keptOut)
      if (last !== undefined) carryOut(aggregation.telemetry(last, at(processingMs)))
    }
    if ((place + 1) % restartEvery === 0) {
      aggregation = Aggregation.restore(savedAggregationSchema.parse(JSON.parse(JSON.stringify(aggregation.save()))))
    }
    check(aggregation, sent)
  })
  return texts
}

describe('for any messages, pauses, changes and restarts, the aggregation', () => {
  it('holds every row taken in exactly one place: sent, waiting, open, late, bad or refused', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.integer({ min: 1, max: 50 }), (steps, restartEvery) => {
        play(steps, restartEvery, ({ core, rowsWaiting }, sent) => {
          const { taken, late, bad, refused, open } = core.rows
          expect(sent + rowsWaiting + open + late + bad + refused).toBe(taken)
        })
      }),
      { numRuns: 300 },
    )
  })

  it('decides the same messages whether or not it was stopped in between', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.integer({ min: 1, max: 5 }), (steps, restartEvery) => {
        const whole = play(steps, Number.POSITIVE_INFINITY, () => {})
        expect(play(steps, restartEvery, () => {})).toEqual(whole)
      }),
    )
  })

  it('changes nothing by a tick that is not due', () => {
    const holds = (aggregation: Aggregation) => JSON.stringify({ ...aggregation.save(), processingMs: 0 })
    let skipped = 0
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.nat(60_000), (steps, laterMs) => {
        play(steps, Number.POSITIVE_INFINITY, (aggregation) => {
          const now = at(aggregation.processingMs + laterMs)
          if (aggregation.isDue(now)) return
          skipped += 1
          const copy = Aggregation.restore(aggregation.save())
          const before = holds(copy)
          expect(copy.tick(now)).toEqual({ messages: [], refusals: [], duplicate: false })
          expect(holds(copy)).toBe(before)
        })
      }),
    )
    expect(skipped).toBeGreaterThan(100)
  })

  it('gives every window once', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const texts = play(steps, 3, () => {})
        const identities = texts.flatMap((text) => {
          const records: { deviceId: string; window: string; windowStart: string }[] = JSON.parse(text.slice(23))
          return records.map(({ deviceId, window, windowStart }) => `${deviceId} ${window} ${windowStart}`)
        })
        expect(new Set(identities).size).toBe(identities.length)
      }),
    )
  })
})
