import { asObject } from '@weir/lib/json'
import { expect, test } from 'vitest'
import { loadDeployment } from '../manifest/load.ts'
import { plantDevices } from '../plant/layout.ts'
import { plantSignal } from '../plant/signals.ts'
import { aggregatorName, desiredOf, readerName } from './demo.ts'
import { manifestDefault } from './preparation.ts'
import { computeProduction, type ProductionParts } from './production.ts'

function parts(): ProductionParts {
  const manifest = loadDeployment(manifestDefault, {})
  const reader = desiredOf(manifest, readerName) ?? {}
  return {
    devices: plantDevices(reader),
    source: (deviceId, signal) => plantSignal(deviceId, signal, 1),
    reader,
    aggregator: desiredOf(manifest, aggregatorName) ?? {},
    detector: desiredOf(manifest, 'anomaly-detector'),
  }
}

test("an hour under the manifest's own settings has every poll in it and saves at least 90 % on all six figures", async () => {
  const production = await computeProduction(parts())
  expect(production?.settings).toEqual({ pollMs: 1000, publishMs: 1000, windowMs: 60_000 })
  // Four devices polled each second for an hour.
  expect(production?.perRow.raw.messages).toBe(4 * 3600)
  const saved = [production?.perRow.savedPct, production?.perMessage.savedPct].flatMap((pct) =>
    Object.values(pct ?? {}),
  )
  expect(saved.length).toBe(6)
  for (const pct of saved) expect(pct).toBeGreaterThanOrEqual(90)
  // A message a minute at least, and the six overheatings of the hour, each raised and ended.
  expect(production?.perRow.sent.messages).toBeGreaterThanOrEqual(60 + 12)
})

test('a configuration that a module would refuse has no figures', async () => {
  const refused = parts()
  expect(await computeProduction({ ...refused, aggregator: { windows: {} } })).toBeUndefined()
  expect(
    await computeProduction({ ...refused, reader: { ...refused.reader, pollIntervalMs: 'often' } }),
  ).toBeUndefined()
})

test('an hour with too many values is not computed', async () => {
  const { reader, ...others } = parts()
  expect(asObject(reader['devices'])).toBeDefined()
  expect(await computeProduction({ ...others, reader: { ...reader, pollIntervalMs: 10 } })).toBeUndefined()
})
