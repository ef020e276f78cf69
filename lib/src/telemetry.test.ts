import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { believableTimestampMsMax, believableTimestampMsMin, messageBytesMax } from './limits.ts'
import { qualityReasons, type Row, type Telemetry, telemetrySchema } from './messages.ts'
import { type DecodedRow, type DecodedTelemetry, decodeTelemetry, encodeTelemetry, readTelemetry } from './telemetry.ts'

const id = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_-]{0,12}$/)
const value = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => (Object.is(number, -0) ? 0 : number)),
  fc.string({ maxLength: 20 }),
  fc.boolean(),
)
const timestamp = fc
  .integer({ min: believableTimestampMsMin, max: believableTimestampMsMax - 1 })
  .map((at) => new Date(at).toISOString())
const row: fc.Arbitrary<Row> = fc.record(
  {
    timestamp,
    values: fc.dictionary(id, value, { maxKeys: 6, noNullPrototype: true }),
    quality: fc.dictionary(id, fc.constantFrom(...(Object.keys(qualityReasons) as (keyof typeof qualityReasons)[])), {
      maxKeys: 3,
      noNullPrototype: true,
    }),
  },
  { requiredKeys: ['timestamp', 'values'] },
)
const telemetry: fc.Arbitrary<Telemetry> = fc.record(
  {
    schemaVersion: fc.constant(1 as const),
    deviceId: id,
    deviceType: fc.string({ maxLength: 20 }),
    location: fc.string({ maxLength: 20 }),
    clockTrusted: fc.boolean(),
    part: fc.integer({ min: 1, max: 99 }),
    units: fc.dictionary(id, fc.string({ maxLength: 8 }), { maxKeys: 3, noNullPrototype: true }),
    readings: fc.array(row, { minLength: 1, maxLength: 6 }),
  },
  { requiredKeys: ['schemaVersion', 'deviceId', 'readings'] },
)

/** The row as the schema has it, for comparison. */
function toRow(decoded: DecodedRow): { timestamp: string; values: Map<string, unknown>; quality: Map<string, string> } {
  const values = new Map<string, unknown>(decoded.signals.map((signal, index) => [signal, decoded.values[index]]))
  for (const { signal, value: given } of decoded.bad) if (given !== undefined) values.set(signal, given)
  const quality = new Map(decoded.bad.map(({ signal, reason }) => [signal, reason]))
  return { timestamp: new Date(decoded.timestampMs).toISOString(), values, quality }
}

function fromRow(given: Row) {
  return {
    timestamp: given.timestamp,
    values: new Map<string, unknown>(Object.entries(given.values)),
    quality: new Map<string, string>(Object.entries(given.quality ?? {})),
  }
}

function decoded(body: Buffer): DecodedTelemetry {
  const reading = decodeTelemetry(body)
  if (!('telemetry' in reading)) throw new Error(reading.detail)
  expect(reading.keptOut).toEqual([])
  return reading.telemetry
}

