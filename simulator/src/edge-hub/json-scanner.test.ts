import fc from 'fast-check'
import { expect, test } from 'vitest'
import { JsonScanner } from './json-scanner.ts'

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

function scans(text: string): boolean {
  const scanner = new JsonScanner(Buffer.from(text))
  return scanner.document(() => scanner.value())
}

test('whatever is JSON is walked over', () => {
  fc.assert(fc.property(fc.json(), (text) => scans(text)))
})

test('a text with one character changed is JSON for both or for neither', () => {
  const spoilt = fc.record({
    text: fc.json(),
    at: fc.nat(),
    character: fc.constantFrom(
      '"',
      '\\',
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '0',
      '-',
      '.',
      'e',
      '+',
      'u',
      't',
      ' ',
      '\n',
      'é',
    ),
    insert: fc.boolean(),
  })
  fc.assert(
    fc.property(spoilt, ({ text, at, character, insert }) => {
      const place = at % (text.length + 1)
      const changed = text.slice(0, place) + character + text.slice(place + (insert ? 0 : 1))
      expect(scans(changed)).toBe(isJson(changed))
    }),
    { numRuns: 2000 },
  )
})

test.each([
  '',
  ' ',
  '01',
  '1.',
  '-',
  '.5',
  '1e',
  '"\t"',
  '"\\x"',
  '"\\u12g4"',
  '[1,]',
  '{"a":1,}',
  '{a:1}',
  'nul',
  '1 2',
])('%j is no JSON', (text) => {
  expect(scans(text)).toBe(false)
})
