import { anomalySchema } from '@weir/lib/messages'
import { describe, expect, it } from 'vitest'
import { detectorConfig } from './config.ts'
import { Judge } from './judge.ts'

const config = detectorConfig.schema.parse({
  rules: {
    temperature: { kind: 'limits', select: 'signal:temperature', high: 80, low: 0, deadband: 2, severity: 'high' },
  },
})
const oven = { deviceId: 'oven-1', deviceType: 'oven', location: 'hall-2' }
const startMs = Date.UTC(2026, 2, 1)

/** Feeds values a second apart and returns every finding. */
function feed(judge: Judge, values: readonly number[], fromMs = startMs) {
  return values.flatMap((value, index) => judge.take(oven, 'temperature', value, fromMs + index * 1000))
}

describe('judge', () => {
  it('finds one crossing, explains it, and ends it under the same id', () => {
    const judge = new Judge(config)
    judge.units(oven, { temperature: '°C' })
    const findings = feed(judge, [70, 79.5, 81.2, 82, 79, 77, 70])
    expect(findings.map((finding) => finding.state)).toEqual(['active', 'normal'])
    expect(findings[0]?.anomalyId).toBe(findings[1]?.anomalyId)
    expect(findings[0]).toMatchObject({
      alertType: 'HIGH_TEMPERATURE',
      severity: 'high',
      value: 81.2,
      unit: '°C',
      lastGood: { value: 79.5 },
      explanation: 'oven-1 temperature 81.2 °C, above the limit 80 °C',
    })
    for (const finding of findings) expect(anomalySchema.parse(finding)).toEqual(finding)
  })

  it('ends the one and begins the other when a value falls from above to below', () => {
    const findings = feed(new Judge(config), [90, -5])
    expect(findings.map((finding) => [finding.alertType, finding.state])).toEqual([
      ['HIGH_TEMPERATURE', 'active'],
      ['HIGH_TEMPERATURE', 'normal'],
      ['LOW_TEMPERATURE', 'active'],
    ])
  })

  it('finds nothing twice in rows that come twice', () => {
    const judge = new Judge(config)
    expect(feed(judge, [70, 81])).toHaveLength(1)
    expect(feed(judge, [70, 81])).toHaveLength(0)
  })

  it('does not repeat a finding after a restart, and gives the same id when its state was not saved', () => {
    const before = new Judge(config)
    const first = feed(before, [70, 81])
    const restarted = new Judge(config, before.saved())
    expect(feed(restarted, [70, 81, 82])).toEqual([])
    expect(restarted.take(oven, 'temperature', 70, startMs + 9000)[0]?.anomalyId).toBe(first[0]?.anomalyId)
    const unsaved = new Judge(config)
    expect(feed(unsaved, [70, 81])[0]?.anomalyId).toBe(first[0]?.anomalyId)
  })

  it('goes on judging at once after the clock was set back', () => {
    const judge = new Judge(config)
    expect(feed(judge, [70, 81]).map((finding) => finding.state)).toEqual(['active'])
    const hourEarlierMs = startMs - 3_600_000
    expect(feed(judge, [82, 70, 90], hourEarlierMs).map((finding) => finding.state)).toEqual(['normal', 'active'])
  })

  it('watches no more signals than it may, and counts the others', () => {
    const judge = new Judge({ ...config, signalsMax: 1 })
    feed(judge, [70])
    expect(judge.take({ deviceId: 'oven-2' }, 'temperature', 99, startMs)).toEqual([])
    expect(judge.refused).toBe(1)
  })

  it('lets a signal be that no rule selects', () => {
    expect(new Judge(config).take(oven, 'humidity', 1e9, startMs)).toEqual([])
  })
})
