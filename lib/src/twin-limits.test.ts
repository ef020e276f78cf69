import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { JsonObject, JsonValue } from './json.ts'
import { checkReported } from './twin-limits.ts'

function nested(depth: number): JsonObject {
  return depth === 1 ? { a: 1 } : { a: nested(depth - 1) }
}

describe('reported properties', () => {
  it.each<[string, JsonObject, string]>([
    ['a name with a dot', { config: { 'a.b': 1 } }, 'reported/config/a.b: a name must not hold "."'],
    ['a name with a space', { 'a b': 1 }, 'reported/a b: a name must not hold " "'],
    ['a name with a dollar', { $version: 1 }, 'reported/$version: a name must not hold "$"'],
    ['a name of 2000 bytes', { ['é'.repeat(1000)]: 1 }, 'a name of 2000 bytes exceeds 1024'],
    ['an empty name', { '': 1 }, 'a name is empty'],
    ['a text of 5000 bytes', { a: 'x'.repeat(5000) }, 'reported/a: a text of 5000 bytes exceeds 4096'],
    ['null in an array', { a: [1, null] }, 'reported/a/1: null must not stand in an array'],
    ['null in an object in an array', { a: [{ b: null }] }, 'reported/a/0/b: null must not stand in an array'],
    ['a whole number beyond 2^52', { a: { b: 2 ** 53 } }, 'reported/a/b: 9007199254740992 is beyond'],
    ['eleven levels', nested(11), 'nested deeper than 10'],
  ])('are refused with %s', (_, patch, text) => {
    expect(checkReported(patch, {})).toContain(text)
  })

  it.each<[string, JsonObject]>([
    ['null, which deletes', { a: null, b: { c: null } }],
    ['ten levels', nested(10)],
    ['2^52', { a: 2 ** 52, b: -(2 ** 52), c: 1e300 }],
    ['arrays', { a: [1, 'x', { b: true }] }],
  ])('may hold %s', (_, patch) => {
    expect(checkReported(patch, {})).toBeUndefined()
  })

  it('are refused where they exceed 32 KB together with what is reported already', () => {
    const some = Object.fromEntries(Array.from({ length: 6 }, (_, index) => [`a${index}`, 'x'.repeat(3000)]))
    const more = Object.fromEntries(Array.from({ length: 6 }, (_, index) => [`b${index}`, 'x'.repeat(3000)]))
    expect(checkReported(more, {})).toBeUndefined()
    expect(checkReported(more, some)).toContain('together exceed 32768')
    expect(
      checkReported({ ...more, ...Object.fromEntries(Object.keys(some).map((key) => [key, null])) }, some),
    ).toBeUndefined()
  })

  it('are checked without a throw, whatever they hold', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (patch) => {
        const problem = checkReported(patch as Record<string, JsonValue>, {})
        expect(problem === undefined || problem.startsWith('reported')).toBe(true)
      }),
    )
  })
})
