/**
 * `npm run bench [-- NAME …] [--out FILE.json]`: measures on bundles and prints each figure beside its settings.
 * Without names every bench runs. Figures are JSON on request; nothing here is a test and nothing fails by being slow.
 *   --messages N        messages that the drain bench queues
 *   --seconds N         how long the path bench publishes
 *   --node-flags=FLAGS  further flags of Node for the processes that path, latency and drain start, e.g. --cpu-prof
 */
import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { bundleAll } from '../scripts/bundle.ts'
import { benchAggregatorCore } from './aggregator.ts'
import { benchAggregatorFlash } from './aggregator-flash.ts'
import { benchDrain } from './drain.ts'
import { extraNodeFlags } from './edge-device.ts'
import { benchEdgeHub } from './edge-hub.ts'
import { benchJournal } from './journal.ts'
import { benchLatency } from './latency.ts'
import { benchPath } from './path.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    out: { type: 'string' },
    messages: { type: 'string' },
    seconds: { type: 'string' },
    'node-flags': { type: 'string' },
  },
})

function fail(problem: string): never {
  process.stderr.write(`bench: ${problem}\n`)
  process.exit(2)
}

function count(name: 'messages' | 'seconds'): number | undefined {
  const text = values[name]
  if (text === undefined || /^[1-9]\d{0,7}$/.test(text)) return text === undefined ? undefined : Number(text)
  return fail(`--${name} ${text}: expected a whole number from 1`)
}

const messages = count('messages')
const seconds = count('seconds')
const benches: Readonly<Record<string, () => Promise<object>>> = {
  aggregator: benchAggregatorCore,
  'aggregator-flash': benchAggregatorFlash,
  journal: benchJournal,
  'edge-hub': () => benchEdgeHub(),
  path: () => benchPath(seconds),
  latency: benchLatency,
  drain: () => benchDrain(messages),
}

/** Benches that start processes; they run the bundles, as images do. */
const onBundles = new Set(['edge-hub', 'path', 'latency', 'drain'])

const names = positionals.length > 0 ? positionals : Object.keys(benches)
const unknown = names.filter((name) => benches[name] === undefined)
if (unknown.length > 0) fail(`${unknown.join(', ')}: unknown; the benches are ${Object.keys(benches).join(', ')}`)
extraNodeFlags.push(...(values['node-flags'] ?? '').split(' ').filter((flag) => flag !== ''))

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))

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
