/** `npm run check`: types, lint, generated texts and unit tests, in under a minute. Stops at the first that fails. */
import { spawnSync } from 'node:child_process'
import { join, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '..')

interface Step {
  readonly name: string
  readonly file: string
  readonly arguments: readonly string[]
}

export const checkSteps: readonly Step[] = [
  { name: 'types', file: 'node_modules/typescript/bin/tsc', arguments: ['--noEmit', '-p', '.'] },
  { name: 'lint', file: 'node_modules/@biomejs/biome/bin/biome', arguments: ['check', '--error-on-warnings', '.'] },
  {
    name: 'unit tests and generated texts',
    file: 'node_modules/vitest/vitest.mjs',
    arguments: ['run', '--project', 'unit'],
  },
]

/** Runs the steps in order; returns the first exit code that is not 0. */
export function runSteps(steps: readonly Step[]): number {
  for (const step of steps) {
    const startMs = performance.now()
    const done = spawnSync(process.execPath, [join(root, step.file), ...step.arguments], {
      cwd: root,
      stdio: 'inherit',
    })
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1)
    process.stdout.write(`${step.name}: ${done.status === 0 ? 'passed' : 'FAILED'} in ${seconds} s\n`)
    if (done.status !== 0) return done.status ?? 1
  }
  return 0
}

if (import.meta.main) process.exitCode = runSteps(checkSteps)
