import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compileRules, compileSelector, matchesGlob, selectorSchema } from './selector.ts'

const subject = { deviceId: 'press-4', deviceType: 'press', location: 'hall-1', signal: 'oil-temperature' }

describe('selector', () => {
  it.each([
    ['*', true],
    ['device:press-*/signal:*temp*', true],
    ['signal:*temp*/device:press-4', true],
    ['device:press-?', true],
    ['device:press', false],
    ['type:press/location:hall-1', true],
    ['type:pump', false],
    ['signal:Oil-temperature', false],
  ])('%s: %s', (text, matches) => {
    expect(compileSelector(text)(subject)).toBe(matches)
  })

  it('lets a named key match no device that lacks it, but for *', () => {
    const bare = { deviceId: 'a', signal: 'b' }
    expect(compileSelector('type:press')(bare)).toBe(false)
    expect(compileSelector('type:*')(bare)).toBe(true)
  })

  it.each(['', 'press-4', 'device:', 'device:a/device:b', 'signal:a/', 'unit:3', '__proto__:a'])(
    'refuses %j',
    (text) => {
      expect(() => compileSelector(text)).toThrow(/selector/)
      expect(selectorSchema.safeParse(text).success).toBe(false)
    },
  )

  it('matches globs as a plain definition does', () => {
    const plain = (text: string, glob: string): boolean => {
      if (glob === '') return text === ''
      if (glob[0] === '*') return plain(text, glob.slice(1)) || (text !== '' && plain(text.slice(1), glob))
      return text !== '' && (glob[0] === '?' || glob[0] === text[0]) && plain(text.slice(1), glob.slice(1))
    }
    const letters = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 8 })
    const globs = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?'), maxLength: 6 })
    fc.assert(fc.property(letters, globs, (text, glob) => matchesGlob(text, glob) === plain(text, glob)))
  })
})

describe('rules', () => {
  it('choose the first match by order, ties by id', () => {
    const choose = compileRules({
      b: { select: 'signal:*', order: 10 },
      a: { select: 'signal:*', order: 10 },
      first: { select: 'device:oven-*', order: 1 },
    })
    expect(choose(subject)?.id).toBe('a')
    expect(choose({ ...subject, deviceId: 'oven-1' })?.id).toBe('first')
  })

  it('choose nothing where nothing matches', () => {
    expect(compileRules({ a: { select: 'device:x', order: 1 } })(subject)).toBeUndefined()
  })
})