describe('decodeTelemetry', () => {
  it('reads whole, and equal, whatever the schema takes', () => {
    fc.assert(
      fc.property(telemetry, (message) => {
        expect(telemetrySchema.safeParse(message).success).toBe(true)
        const read = decoded(Buffer.from(JSON.stringify(message)))
        expect(read).toMatchObject({
          deviceId: message.deviceId,
          deviceType: message.deviceType,
          location: message.location,
          clockTrusted: message.clockTrusted ?? true,
          part: message.part,
          units: message.units,
        })
        expect(read.rows.map(toRow)).toEqual(message.readings.map(fromRow))
      }),
    )
  })

  it('never throws, whatever bytes come', () => {
    fc.assert(fc.property(fc.uint8Array(), (bytes) => decodeTelemetry(Buffer.from(bytes)) !== undefined))
    fc.assert(fc.property(fc.json(), (text) => decodeTelemetry(Buffer.from(text)) !== undefined))
  })

  it('never throws, whatever stands where a row or a value should', () => {
    const readings = fc.array(
      fc.oneof(
        fc.jsonValue(),
        fc.record({ timestamp: fc.oneof(timestamp, fc.jsonValue()), values: fc.jsonValue(), quality: fc.jsonValue() }),
      ),
    )
    fc.assert(
      fc.property(readings, (given) => {
        const reading = readTelemetry({ schemaVersion: 1, deviceId: 'a', readings: given })
        expect('telemetry' in reading).toBe(true)
      }),
    )
  })

  const at = '2026-11-21T10:00:00.000Z'

  it.each([
    ['not JSON', '{"schemaVersion":1', 'malformedJson'],
    ['a list', '[]', 'wrongType'],
    ['null', 'null', 'wrongType'],
    ['a message without version', '{"deviceId":"a","readings":[]}', 'missingField'],
    ['a newer version', '{"schemaVersion":2,"deviceId":"a","readings":[]}', 'unknownSchema'],
    ['a message without device', '{"schemaVersion":1,"readings":[]}', 'missingField'],
    ['a device called __proto__', '{"schemaVersion":1,"deviceId":"__proto__","readings":[]}', 'badName'],
    ['a message without readings', '{"schemaVersion":1,"deviceId":"a"}', 'missingField'],
    ['readings that are no list', '{"schemaVersion":1,"deviceId":"a","readings":{}}', 'wrongType'],
    ['nesting beyond the stack', `${'['.repeat(200_000)}`, 'malformedJson'],
    ['10 MB', `"${'x'.repeat(10_000_000)}"`, 'tooLarge'],
  ])('keeps out whole: %s', (_, text, reason) => {
    expect(decodeTelemetry(Buffer.from(text))).toMatchObject({ reason })
  })

  it.each([
    ['a row that is no object', '7', 'wrongType'],
    ['a row without time', '{"values":{"a":1}}', 'missingField'],
    ['a time before 2024', '{"timestamp":"1970-01-01T00:00:00.000Z","values":{"a":1}}', 'badTimestamp'],
    ['a time after 2099', '{"timestamp":"2100-01-01T00:00:00.000Z","values":{"a":1}}', 'badTimestamp'],
    ['a time that is a number', '{"timestamp":1795255200000,"values":{"a":1}}', 'badTimestamp'],
    ['a row without values', `{"timestamp":"${at}"}`, 'missingField'],
    ['values that are a list', `{"timestamp":"${at}","values":[1]}`, 'wrongType'],
  ])('keeps out one row and takes the others: %s', (_, bad, reason) => {
    const good = `{"timestamp":"${at}","values":{"a":1}}`
    const text = `{"schemaVersion":1,"deviceId":"press-4","readings":[${good},${bad},${good}]}`
    const reading = decodeTelemetry(Buffer.from(text))
    expect(reading).toMatchObject({ keptOut: [{ reason, count: 1 }] })
    expect('telemetry' in reading && reading.telemetry.rows).toHaveLength(2)
  })

  it.each([
    ['a signal called __proto__', '"__proto__":1', 'badName'],
    ['a name with a dot', '"oil.temp":1', 'badName'],
    ['null', '"b":null', 'wrongType'],
    ['an object', '"b":{"polluted":true}', 'wrongType'],
    ['a number beyond all bounds', '"b":1e999', 'notFinite'],
    ['a text of 5000 characters', `"b":"${'x'.repeat(5000)}"`, 'tooLarge'],
  ])('keeps out one value and takes the others of its row: %s', (_, bad, reason) => {
    const text = `{"schemaVersion":1,"deviceId":"press-4","readings":[{"timestamp":"${at}","values":{"a":1,${bad},"c":"x"}}]}`
    const reading = decodeTelemetry(Buffer.from(text))
    expect(reading).toMatchObject({
      keptOut: [{ reason, count: 1 }],
      telemetry: { rows: [{ signals: ['a', 'c'], values: [1, 'x'] }] },
    })
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
  })

  it('takes rows from before 2024 where the reader says that its clock was not set', () => {
    const text =
      '{"schemaVersion":1,"deviceId":"a","clockTrusted":false,"readings":[{"timestamp":"1970-01-01T00:01:00.000Z","values":{"b":1}}]}'
    expect(decoded(Buffer.from(text)).rows).toMatchObject([{ timestampMs: 60_000 }])
  })

  it('counts each reason and words the first', () => {
    const rows = [1, 2, 3].map((n) => `{"timestamp":"${at}","values":{"a":null,"x.${n}":1}}`).join(',')
    const reading = decodeTelemetry(Buffer.from(`{"schemaVersion":1,"deviceId":"press-4","readings":[${rows}]}`))
    expect(reading).toMatchObject({
      keptOut: [
        { reason: 'wrongType', count: 3, detail: 'press-4/"a": null' },
        { reason: 'badName', count: 3, detail: 'press-4/"x.1": 1' },
      ],
    })
  })

  it('takes a quality outside the list for bad all the same', () => {
    const text = `{"schemaVersion":1,"deviceId":"a","readings":[{"timestamp":"${at}","values":{"b":1},"quality":{"b":"odd"}}]}`
    expect(decodeTelemetry(Buffer.from(text))).toMatchObject({
      telemetry: { rows: [{ signals: [], bad: [{ signal: 'b', reason: 'uncertain', value: 1 }] }] },
      keptOut: [{ reason: 'wrongType' }],
    })
  })
})

