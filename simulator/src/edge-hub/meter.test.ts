import type { Telemetry } from '@weir/lib/messages'
import { addTraffic, meteredBytes, noTraffic } from '@weir/lib/meter'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { HubMessage } from './message.ts'
import { TelemetryMeter } from './meter.ts'

const properties = { messageType: 'telemetry', deviceId: 'press-4', location: 'Süd' }
const systemProperties = {
  messageId: 'abc',
  contentType: 'application/json',
  contentEncoding: 'utf-8',
  outputName: 'out',
}

function message(body: string | Buffer, changes: Partial<HubMessage> = {}): HubMessage {
  const bytes = Buffer.from(body)
  return { kind: 'message', moduleId: 'reader', properties, systemProperties, body: bytes, enqueuedMs: 0, ...changes }
}

const id = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_-]{0,10}$/)
const row = fc.record({
  timestamp: fc.constant('2026-11-21T10:00:00.000Z'),
  values: fc.dictionary(id, fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.string(), fc.boolean())),
  quality: fc.option(fc.dictionary(id, fc.constant('stale')), { nil: undefined }),
})
const telemetry = fc.record({
  schemaVersion: fc.constant(1),
  deviceId: id,
  location: fc.option(fc.string({ unit: 'grapheme' }), { nil: undefined }),
  readings: fc.array(row, { minLength: 1, maxLength: 5 }),
})

test('the per-row baseline is exactly what each row alone in the same envelope would be metered', () => {
  fc.assert(
    fc.property(telemetry, (body) => {
      const meter = new TelemetryMeter()
      meter.take(message(JSON.stringify(body)))
      const perRow = noTraffic()
      for (const reading of body.readings) {
        const alone = JSON.stringify({ ...body, readings: [reading] })
        addTraffic(perRow, meteredBytes(Buffer.byteLength(alone), properties, systemProperties))
      }
      expect(meter.counts.perRow).toEqual(perRow)
      expect(meter.counts.rows).toBe(body.readings.length)
      expect(meter.counts.values).toBe(body.readings.reduce((sum, { values }) => sum + Object.keys(values).length, 0))
    }),
  )
})

test('the per-message baseline is the messages as they are', () => {
  const meter = new TelemetryMeter()
  const body = `{"readings":[{"values":{"a":1}}],"pad":"${'x'.repeat(5000)}"}`
  meter.take(message(body))
  const bytes = meteredBytes(body.length, properties, systemProperties)
  expect(meter.counts.perMessage).toEqual({ messages: 1, bytes, blocks: 2 })
})

test('a row that was split by columns counts once, its values and its messages all', () => {
  const meter = new TelemetryMeter()
  for (const part of [1, 2, 3]) {
    const body: Telemetry = {
      schemaVersion: 1,
      deviceId: 'press-4',
      part,
      readings: [{ timestamp: '2026-11-21T10:00:00.000Z', values: { [`signal-${part}`]: part } }],
    }
    meter.take(message(JSON.stringify(body), { systemProperties: { messageId: String(part) } }))
  }
  expect(meter.counts).toMatchObject({ rows: 1, values: 3, perRow: { messages: 3 }, perMessage: { messages: 3 } })
})

test('a message that is sent again counts once, and another module may use the same id', () => {
  const meter = new TelemetryMeter()
  const body = '{"readings":[{"values":{"a":1}}]}'
  meter.take(message(body))
  meter.take(message(body))
  meter.take(message(body, { moduleId: 'reader-2' }))
  expect(meter.counts.rows).toBe(2)
})

test.each([
  ['no JSON', '{"readings":[{"values":{"a":1}}]'],
  ['an array', '[{"values":{}}]'],
  ['no readings', '{"schemaVersion":1}'],
  ['readings that are no array', '{"readings":{"values":{}}}'],
  ['no rows', '{"readings":[]}'],
  ['a row without values', '{"readings":[{"values":{}},{"timestamp":"x"}]}'],
  ['a row whose values are no object', '{"readings":[{"values":[1]}]}'],
])('%s counts nothing', (_what, body) => {
  const meter = new TelemetryMeter()
  meter.take(message(body))
  expect(meter.counts).toEqual(new TelemetryMeter().counts)
})

test('other messages and twin changes count nothing', () => {
  const meter = new TelemetryMeter()
  const body = '{"readings":[{"values":{"a":1}}]}'
  meter.take(message(body, { properties: { messageType: 'event' } }))
  meter.take(message(body, { kind: 'twinChange' }))
  expect(meter.counts).toEqual(new TelemetryMeter().counts)
})

test('names written with escapes are the same names', () => {
  const meter = new TelemetryMeter()
  meter.take(message('{"read\\u0069ngs":[{"v\\u0061lues":{"a":1,"b":2}}]}'))
  expect(meter.counts).toMatchObject({ rows: 1, values: 2 })
})
