import type { InputMessage } from '@weir/lib/hub'
import { meteredBytes } from '@weir/lib/meter'
import { encodeTelemetry } from '@weir/lib/telemetry'
import { describe, expect, it } from 'vitest'
import { readArrival } from './arrival.ts'

const rows = [1, 2, 3].map((level) => ({ timestamp: `2026-11-21T12:00:0${level}.000Z`, values: { level } }))

function messageOf(body: Buffer): InputMessage {
  return {
    input: 'telemetry',
    body,
    messageId: 'm1',
    contentType: 'application/json',
    contentEncoding: 'utf-8',
    properties: { messageType: 'telemetry', session: 'run-1', sequence: '7' },
    sourceModuleId: 'modbus-reader',
  }
}

describe('readArrival', () => {
  it.each([{}, { deviceType: 'press', location: 'Halle Süd' }, { clockTrusted: false }])(
    'weighs the envelope of a message as its writer made it: %j',
    (header) => {
      const [message] = encodeTelemetry({ deviceId: 'press-4', ...header }, rows)
      const body = message?.body ?? Buffer.alloc(0)
      const reading = readArrival(messageOf(body))
      const rowBytes = rows.reduce((sum, row) => sum + Buffer.byteLength(JSON.stringify(row)), 0)
      expect(reading).toMatchObject({
        keptOut: [],
        arrival: {
          rowsKeptOut: 0,
          session: 'run-1',
          messageId: 'm1',
          bytes: { body: body.length, envelope: body.length - rowBytes - 2 },
        },
      })
    },
  )

  it('leaves the units out of the envelope: they are not sent with each row', () => {
    const envelopeOf = (units: Record<string, string> | undefined) => {
      const [message] = encodeTelemetry({ deviceId: 'press-4', units }, rows)
      const reading = readArrival(messageOf(message?.body ?? Buffer.alloc(0)))
      return 'arrival' in reading ? reading.arrival.bytes.envelope : undefined
    }
    expect(envelopeOf({ level: 'mm' })).toBe(envelopeOf(undefined))
  })

  it('weighs properties as IoT Hub meters them', () => {
    const [encoded] = encodeTelemetry({ deviceId: 'press-4' }, rows)
    const message = messageOf(encoded?.body ?? Buffer.alloc(0))
    const system = { contentType: 'application/json', contentEncoding: 'utf-8', messageId: 'm1' }
    const reading = readArrival(message)
    const properties = 'arrival' in reading ? reading.arrival.bytes.properties : undefined
    expect(properties).toBe(meteredBytes(0, message.properties, system))
  })

  it('counts rows that cannot be read', () => {
    const body = { schemaVersion: 1, deviceId: 'press-4', readings: [rows[0], { values: {} }, 'row', rows[1]] }
    expect(readArrival(messageOf(Buffer.from(JSON.stringify(body))))).toMatchObject({ arrival: { rowsKeptOut: 2 } })
  })

  it('says why nothing of a message can be read', () => {
    expect(readArrival(messageOf(Buffer.from('{')))).toMatchObject({ reason: 'malformedJson' })
  })
})
