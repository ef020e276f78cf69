import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '@weir/lib/clock'
import { type JsonObject, mergePatch } from '@weir/lib/json'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Database } from './database.ts'
import { GroupCommit } from './group-commit.ts'
import { desiredDifference, TwinStore, twinDocument } from './twins.ts'

let folder: string
let database: Database
let commit: GroupCommit
let twins: TwinStore

function open(): void {
  database = new Database(join(folder, 'hub.db'))
  commit = new GroupCommit(database, systemClock)
  twins = new TwinStore(database, commit)
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weir-twins-'))
  open()
})
afterEach(() => {
  database.close()
  rmSync(folder, { recursive: true })
})

function restart(): void {
  commit.close()
  database.close()
  open()
}

function report(patch: unknown): string | undefined {
  const problem = twins.report('m', patch, (error) => expect(error).toBeUndefined())
  commit.flush()
  return problem
}

function nested(depth: number): JsonObject {
  return depth === 0 ? {} : { a: nested(depth - 1) }
}

const twin = (desired: JsonObject, desiredVersion: number, reported: JsonObject = {}, reportedVersion = 1) => ({
  desired,
  desiredVersion,
  reported,
  reportedVersion,
})

test('a twin that nobody wrote is empty', () => {
  expect(twinDocument(twins.get('m'))).toEqual({ desired: { $version: 1 }, reported: { $version: 1 } })
})

describe('reported properties', () => {
  test('a patch merges, null deletes, and each makes a version', () => {
    report({ a: 1, b: { c: 1, d: 2 } })
    report({ a: null, b: { c: 3 } })
    expect(twinDocument(twins.get('m'))['reported']).toEqual({ b: { c: 3, d: 2 }, $version: 3 })
  })

  test('a patch is on disk once it is settled, for the module and for the cloud', () => {
    report({ a: 1 })
    restart()
    expect(twins.get('m').reported).toEqual({ a: 1 })
    expect(twins.nextReport()).toMatchObject({ moduleId: 'm', patch: { a: 1 } })
  })

  test('patches wait for the cloud in order until it has them', () => {
    for (const a of [1, 2, 3]) report({ a })
    const seen: unknown[] = []
    for (let next = twins.nextReport(); next !== undefined; next = twins.nextReport()) {
      seen.push(next.patch)
      twins.reportDone(next)
      restart()
    }
    expect(seen).toEqual([{ a: 1 }, { a: 2 }, { a: 3 }])
  })

  test.each([
    ['no object', [1]],
    ['a dot in a name', { 'a.b': 1 }],
    ['a dollar in a name', { $version: 1 }],
    ['a space in a name', { 'a b': 1 }],
    ['a long name', { ['n'.repeat(1025)]: 1 }],
    ['a long text', { a: 'x'.repeat(4097) }],
    ['null in an array', { a: [1, null] }],
    ['a number beyond 2^52', { a: 2 ** 53 }],
    ['too deep', nested(12)],
    ['more than 32 KiB', Object.fromEntries(Array.from({ length: 10 }, (_, at) => [`a${at}`, 'x'.repeat(4000)]))],
  ])('%s is refused and changes nothing', (_what, patch) => {
    report({ before: 1 })
    expect(report(patch)).toBeTypeOf('string')
    expect(twinDocument(twins.get('m'))['reported']).toEqual({ before: 1, $version: 2 })
  })

  test('the section may not grow beyond 32 KiB over several patches', () => {
    const patch = (name: string) => ({ [name]: { a: 'x'.repeat(4000), b: 'x'.repeat(4000), c: 'x'.repeat(4000) } })
    expect([report(patch('a')), report(patch('b'))]).toEqual([undefined, undefined])
    expect(report(patch('c'))).toMatch(/32768/)
  })
})

describe('desired properties', () => {
  test('a newer patch merges and is told; one that is not newer is not', () => {
    twins.welcome({ m: twin({ a: 1, b: { c: 1 } }, 2) })
    expect(twins.desiredPatch('m', { b: { c: null, d: 1 }, $version: 3 }, 3)).toEqual({
      moduleId: 'm',
      patch: { b: { c: null, d: 1 } },
      version: 3,
    })
    expect(twins.desiredPatch('m', { a: 5 }, 3)).toBeUndefined()
    restart()
    expect(twinDocument(twins.get('m'))['desired']).toEqual({ a: 1, b: { d: 1 }, $version: 3 })
  })

  test('what changed while the cloud was away comes as one patch', () => {
    twins.welcome({ m: twin({ a: 1, b: { c: 1, d: 1 }, e: 1 }, 2) })
    restart()
    expect(twins.welcome({ m: twin({ a: 1, b: { c: 2, d: 1 }, f: 1 }, 5) })).toEqual([
      { moduleId: 'm', patch: { e: null, b: { c: 2 }, f: 1 }, version: 5 },
    ])
    expect(twins.welcome({ m: twin({ a: 1, b: { c: 2, d: 1 }, f: 1 }, 5) })).toEqual([])
  })

  test('the difference turns one into the other', () => {
    const properties = fc.dictionary(
      fc.constantFrom('a', 'b', '__proto__'),
      fc.oneof(fc.nat(2), fc.dictionary(fc.constantFrom('x', 'y'), fc.nat(2)), fc.array(fc.nat(1))),
    )
    fc.assert(
      fc.property(properties, properties, (before, after) => {
        const merged = mergePatch(before, desiredDifference(before, after))
        expect(JSON.stringify(sorted(merged))).toBe(JSON.stringify(sorted(after)))
      }),
    )
  })
})

function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.entries(value)
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, item]) => [name, sorted(item)])
}

test('what the cloud holds is taken, with the patches it has not seen on top', () => {
  report({ a: 1 })
  twins.report('m', { b: 2 }, () => {})
  twins.welcome({ m: twin({}, 1, { a: 0, z: 9 }, 7) })
  expect(twinDocument(twins.get('m'))['reported']).toEqual({ a: 1, z: 9, b: 2, $version: 9 })
})

test('the twin of a module that is gone goes too', () => {
  twins.welcome({ m: twin({ a: 1 }, 1), n: twin({}, 1) })
  twins.welcome({ n: twin({}, 1) })
  restart()
  expect(twins.get('m').desired).toEqual({})
})