describe('encodeTelemetry', () => {
  it('gives back every row and value, in order, in bodies that are small enough', () => {
    const header = fc.record(
      {
        deviceId: id,
        deviceType: fc.string({ maxLength: 9 }),
        location: fc.string({ maxLength: 9 }),
        clockTrusted: fc.boolean(),
      },
      { requiredKeys: ['deviceId'] },
    )
    fc.assert(
      fc.property(
        header,
        fc.array(row, { maxLength: 12 }),
        fc.integer({ min: 700, max: 1500 }),
        (head, rows, bytesMax) => {
          const bodies = encodeTelemetry(head, rows, bytesMax)
          for (const { body } of bodies) expect(body.length).toBeLessThanOrEqual(bytesMax)
          const found: ReturnType<typeof toRow>[] = []
          for (const { body, part } of bodies) {
            const message = telemetrySchema.parse(JSON.parse(body.toString()))
            expect(message).toMatchObject({ deviceId: head.deviceId })
            expect(message.part).toBe(part)
            for (const each of decoded(body).rows.map(toRow)) {
              const before = found.at(-1)
              if (part === undefined || part === 1 || before === undefined) found.push(each)
              else {
                for (const [signal, given] of each.values) before.values.set(signal, given)
                for (const [signal, reason] of each.quality) before.quality.set(signal, reason)
              }
            }
          }
          expect(found).toEqual(rows.map(fromRow))
        },
      ),
    )
  })

  it('splits a row of 20,000 signals into parts that the hub takes', () => {
    const values = Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`signal-${index}`, index / 7]))
    const bodies = encodeTelemetry({ deviceId: 'press-4' }, [{ timestamp: '2026-11-21T10:00:00.000Z', values }])
    expect(bodies.map(({ part }) => part)).toEqual(bodies.map((_, index) => index + 1))
    expect(bodies.length).toBeGreaterThan(1)
    for (const { body } of bodies) expect(body.length).toBeLessThan(messageBytesMax)
    const signals = bodies.flatMap(({ body }) => decoded(body).rows.flatMap((each) => each.signals))
    expect(new Set(signals).size).toBe(20_000)
    expect(signals).toHaveLength(20_000)
  })

  it('makes nothing of no rows', () => {
    expect(encodeTelemetry({ deviceId: 'press-4' }, [])).toEqual([])
  })
})
