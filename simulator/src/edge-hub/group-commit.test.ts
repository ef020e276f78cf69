import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ManualClock } from '@weir/lib/clock'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Database } from './database.ts'
import { GroupCommit } from './group-commit.ts'

let folder: string
let clock: ManualClock
let database: Database
let commit: GroupCommit

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weir-commit-'))
  clock = new ManualClock()
  database = new Database(join(folder, 'hub.db'))
  commit = new GroupCommit(database, clock)
})
afterEach(() => {
  database.close()
  rmSync(folder, { recursive: true })
})

function add(name: string): () => void {
  return () => database.prepare('INSERT INTO meta (name, value) VALUES (?, 1)').run(name)
}

function fail(): void {
  throw new Error('disk full')
}

function names(): unknown[] {
  return database
    .prepare('SELECT name FROM meta ORDER BY name')
    .all()
    .map((row) => row['name'])
}

test('work that nobody waits for is written within 50 ms', () => {
  commit.later(add('a'))
  clock.advance(49)
  expect(names()).toEqual([])
  clock.advance(1)
  expect(names()).toEqual(['a'])
})

test('work that nobody waits for goes with the next group', () => {
  commit.later(add('a'))
  commit.write(add('b'), () => {})
  commit.flush()
  expect(names()).toEqual(['a', 'b'])
})

test('a group is written whole or not at all, and who waits is told', () => {
  const errors: unknown[] = []
  for (const apply of [add('a'), fail, add('b')]) commit.write(apply, (error) => errors.push(error?.code))
  commit.flush()
  expect(names()).toEqual([])
  expect(errors).toEqual(['STATE_UNWRITABLE', 'STATE_UNWRITABLE', 'STATE_UNWRITABLE'])
})

test('work that nobody waits for is tried again after a failure', () => {
  commit.later(add('a'))
  commit.write(fail, () => {})
  commit.flush()
  expect(names()).toEqual([])
  clock.advance(1000)
  expect(names()).toEqual(['a'])
})

test('closed, it writes what waits and refuses the rest', () => {
  const errors: unknown[] = []
  commit.write(add('a'), (error) => errors.push(error?.code))
  commit.close()
  commit.write(add('b'), (error) => errors.push(error?.code))
  commit.later(add('c'))
  commit.flush()
  expect(names()).toEqual(['a'])
  expect(errors).toEqual([undefined, 'STATE_UNWRITABLE'])
})
