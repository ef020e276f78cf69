import type { InputMessage } from '@weir/lib/hub'
import { anomalySchema, type Telemetry } from '@weir/lib/messages'
import { runCommand, type TestContext, testContext } from '@weir/lib/test-context'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { detectorConfig } from './config.ts'
import { anomalyDetector } from './module.ts'

const config = detectorConfig.schema.parse({
  rules: { hot: { kind: 'limits', select: 'signal:temperature', high: 80, deadband: 2 } },
})

function message(input: string, body: unknown): InputMessage {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body))
  const plain = { messageId: 'm', contentType: 'application/json', contentEncoding: 'utf-8', sourceModuleId: 'x' }
  return { ...plain, input, body: bytes, properties: {} }
}

function telemetry(temperatures: readonly number[], fromSecond = 0): Telemetry {
  const readings = temperatures.map((temperature, index) => ({
    timestamp: new Date(Date.UTC(2026, 2, 1, 10, 0, fromSecond + index)).toISOString(),
    values: { temperature, humidity: 40 },
  }))
  return { schemaVersion: 1, deviceId: 'oven-1', location: 'hall-2', units: { temperature: '°C' }, readings }
}

function started(context: TestContext = testContext()) {
  return { context, detector: anomalyDetector.start(context, config) }
}

function states(context: TestContext): string[] {
  return context.published.map((sent) => anomalySchema.parse(JSON.parse(String(sent.body))).state)
}

describe('anomaly-detector', () => {
  it('publishes a finding and its end, urgent, with the unit that the reader told', () => {
    const { context, detector } = started()
    detector.input?.(message('telemetry', telemetry([70, 81, 82, 79, 77])))
    expect(states(context)).toEqual(['active', 'normal'])
    expect(context.published[0]).toMatchObject({
      output: 'anomalies',
      urgent: true,
      properties: { deviceId: 'oven-1', location: 'hall-2' },
    })
    expect(String(context.published[0]?.body)).toContain('oven-1 temperature 81 °C, above the limit 80 °C')
  })

  it('does not repeat a finding after a restart', async () => {
    const first = started()
    first.detector.input?.(message('telemetry', telemetry([70, 81])))
    const again = started(testContext({ stateFolder: first.context.stateFolder }))
    again.detector.input?.(message('telemetry', telemetry([70, 81, 82])))
    expect(again.context.published).toEqual([])
    expect(await runCommand(again.detector.commands, 'active')).toMatchObject([{ deviceId: 'oven-1', side: 'high' }])
  })

  it('does not judge values that are not good', () => {
    const { context, detector } = started()
    const body = telemetry([99])
    const readings = body.readings.map((row) => ({ ...row, quality: { temperature: 'outOfRange' as const } }))
    detector.input?.(message('telemetry', { ...body, readings }))
    expect(context.published).toEqual([])
  })

  it('keeps what stands outside its limits over a change of configuration', () => {
    const { context, detector } = started()
    detector.input?.(message('telemetry', telemetry([81])))
    detector.apply({ ...config, signalsMax: 10 })
    detector.input?.(message('telemetry', telemetry([82, 70], 1)))
    expect(states(context)).toEqual(['active', 'normal'])
  })

  it('counts what it cannot use by reason and goes on', () => {
    const { context, detector } = started()
    detector.input?.(message('telemetry', Buffer.from('{')))
    detector.input?.(message('telemetry', { ...telemetry([81]), readings: 3 }))
    detector.input?.(message('elsewhere', {}))
    expect(context.rejected.size).toBeGreaterThanOrEqual(3)
    detector.input?.(message('telemetry', telemetry([81])))
    expect(context.published).toHaveLength(1)
  })

  it('survives any JSON', () => {
    const { detector } = started()
    fc.assert(fc.property(fc.jsonValue(), (body) => detector.input?.(message('telemetry', body))))
  })
})
