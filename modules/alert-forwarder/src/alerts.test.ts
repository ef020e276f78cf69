import { type Anomaly, alertSchema, type ReaderEvent } from '@weir/lib/messages'
import { describe, expect, it } from 'vitest'
import { alertIdentity, alertOfAnomaly, alertOfEvent, type DownSince } from './alerts.ts'

const anomaly: Anomaly = {
  schemaVersion: 1,
  anomalyId: 'finding-1',
  deviceId: 'oven-1',
  deviceType: 'oven',
  signal: 'temperature',
  rule: 'high-temperature',
  detector: 'limits',
  alertType: 'HIGH_TEMPERATURE',
  severity: 'high',
  state: 'active',
  value: 81.2,
  unit: '°C',
  expected: { high: 80 },
  timestamp: '2026-03-01T10:00:00.000Z',
  explanation: 'oven-1 temperature 81.2 °C, above the limit 80 °C',
}
const event = (kind: ReaderEvent['kind'], timestamp: string): ReaderEvent => ({
  schemaVersion: 1,
  kind,
  timestamp,
  link: 'hall-1',
  deviceId: 'press-4',
  detail: 'press-4 does not answer',
})

describe('alerts', () => {
  it('follow the contract', () => {
    expect(alertSchema.parse(alertOfAnomaly(anomaly))).toEqual(alertOfAnomaly(anomaly))
    expect(alertOfAnomaly(anomaly).unit).toBe('°C')
  })

  it('keep their id over the states of one finding and differ between findings', () => {
    const active = alertOfAnomaly(anomaly)
    const normal = alertOfAnomaly({ ...anomaly, state: 'normal', timestamp: '2026-03-01T10:05:00.000Z' })
    expect(normal.alertId).toBe(active.alertId)
    expect(alertIdentity(normal)).not.toBe(alertIdentity(active))
    expect(alertOfAnomaly({ ...anomaly, anomalyId: 'finding-2' }).alertId).not.toBe(active.alertId)
  })

  it('of a device that stops answering are raised once and ended by its return', () => {
    const downSince: DownSince = new Map()
    const raised = alertOfEvent(event('unitDown', '2026-03-01T10:00:00.000Z'), 'warning', downSince)
    expect(alertSchema.parse(raised)).toMatchObject({ alertType: 'DEVICE_DOWN', state: 'active' })
    expect(alertOfEvent(event('unitDown', '2026-03-01T10:00:09.000Z'), 'warning', downSince)).toBeUndefined()
    const ended = alertOfEvent(event('unitUp', '2026-03-01T10:01:00.000Z'), 'warning', downSince)
    expect(ended).toMatchObject({ alertId: raised?.alertId, state: 'normal' })
    expect(alertOfEvent(event('unitUp', '2026-03-01T10:01:01.000Z'), 'warning', downSince)).toBeUndefined()
  })

  it('are not made of events that are about no device', () => {
    expect(
      alertOfEvent({ ...event('unitDown', '2026-03-01T10:00:00.000Z'), deviceId: undefined }, 'warning', new Map()),
    ).toBeUndefined()
    expect(alertOfEvent(event('overrun', '2026-03-01T10:00:00.000Z'), 'warning', new Map())).toBeUndefined()
  })
})
