import { type Alert, schemaVersion } from '@weir/lib/messages'
import { expect, test } from 'vitest'
import type { CloudMessage } from '../cloud/cloud-message.ts'
import { AlertWatch } from './alerts.ts'

const raised: Alert = {
  schemaVersion,
  alert: 'anomaly',
  alertId: 'one',
  alertType: 'HIGH_TEMPERATURE',
  severity: 'high',
  state: 'active',
  deviceId: 'oven-1',
  signal: 'temperature',
  value: 80.41,
  unit: '°C',
  timestamp: '2026-01-01T00:00:24.250Z',
  explanation: 'It rose.',
}

function message(body: unknown, messageType = 'alert'): CloudMessage {
  return {
    source: 'DeviceMessages',
    moduleId: 'alert-forwarder',
    properties: { messageType },
    systemProperties: {},
    body: Buffer.from(JSON.stringify(body)),
    edgeEnqueuedMs: 0,
    enqueuedMs: Date.parse('2026-01-01T00:00:24.300Z'),
  }
}

function watch(): AlertWatch {
  const changedMs = Date.parse('2026-01-01T00:00:24.000Z')
  return new AlertWatch((device, signal, value, untilMs) =>
    device === 'oven-1' && signal === 'temperature' && value === 80.41 && untilMs > changedMs ? changedMs : undefined,
  )
}

test('an alert is shown with the time since the register changed', () => {
  const alerts = watch()
  expect(alerts.take(message(raised))).toMatchObject({
    alertType: 'HIGH_TEMPERATURE',
    state: 'active',
    explanation: 'It rose.',
    latencyMs: 300,
  })
  expect(alerts.latenciesMs).toEqual([300])
})

test('only alerts that are raised, and each once, count for the latency', () => {
  const alerts = watch()
  alerts.take(message(raised))
  expect(alerts.take(message(raised))).toBeUndefined()
  alerts.take(message({ ...raised, state: 'normal', timestamp: '2026-01-01T00:00:50.000Z' }))
  alerts.take(message({ ...raised, alertId: 'two', value: 99 }))
  expect(alerts.latenciesMs).toEqual([300])
  expect(alerts.latest.map(({ alertId, state }) => `${alertId} ${state}`)).toEqual([
    'two active',
    'one normal',
    'one active',
  ])
})

test('an alert about a device as a whole has no latency', () => {
  const { signal, value, unit, ...device } = raised
  expect([signal, value, unit]).toEqual(['temperature', 80.41, '°C'])
  expect(watch().take(message(device))).toMatchObject({ alertId: 'one', latencyMs: undefined })
})

test('other messages and malformed alerts are passed over', () => {
  const alerts = watch()
  expect(alerts.take(message([{}], 'aggregate'))).toBeUndefined()
  expect(alerts.take(message({ alert: 'anomaly' }))).toBeUndefined()
  expect(alerts.latest).toEqual([])
})
