import { messageBytesMax } from '@weir/lib/limits'
import { type Row, telemetrySchema } from '@weir/lib/messages'
import { expect, it } from 'vitest'
import { telemetryMessages } from './telemetry.ts'

const row = (timestamp: string, value = 20): Row => ({ timestamp, values: { temperature: value } })
const bodyOf = (message: { body: Buffer } | undefined) => telemetrySchema.parse(JSON.parse(String(message?.body)))

it('rows of a device make one message of the contract, labelled for routes', () => {
  const rows = [row('2026-01-01T00:00:00.000Z', 20), row('2026-01-01T00:00:01.000Z', 21)]
  const messages = telemetryMessages('press-4', { deviceType: 'press', location: 'hall-1' }, rows)
  expect(messages).toHaveLength(1)
  expect(messages[0]).toMatchObject({
    output: 'telemetry',
    messageType: 'telemetry',
    properties: { deviceId: 'press-4', deviceType: 'press', location: 'hall-1' },
  })
  expect(bodyOf(messages[0])).toEqual({
    schemaVersion: 1,
    deviceId: 'press-4',
    deviceType: 'press',
    location: 'hall-1',
    readings: rows,
  })
})

it('units travel in the body where they are told', () => {
  const messages = telemetryMessages('a', { units: { temperature: '°C' } }, [row('2026-01-01T00:00:00.000Z')])
  expect(bodyOf(messages[0])).toMatchObject({ units: { temperature: '°C' } })
})

it('the same rows have the same messageId on every try, other rows another', () => {
  const idOf = (value: number) =>
    telemetryMessages('a', {}, [row('2026-01-01T00:00:00.000Z', value)]).map(({ messageId }) => messageId)
  expect(idOf(20)).toEqual(idOf(20))
  expect(idOf(20)).not.toEqual(idOf(21))
})

it('rows from before the clock was set go apart and say so', () => {
  const messages = telemetryMessages('a', {}, [row('1970-01-01T00:00:09.000Z'), row('2026-01-01T00:00:00.000Z')])
  expect(messages.map((message) => bodyOf(message).clockTrusted)).toEqual([false, undefined])
})

it('rows too many for one message fill several, each below 256 KiB, none lost', () => {
  const rows = Array.from({ length: 6000 }, (_, index) => row(new Date(Date.UTC(2026, 0, 1) + index).toISOString()))
  const messages = telemetryMessages('a', {}, rows)
  expect(messages.length).toBeGreaterThan(1)
  for (const { body } of messages) expect(body.length).toBeLessThan(messageBytesMax)
  expect(messages.flatMap((message) => bodyOf(message).readings)).toEqual(rows)
})
