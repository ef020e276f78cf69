import { describe, expect, it } from 'vitest'
import { compileCondition } from './condition.ts'
import { RouteError } from './error.ts'
import type { RoutableMessage } from './message.ts'

const message: RoutableMessage = {
  source: { kind: 'device' },
  properties: { line: 'press-4' },
  systemProperties: { contentType: 'application/json', contentEncoding: 'utf-8' },
  body: Buffer.from('{"speed": 3}'),
}

function refusal(condition: string): RouteError {
  try {
    compileCondition(condition)
  } catch (error) {
    if (error instanceof RouteError) return error
  }
  throw new TypeError(`${condition} compiled`)
}

describe('a refused condition says where, and what to write instead', () => {
  it.each([
    ['temp > 30', "'>' between text and a number at 1:6", 'write as_number(temp) > 30'],
    ['30 <= temp', "'<=' between a number and text at 1:4", 'write 30 <= as_number(temp)'],
    ["'1' + temp = 2", "'+' between text and text at 1:5", 'join text with ||'],
    ['$body.n % 2 = 0', "'%' between a $body value and a number at 1:9", 'write as_number($body.n) % 2'],
    ['ready = true', "'=' between text and a bool at 1:7", "write ready = 'true'"],
    ['line = null', "'=' between text and null at 1:6", 'write is_null(line)'],
    ["undefined <> 'x'", "'<>' between undefined and text at 1:11", "write NOT is_defined('x')"],
    ['e5 = 5', "'=' between undefined and a number at 1:4", "'e5' has no value"],
    ['NOT line', "'NOT' before text at 1:1", "as in NOT (line = 'x')"],
    ['- line = 3', "'-' before text at 1:1", 'write 0 - as_number(line)'],
    ['true AND $body.on', "'AND' between a bool and a $body value at 1:6", 'write $body.on = true'],
    ['line OR true', "'OR' between text and a bool at 1:6", "line = 'true'"],
    ['true || false', "'||' between a bool and a bool at 1:6", 'write OR'],
    ["line ?? 'a' = 'b'", "'??' between text and a bool at 1:6", 'put (a ?? b) in parentheses'],
    ['length(3) = 1', "'length' cannot take a number at 1:1", 'write length(text)'],
    ['trim(line)', "there is no function 'trim' at 1:1", 'substring'],
    ["line == 'a'", "found '==' at 1:7", 'write a single ='],
    ['(true && false)', "'(' at character 1 is not closed: found '&&' at 1:7", 'write AND'],
    ["line = 'a", "found ''a', text without its closing quote at 1:8", 'close it with the same quote'],
    ['from = 1', "found 'from' where a value was expected at 1:1", 'from is a keyword'],
    ['true\nAND ;', "found ';', which means nothing here at 2:5", 'remove it'],
    ['$body.a[] = 1', "the path of '$body.a[]' has ']' where an array index was expected at 1:1", '$body.a.b[0]'],
    ['{line} = 1', "'{' without a $name at 1:1", '{$contentType}'],
  ])('%s', (condition, statement, hint) => {
    const error = refusal(condition)
    expect(error.statement).toBe(statement)
    expect(error.hint).toContain(hint)
    expect(error.message).toBe(`${error.statement}; ${error.hint}`)
  })

  it('marks the offending text', () => {
    const { range } = refusal('1 = 1 AND temp > 30')
    expect(range).toMatchObject({ offset: 15, length: 1 })
  })
})

it('text behind a condition is told, not refused', () => {
  expect(compileCondition("line = 'press-4' )").trailing).toEqual({ offset: 17, length: 1 })
  expect(compileCondition("line = 'press-4'").trailing).toBeUndefined()
})

it('nesting that would exhaust the stack is refused', () => {
  expect(refusal(`${'('.repeat(10_000)}true`).statement).toContain('levels of nesting')
  expect(refusal(`true${' or true'.repeat(10_000)}`).statement).toContain('levels of nesting')
  expect(refusal('NOT '.repeat(10_000)).statement).toContain('levels of nesting')
})

it('a body is parsed once for all conditions and no earlier than needed', () => {
  let reads = 0
  const counted: RoutableMessage = {
    ...message,
    get body() {
      reads += 1
      return Buffer.from('{"speed": 3}')
    },
  }
  expect(compileCondition("line = 'press-4'").evaluate(counted)).toBe(true)
  expect(reads).toBe(0)
  expect(compileCondition('$body.speed = 3').evaluate(counted)).toBe(true)
  expect(compileCondition('$body.speed > 3 OR $body.speed < 3').evaluate(counted)).toBe(false)
  expect(reads).toBe(1)
})

it('utf-32 bodies are read', () => {
  const text = '{"a": "ä😀"}'
  const body = Buffer.alloc([...text].length * 4)
  for (const [index, char] of [...text].entries()) body.writeUInt32LE(char.codePointAt(0) ?? 0, index * 4)
  const utf32 = { ...message, systemProperties: { contentType: 'application/json', contentEncoding: 'UTF-32' }, body }
  expect(compileCondition("$body.a = 'ä😀'").evaluate(utf32)).toBe(true)
})
