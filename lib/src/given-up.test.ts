import { describe, expect, it } from 'vitest'
import { GivenUp } from './given-up.ts'
import type { OutputMessage } from './hub.ts'
import { gapSchema } from './messages.ts'

const nowMs = Date.UTC(2026, 2, 1, 12)

function telemetry(deviceId: string, ...seconds: number[]): OutputMessage {
  const readings = seconds.map((second) => ({
    timestamp: new Date(Date.UTC(2026, 2, 1, 10, 0, second)).toISOString(),
    values: { a: 1 },
  }))
  const body = Buffer.from(JSON.stringify({ schemaVersion: 1, deviceId, readings }))
  return { output: 'telemetry', messageId: `m-${seconds[0]}`, body, properties: { deviceId } }
}

function gapsOf(givenUp: GivenUp) {
  return givenUp.take('modbus-reader').map(({ body }) => gapSchema.parse(JSON.parse(String(body))))
}

describe('messages given up', () => {
  it('are named by device with the time that their rows cover and their number', () => {
    const givenUp = new GivenUp()
    givenUp.add(telemetry('press-4', 1, 2), 'queueFull', nowMs)
    givenUp.add(telemetry('press-4', 3, 4), 'queueFull', nowMs)
    givenUp.add(telemetry('pump-2', 9), 'messageTooLarge', nowMs)
    expect(gapsOf(givenUp)).toMatchObject([
      {
        kind: 'givenUp',
        deviceId: 'press-4',
        messages: 2,
        from: '2026-03-01T10:00:01.000Z',
        to: '2026-03-01T10:00:04.000Z',
        detail: 'modbus-reader: 2 messages of output telemetry given up: queueFull',
      },
      {
        deviceId: 'pump-2',
        messages: 1,
        detail: 'modbus-reader: 1 message of output telemetry given up: messageTooLarge',
      },
    ])
    expect(givenUp.isEmpty).toBe(true)
  })

  it('without rows are named with the moment at which they were given up', () => {
    const givenUp = new GivenUp()
    givenUp.add({ output: 'events', messageId: 'm', body: Buffer.from('{'), properties: {} }, 'sendRefused', nowMs)
    expect(gapsOf(givenUp)).toMatchObject([{ from: '2026-03-01T12:00:00.000Z', to: '2026-03-01T12:00:00.000Z' }])
  })

  it('of more devices than can be kept apart are all counted', () => {
    const givenUp = new GivenUp()
    for (let device = 0; device < 500; device++) givenUp.add(telemetry(`d${device}`, 1), 'queueFull', nowMs)
    const gaps = gapsOf(givenUp)
    expect(gaps.length).toBeLessThanOrEqual(201)
    expect(gaps.reduce((sum, gap) => sum + (gap.messages ?? 0), 0)).toBe(500)
  })
})
