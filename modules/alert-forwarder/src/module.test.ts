import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { InputMessage } from '@weir/lib/hub'
import { type Anomaly, alertSchema } from '@weir/lib/messages'
import { runCommand, type TestContext, testContext } from '@weir/lib/test-context'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { forwarderConfig } from './config.ts'
import { alertForwarder } from './module.ts'

const config = forwarderConfig.schema.parse({ properties: { site: 'plant-7' } })
const anomaly: Anomaly = {
  schemaVersion: 1,
  anomalyId: 'finding-1',
  deviceId: 'oven-1',
  signal: 'temperature',
  rule: 'high-temperature',
  detector: 'limits',
  alertType: 'HIGH_TEMPERATURE',
  severity: 'high',
  state: 'active',
  value: 81.2,
  expected: { high: 80 },
  timestamp: '2026-03-01T10:00:00.000Z',
  explanation: 'oven-1 temperature 81.2, above the limit 80',
}

function message(input: string, body: unknown): InputMessage {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body))
  const plain = { messageId: 'm', contentType: 'application/json', contentEncoding: 'utf-8', sourceModuleId: 'x' }
  return { ...plain, input, body: bytes, properties: {} }
}

function started(context: TestContext = testContext()) {
  return { context, forwarder: alertForwarder.start(context, config) }
}

describe('alert-forwarder', () => {
  it('sends a finding on as an urgent alert with its fixed properties, once', () => {
    const { context, forwarder } = started()
    forwarder.input?.(message('anomalies', anomaly))
    forwarder.input?.(message('anomalies', anomaly))
    expect(context.published).toHaveLength(1)
    const [sent] = context.published
    expect(sent).toMatchObject({ output: 'alerts', messageType: 'alert', urgent: true })
    expect(sent?.properties).toEqual({ site: 'plant-7', deviceId: 'oven-1' })
    expect(alertSchema.parse(JSON.parse(String(sent?.body)))).toMatchObject({ state: 'active', value: 81.2 })
    expect(forwarder.status()).toMatchObject({ alertsSent: 1, repeats: 1, alertsActive: 1 })
  })

  it('does not send an alert again after a restart, and still knows which are active', async () => {
    const first = started()
    first.forwarder.input?.(message('anomalies', anomaly))
    const again = started(testContext({ stateFolder: first.context.stateFolder }))
    again.forwarder.input?.(message('anomalies', anomaly))
    expect(again.context.published).toEqual([])
    expect(await runCommand(again.forwarder.commands, 'alerts')).toMatchObject([{ alertType: 'HIGH_TEMPERATURE' }])
    again.forwarder.input?.(
      message('anomalies', { ...anomaly, state: 'normal', timestamp: '2026-03-01T10:09:00.000Z' }),
    )
    expect(again.context.published).toHaveLength(1)
    expect(again.forwarder.status()).toMatchObject({ alertsActive: 0 })
  })

  it('raises and ends DEVICE_DOWN, and lists the events', async () => {
    const { context, forwarder } = started()
    const event = { schemaVersion: 1, timestamp: '2026-03-01T10:00:00.000Z', deviceId: 'press-4', detail: 'no answer' }
    forwarder.input?.(message('events', { ...event, kind: 'unitDown' }))
    forwarder.input?.(message('events', { ...event, kind: 'unitUp', timestamp: '2026-03-01T10:01:00.000Z' }))
    expect(context.published.map((sent) => JSON.parse(String(sent.body)).state)).toEqual(['active', 'normal'])
    expect(await runCommand(forwarder.commands, 'events')).toHaveLength(2)
  })

  it('raises nothing for devices when told not to', () => {
    const { context, forwarder } = started()
    forwarder.apply({ ...config, deviceDown: { enabled: false, severity: 'info' } })
    const event = { schemaVersion: 1, timestamp: '2026-03-01T10:00:00.000Z', deviceId: 'press-4', detail: 'no answer' }
    forwarder.input?.(message('events', { ...event, kind: 'unitDown' }))
    expect(context.published).toEqual([])
  })

  it('counts what it cannot use by reason and goes on', () => {
    const { context, forwarder } = started()
    forwarder.input?.(message('anomalies', Buffer.from('{')))
    forwarder.input?.(message('anomalies', { ...anomaly, severity: 'huge' }))
    forwarder.input?.(message('events', []))
    forwarder.input?.(message('elsewhere', {}))
    expect([...context.rejected.keys()].sort()).toEqual(['badAnomaly', 'badEvent', 'malformedJson', 'unknownInput'])
    forwarder.input?.(message('anomalies', anomaly))
    expect(context.published).toHaveLength(1)
  })

  it('survives any JSON', () => {
    const { forwarder } = started()
    fc.assert(
      fc.property(fc.constantFrom('anomalies', 'events'), fc.jsonValue(), (input, body) => {
        forwarder.input?.(message(input, body))
      }),
    )
  })

  it('passes over damaged state and says so', () => {
    const first = started()
    first.forwarder.input?.(message('anomalies', anomaly))
    const context = testContext({ stateFolder: first.context.stateFolder })
    writeFileSync(join(context.stateFolder, 'alerts.json'), '{"stateVersion":1,')
    started(context)
    expect([...context.rejected.keys()]).toEqual(['stateDamaged'])
  })
})
