import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { deathProblems, type KillRun, problemsOf, runKills } from './soak/kill-run.ts'

/** With WEIR_LONG=1, as in CI, the long part; else the quick one. WEIR_SEED repeats a run. */
const isLong = process.env['WEIR_LONG'] === '1'
const killsEach = isLong ? 20 : 3
const seed = Number(process.env['WEIR_SEED'] ?? Date.now() % 1e9)

describe(`reader, aggregator, detector, forwarder and edge hub, each killed ${killsEach} times (seed ${seed})`, () => {
  let run: KillRun

  beforeAll(async () => {
    const folder = mkdtempSync(join(tmpdir(), 'weir-kill-'))
    const again = `npm run soak -- --kills ${killsEach} --seed ${seed}`
    process.stdout.write(`kill test: seed ${seed}, state and logs in ${folder}; repeat it with: ${again}\n`)
    run = await runKills({ stateFolder: folder, seed, killsEach })
    if (problemsOf(run).length === 0) rmSync(folder, { recursive: true, force: true })
  }, 900_000)

  test('there was something to lose: rows, windows and alerts throughout', () => {
    const { rows, records, crossings } = run.findings.seen
    expect(rows).toBeGreaterThan(50 * killsEach)
    expect(records).toBeGreaterThan(5 * killsEach)
    expect(crossings).toBeGreaterThan(2 * killsEach)
  })

  test('no window is missing, and none counts a row twice', () => {
    expect(run.findings.windows).toEqual([])
  })

  test('no window comes twice', () => {
    expect(run.findings.doubledRecords).toEqual([])
  })

  test('every row that the edge hub took is in a window, or counted with its reason', () => {
    expect(run.findings.rows).toEqual([])
  })

  test('no alert is missing, and none comes without its cause', () => {
    expect(run.findings.missingAlerts).toEqual([])
  })

  test('no alert is raised twice', () => {
    expect(run.findings.doubledAlerts).toEqual([])
  })

  test('no message of any session is missing', () => {
    expect(run.findings.sequences).toEqual([])
  })

  test('nothing dies but what was killed, and everything killed comes back', () => {
    expect(deathProblems(run)).toEqual([])
  })
})
