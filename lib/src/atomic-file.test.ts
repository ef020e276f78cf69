import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { readState, writeFileAtomic, writeState } from './atomic-file.ts'
import { temporaryFolder } from './test-context.ts'

const schema = z.strictObject({ a: z.number() })

describe('state files', () => {
  it('give back what was written', () => {
    const path = join(temporaryFolder(), 'state.json')
    expect(readState(path, 1, schema)).toBeUndefined()
    writeState(path, 1, { a: 1 })
    writeState(path, 1, { a: 2 })
    expect(readState(path, 1, schema)).toEqual({ a: 2 })
  })

  it('hold the old content whole where a write was cut short', () => {
    const path = join(temporaryFolder(), 'state.json')
    writeState(path, 1, { a: 1 })
    writeFileSync(`${path}.new`, '{"stateVersion":1,"st')
    expect(readState(path, 1, schema)).toEqual({ a: 1 })
  })

  it('of a newer version are refused by name, not touched', () => {
    const path = join(temporaryFolder(), 'state.json')
    writeState(path, 2, { a: 1, b: 2 })
    expect(() => readState(path, 1, schema)).toThrow(expect.objectContaining({ code: 'STATE_NEWER' }))
    expect(readFileSync(path, 'utf8')).toContain('"b":2')
  })

  it('of an older version are migrated', () => {
    const path = join(temporaryFolder(), 'state.json')
    writeState(path, 1, { old: 4 })
    const state = readState(path, 2, schema, (before, version) => {
      expect(version).toBe(1)
      return { a: z.object({ old: z.number() }).parse(before).old }
    })
    expect(state).toEqual({ a: 4 })
  })

  it.each([
    '',
    '{',
    '7',
    '{"stateVersion":1}',
    '{"stateVersion":1,"state":{"a":"x"}}',
    '{"stateVersion":0,"state":{"a":1}}',
  ])('that are damaged say so: %j', (text) => {
    const path = join(temporaryFolder(), 'state.json')
    writeFileSync(path, text)
    expect(() => readState(path, 1, schema)).toThrow(expect.objectContaining({ code: 'STATE_DAMAGED' }))
  })

  it('that cannot be written leave the old content and say where', () => {
    const folder = temporaryFolder()
    const path = join(folder, 'state.json')
    writeFileAtomic(path, 'old')
    mkdirSync(`${path}.new`)
    expect(() => writeFileAtomic(path, 'new')).toThrow(
      expect.objectContaining({ code: 'STATE_UNWRITABLE', message: expect.stringContaining(path) }),
    )
    expect(readFileSync(path, 'utf8')).toBe('old')
  })

  it('can be read by their owner only', () => {
    const path = join(temporaryFolder(), 'state.json')
    writeFileAtomic(path, 'x')
    expect(statSync(path).mode & 0o777).toBe(0o600)
  })
})
