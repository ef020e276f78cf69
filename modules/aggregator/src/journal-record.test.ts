import { type QualityReason, qualityReasons, type SignalValue } from '@weir/lib/messages'
import type { DecodedRow } from '@weir/lib/telemetry'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Arrival } from './aggregation.ts'
import { type Input, RecordDecoder, RecordEncoder } from './journal-record.ts'

const noonMs = Date.UTC(2026, 10, 21, 12)

const plain = { noNullPrototype: true } as const
const id = fc.oneof(
  fc.constantFrom('level', 'flow', '123', 'constructor'),
  fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_-]{0,10}$/),
)
const value: fc.Arbitrary<SignalValue> = fc.oneof(
  fc.integer({ min: -100_000, max: 100_000 }).map((mantissa) => mantissa / 100),
  fc.double({ noDefaultInfinity: true, noNaN: true }),
  fc.boolean(),
  fc.string({ unit: 'binary', maxLength: 20 }),
)
const reason = fc.constantFrom(...(Object.keys(qualityReasons) as QualityReason[]))
const row: fc.Arbitrary<DecodedRow> = fc
  .record(
    {
      timestampMs: fc.integer({ min: 0, max: Date.UTC(2099, 0) }),
      good: fc.uniqueArray(fc.tuple(id, value), { selector: ([name]) => name, maxLength: 4 }),
      bad: fc.array(fc.record({ signal: id, reason, value: fc.option(value, { nil: undefined }) }, plain), {
        maxLength: 2,
      }),
    },
    plain,
  )
  .map(({ timestampMs, good, bad }) => ({
    timestampMs,
    signals: good.map(([signal]) => signal),
    values: good.map(([, each]) => each),
    bad,
  }))
/** Rows that share their names, as those of a message mostly do, and rows that do not. */
const rows = fc.oneof(
  fc.array(row, { maxLength: 5 }),
  fc
    .tuple(row, fc.array(fc.tuple(fc.integer({ min: -5_000, max: 5_000 }), value), { maxLength: 10 }))
    .map(([first, others]): DecodedRow[] => [
      first,
      ...others.map(([laterMs, each]) => ({
        ...first,
        timestampMs: Math.max(0, first.timestampMs + laterMs),
        values: first.values.map(() => each),
      })),
    ]),
)
const label = fc.option(fc.string({ unit: 'binary', maxLength: 10 }), { nil: undefined })
const size = fc.nat(300_000)
const arrival: fc.Arbitrary<Arrival> = fc.record(
  {
    telemetry: fc.record(
      {
        deviceId: id,
        deviceType: label,
        location: label,
        clockTrusted: fc.boolean(),
        part: fc.option(fc.nat(5), { nil: undefined }),
        units: fc.option(fc.dictionary(id, fc.string({ maxLength: 5 }), plain), { nil: undefined }),
        rows,
      },
      plain,
    ),
    rowsKeptOut: fc.nat(3),
    session: fc.string({ maxLength: 8 }),
    messageId: fc.option(fc.oneof(fc.stringMatching(/^[A-Za-z0-9_-]{22}$/), fc.string({ unit: 'binary' })), {
      nil: undefined,
    }),
    bytes: fc.record({ body: size, envelope: size, properties: size }, plain),
  },
  plain,
)
/** Time that passes before an input, and by how far the wall clock is stepped. */
const pause = fc.record({ elapsedMs: fc.nat(10_000_000), stepMs: fc.integer({ min: -(10 ** 12), max: 10 ** 12 }) })
type WithoutNow<Each> = Each extends Input ? Omit<Each, 'now'> : never
type Untimed = WithoutNow<Input>
const input = fc.oneof(
  { weight: 4, arbitrary: arrival.map((each): Untimed => ({ type: 'arrival', arrival: each })) },
  fc.constant<Untimed>({ type: 'tick' }),
  fc.jsonValue().map((config): Untimed => ({ type: 'configure', config: JSON.parse(JSON.stringify(config)) })),
  fc.tuple(fc.maxSafeNat(), fc.nat()).map(([through, queued]): Untimed => ({ type: 'delivered', through, queued })),
)
const inputs = fc.array(fc.tuple(input, pause), { maxLength: 12 }).map((list) => {
  let now = { processingMs: 0, wallMs: noonMs }
  return list.map(([untimed, { elapsedMs, stepMs }]) => {
    now = { processingMs: now.processingMs + elapsedMs, wallMs: now.wallMs + elapsedMs + stepMs }
    return { ...untimed, now } as Input
  })
})

interface Stored {
  readonly kind: number
  readonly payload: Buffer
}

