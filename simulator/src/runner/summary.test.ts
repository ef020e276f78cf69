import { saving } from '@weir/lib/meter'
import { expect, test } from 'vitest'
import type { Report } from './report.ts'
import { summaryLines } from './summary.ts'

const traffic = saving({ messages: 100, bytes: 10_000, blocks: 100 }, { messages: 5, bytes: 400, blocks: 5 })
const report: Report = {
  durationS: 60,
  settings: { pollMs: 250, publishMs: 1000, windowMs: 15_000 },
  modules: { aggregator: { state: 'running', restarts: 1, rssBytesMax: 90_000_000, cpuS: 1.23 } },
  receipt: { perRow: traffic, perMessage: traffic },
  delivery: { lost: 0, duplicated: 1 },
  alerts: { raised: 1, latencyMsP50: 180, latencyMsP99: 190 },
}

test('a summary holds modules, receipt with settings, delivery, alerts and the verdict', () => {
  const text = summaryLines(report, undefined, []).join('\n')
  expect(text).toContain('aggregator  running, 1 restart, at most 90.0 MB, 1.2 s of CPU')
  expect(text).toContain('receipt: polls 250 ms, publishes 1 s, windows 15 s')
  expect(text).toContain('100 → 5, 95.0 % less')
  expect(text).toContain('delivery: 0 rows lost, 1 record doubled')
  expect(text).toContain('alerts: 1 raised; from the register to the hub in 180 ms (p50), 190 ms (p99)')
  expect(text).toContain('all is well')
  expect(text).not.toContain('simulated hour')
})

test('a summary names what failed, and what the production settings save', () => {
  const production = { settings: { ...report.settings, windowMs: 60_000 }, perRow: traffic, perMessage: traffic }
  const text = summaryLines(report, production, ['1 record reached the hub twice']).join('\n')
  expect(text).toContain('computed over 1 simulated hour: polls 250 ms, publishes 1 s, windows 60 s')
  expect(text).toContain('FAILED: 1 record reached the hub twice')
  expect(text).not.toContain('all is well')
})
