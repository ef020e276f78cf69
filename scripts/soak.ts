/** `npm run soak [-- --kills N --seed S --only PROCESS,…]`: the kill test at length. Prints its seed; a failing run says how to repeat it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { problemsOf, runKills } from '../test/soak/kill-run.ts'
import { processNames } from '../test/soak/running-device.ts'

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '200' },
    seed: { type: 'string', default: String(Date.now() % 1e9) },
    only: { type: 'string', default: processNames.join(',') },
  },
})

function wholeNumber(name: string, text: string, max: number): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && value <= max) return value
  throw new Error(`--${name} ${text}: expected a whole number up to ${max}`)
}

const killsEach = wholeNumber('kills', values.kills, 100_000)
const seed = wholeNumber('seed', values.seed, 2 ** 32 - 1)
const processes = values.only.split(',')
for (const name of processes) {
  if (!processNames.includes(name)) throw new Error(`--only ${name}: expected some of ${processNames.join(',')}`)
}
const folder = mkdtempSync(join(tmpdir(), 'weir-soak-'))
const say = (text: string): boolean => process.stdout.write(`${text}\n`)

say(`soak: ${processes.join(', ')} killed ${killsEach} times each, seed ${seed}; state and logs in ${folder}`)
const startMs = performance.now()
const run = await runKills({
  stateFolder: folder,
  seed,
  killsEach,
  processes,
  onKill(done, of, name) {
    const elapsedS = Math.round((performance.now() - startMs) / 1000)
    if (done % 10 === 0 || done === of) say(`soak: ${elapsedS} s, ${done} of ${of} kills, last ${name}`)
  },
})
const { rows, records, crossings, alerts, redelivered } = run.findings.seen
const { late, bad, refused, kept } = run.elsewhere
say(`soak: ${rows} rows (${late} late, ${bad} bad, ${refused} refused, ${kept} kept), ${records} windows`)
say(`soak: ${crossings} crossings, ${alerts} alerts, ${redelivered} messages redelivered`)
const problems = problemsOf(run)
for (const problem of problems) say(`FAILED: ${problem}`)
if (problems.length > 0) {
  const again = `npm run soak -- --kills ${killsEach} --seed ${seed} --only ${values.only}`
  say(`soak: ${problems.length} problems; repeat it with: ${again}`)
  process.exitCode = 1
} else {
  rmSync(folder, { recursive: true, force: true })
  say('soak: nothing is missing, nothing came twice')
}
