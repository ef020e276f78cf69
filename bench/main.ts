/**
 * `npm run bench [-- NAME …] [--out FILE.json]`: measures on bundles and prints each figure beside its settings.
 * Without names every bench runs. Figures are JSON on request; nothing here is a test and nothing fails by being slow.
 */
import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { bundleAll } from '../scripts/bundle.ts'
import { benchAggregatorCore } from './aggregator.ts'
import { benchEdgeHub } from './edge-hub.ts'
import { benchJournal } from './journal.ts'
import { benchLatency } from './latency.ts'
import { benchPath } from './path.ts'

const benches: Readonly<Record<string, () => Promise<object>>> = {
  aggregator: benchAggregatorCore,
  journal: benchJournal,
  'edge-hub': benchEdgeHub,
  path: benchPath,
  latency: benchLatency,
}

/** Benches that start processes; they run the bundles, as images do. */
const onBundles = new Set(['edge-hub', 'path', 'latency'])

const { values, positionals } = parseArgs({ allowPositionals: true, options: { out: { type: 'string' } } })
const names = positionals.length > 0 ? positionals : Object.keys(benches)
const unknown = names.filter((name) => benches[name] === undefined)
if (unknown.length > 0) {
  process.stderr.write(`bench: ${unknown.join(', ')}: unknown; the benches are ${Object.keys(benches).join(', ')}\n`)
  process.exit(2)
}

const machine = { cores: cpus().length, cpu: cpus()[0]?.model ?? 'unknown', node: process.version }
const results: Record<string, object> = { machine }
process.stdout.write(`${machine.cores} cores of ${machine.cpu}, Node ${machine.node}\n`)
if (names.some((name) => onBundles.has(name))) await bundleAll()
for (const name of names) {
  const result = await benches[name]?.()
  if (result === undefined) continue
  results[name] = result
  process.stdout.write(`${name}: ${JSON.stringify(result, null, 2)}\n`)
}
if (values.out !== undefined) writeFileSync(values.out, `${JSON.stringify(results, null, 2)}\n`)
