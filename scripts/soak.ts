/**
 * `npm run soak [-- --kills N --seed S --only PROCESS,…]`: the kill test at length. Prints its seed; a run that fails says
 * how to repeat it, and keeps its state, its logs and what arrived.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { errorText } from '@weir/lib/errors'
import { type KillRun, problemsOf, runKills } from '../test/soak/kill-run.ts'
import { processNames } from '../test/soak/running-device.ts'

interface Options {
  readonly killsEach: number
  readonly seed: number
  readonly processes: readonly string[]
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

function wholeNumber(name: string, text: string, max: number): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && value <= max) return value
  throw new Error(`--${name} ${text}: expected a whole number up to ${max}`)
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      kills: { type: 'string', default: '200' },
      seed: { type: 'string', default: String(Date.now() % 1e9) },
      only: { type: 'string', default: processNames.join(',') },
    },
  })
  const processes = values.only.split(',')
  const unknown = processes.find((name) => !processNames.includes(name))
  if (unknown !== undefined) throw new Error(`--only ${unknown}: expected some of ${processNames.join(',')}`)
  return {
    killsEach: wholeNumber('kills', values.kills, 100_000),
    seed: wholeNumber('seed', values.seed, 2 ** 32 - 1),
    processes,
  }
}

function sayFigures({ findings, elsewhere }: KillRun): void {
  const { rows, records, crossings, alerts, redelivered } = findings.seen
  const { late, bad, refused, kept } = elsewhere
  say(`soak: ${rows} rows (${late} late, ${bad} bad, ${refused} refused, ${kept} kept), ${records} windows`)
  say(`soak: ${crossings} crossings, ${alerts} alerts, ${redelivered} messages redelivered`)
}

/** @returns whether all was well. */
async function soak(options: Options): Promise<boolean> {
  const { killsEach, seed, processes } = options
  const folder = mkdtempSync(join(tmpdir(), 'weir-soak-'))
  const again = `npm run soak -- --kills ${killsEach} --seed ${seed} --only ${processes.join(',')}`
  say(`soak: ${processes.join(', ')} killed ${killsEach} times each, seed ${seed}; state and logs in ${folder}`)
  const startMs = performance.now()
  const onKill = (done: number, of: number, name: string): void => {
    const elapsedS = Math.round((performance.now() - startMs) / 1000)
    if (done % 10 === 0 || done === of) say(`soak: ${elapsedS} s, ${done} of ${of} kills, last ${name}`)
  }
  const problems: string[] = []
  try {
    const run = await runKills({ ...options, stateFolder: folder, onKill })
    sayFigures(run)
    problems.push(...problemsOf(run))
  } catch (error) {
    problems.push(errorText(error))
  }
  for (const problem of problems) say(`FAILED: ${problem}`)
  if (problems.length > 0) {
    say(`soak: ${problems.length} problems; repeat it with: ${again}`)
    return false
  }
  rmSync(folder, { recursive: true, force: true })
  say('soak: nothing is missing, nothing came twice')
  return true
}

try {
  process.exitCode = (await soak(readOptions())) ? 0 : 1
} catch (error) {
  process.stderr.write(`soak: ${errorText(error)}\n`)
  process.exitCode = 1
}