function store(encoder: RecordEncoder, each: Input): Stored[] {
  return encoder.encode(each).map(({ kind, payload }) => ({ kind, payload: Buffer.from(payload) }))
}

function readBack(decoder: RecordDecoder, stored: readonly Stored[]): Input[] {
  return stored.map(({ kind, payload }) => decoder.decode(kind, payload)).filter((each) => each !== undefined)
}

const oneArrival = (level: number): Input => ({
  type: 'arrival',
  now: { processingMs: 0, wallMs: noonMs },
  arrival: {
    telemetry: {
      deviceId: 'press-4',
      deviceType: undefined,
      location: undefined,
      clockTrusted: true,
      part: undefined,
      units: undefined,
      rows: [{ timestampMs: noonMs, signals: ['level'], values: [level], bad: [] }],
    },
    rowsKeptOut: 0,
    session: 'run-1',
    messageId: 'm1',
    bytes: { body: 100, envelope: 50, properties: 60 },
  },
})

describe('the records of the journal', () => {
  it('bring back every input as it was, over any number of epochs', () => {
    fc.assert(
      fc.property(inputs, fc.integer({ min: 1, max: 13 }), (list, epochLength) => {
        const encoder = new RecordEncoder()
        const stored = list.flatMap((each, place) => {
          if (place % epochLength === 0) encoder.begin(place)
          return store(encoder, each)
        })
        expect(readBack(new RecordDecoder(), stored)).toStrictEqual(list)
      }),
      { numRuns: 300 },
    )
  })

  it('can be read from the beginning of any epoch on', () => {
    const encoder = new RecordEncoder()
    encoder.begin(1)
    store(encoder, oneArrival(1))
    encoder.begin(2)
    expect(readBack(new RecordDecoder(), store(encoder, oneArrival(2)))).toEqual([oneArrival(2)])
  })

  it('name a device and its signals once in an epoch', () => {
    const encoder = new RecordEncoder()
    encoder.begin(1)
    const bytes = () => store(encoder, oneArrival(1)).reduce((sum, { payload }) => sum + payload.length, 0)
    expect(bytes()).toBeGreaterThan(60)
    expect(bytes()).toBeLessThan(25)
  })

  it('whose epoch is lost are damaged, not taken for others', () => {
    const encoder = new RecordEncoder()
    const decoder = new RecordDecoder()
    encoder.begin(1)
    readBack(decoder, store(encoder, oneArrival(1)))
    encoder.begin(2)
    const withoutEpoch = store(encoder, oneArrival(2)).slice(1)
    expect(() => readBack(decoder, withoutEpoch)).toThrow(expect.objectContaining({ code: 'STATE_DAMAGED' }))
  })

  it('whose names are lost are damaged, and the next of other names is read', () => {
    const encoder = new RecordEncoder()
    encoder.begin(1)
    const [epoch, source, , ...arrivals] = store(encoder, oneArrival(1))
    const decoder = new RecordDecoder()
    expect(() =>
      readBack(
        decoder,
        [epoch, source, ...arrivals].filter((each) => each !== undefined),
      ),
    ).toThrow(/names 1/)
    const tick: Input = { type: 'tick', now: { processingMs: 5, wallMs: noonMs } }
    expect(readBack(decoder, store(encoder, tick))).toEqual([tick])
  })

  it('that are cut short are damaged, at whatever place', () => {
    const encoder = new RecordEncoder()
    encoder.begin(1)
    const stored = store(encoder, oneArrival(1))
    const last = stored.at(-1)
    const whole = last?.payload.length ?? 0
    let refused = 0
    for (let bytes = 0; bytes < whole; bytes++) {
      const decoder = new RecordDecoder()
      readBack(decoder, stored.slice(0, -1))
      try {
        decoder.decode(last?.kind ?? 0, last?.payload.subarray(0, bytes) ?? Buffer.alloc(0))
      } catch (error) {
        expect(error).toMatchObject({ code: 'STATE_DAMAGED' })
        refused += 1
      }
    }
    // Cut before its rows, an arrival is one without any.
    expect(refused).toBe(whole - 1)
  })

  it('of a newer version, or of a kind that only a newer one has, are refused by name', () => {
    const decoder = new RecordDecoder()
    expect(() => decoder.decode(8, Buffer.alloc(2))).toThrow(expect.objectContaining({ code: 'STATE_NEWER' }))
    expect(() => decoder.decode(1, Buffer.from([2, 0, 0]))).toThrow(expect.objectContaining({ code: 'STATE_NEWER' }))
  })
})
