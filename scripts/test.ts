/**
 * `npm test`: types, lint and every test. Ends with `N passed, N failed, N skipped`; each skipped suite is named with
 * what it needs. With WEIR_FORBID_SKIPS=1 (as in CI) a skipped test fails the run.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { checkSteps, runSteps } from './check.ts'

const root = resolve(import.meta.dirname, '..')

interface TestReport {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numPendingTests: number
  readonly numFailedTestSuites: number
  readonly testResults: readonly {
    readonly name: string
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[]
  }[]
}

/** Runs vitest on `filters` (all tests when empty); returns the exit code. */
function runTests(filters: readonly string[]): number {
  const folder = mkdtempSync(join(tmpdir(), 'weir-test-'))
  try {
    const file = join(folder, 'report.json')
    const vitest = join(root, 'node_modules/vitest/vitest.mjs')
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`]
    const done = spawnSync(process.execPath, [vitest, 'run', ...reporters, ...filters], { cwd: root, stdio: 'inherit' })
    const report = JSON.parse(readFileSync(file, 'utf8')) as TestReport
    const skipped = report.testResults.flatMap((suite) =>
      suite.assertionResults.filter((test) => test.status !== 'passed' && test.status !== 'failed'),
    )
    for (const test of skipped) process.stdout.write(`skipped: ${test.fullName}\n`)
    process.stdout.write(
      `${report.numPassedTests} passed, ${report.numFailedTests} failed, ${skipped.length} skipped\n`,
    )
    if (done.status !== 0) return done.status ?? 1
    if (process.env['WEIR_FORBID_SKIPS'] === '1' && skipped.length > 0) {
      process.stdout.write('weir: skipped tests are not allowed here (WEIR_FORBID_SKIPS=1); install what they name\n')
      return 1
    }
    return report.numPassedTests === 0 ? 1 : 0
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const filters = process.argv.slice(2)
const unitTests = checkSteps.length - 1
const code = filters.length > 0 ? 0 : runSteps(checkSteps.slice(0, unitTests))
process.exitCode = code !== 0 ? code : runTests(filters)
