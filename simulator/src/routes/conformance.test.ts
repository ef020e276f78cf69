import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { runVectors } from './vectors.ts'

const folder = join(import.meta.dirname, 'vectors')
const sharedPath = '../shared/data/routing-conditions.json'
const sharedFile = join(import.meta.dirname, '../../..', sharedPath)
const sharedThere = existsSync(sharedFile)

function run(file: string): ReturnType<typeof runVectors> {
  return runVectors(JSON.parse(readFileSync(file, 'utf8')))
}

for (const name of readdirSync(folder)) {
  it(`agrees with every route vector of ${name}`, () => {
    const { passed, disagreements } = run(join(folder, name))
    expect(disagreements).toEqual([])
    expect(passed).toBeGreaterThan(0)
  })
}

it.skipIf(!sharedThere)(
  sharedThere ? 'agrees with every shared route vector' : `shared route vectors: skipped, ${sharedPath} is not there`,
  () => {
    const { passed, disagreements } = run(sharedFile)
    expect(disagreements).toEqual([])
    expect(passed).toBeGreaterThanOrEqual(329)
  },
)
