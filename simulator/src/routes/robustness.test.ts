import fc from 'fast-check'
import { it } from 'vitest'
import { compileCondition } from './condition.ts'
import { RouteError } from './error.ts'
import { lintRoutes } from './lint.ts'
import type { RoutableMessage } from './message.ts'
import { parseRoute } from './route.ts'
import { compileRoutes } from './table.ts'

const pieces = [
  ...['true', 'false', 'null', 'undefined', 'line', '$line', '$body.a', '$body.a.b[0]', '{$shift}', '3', '-4', '0x1F'],
  ...['1.5e3', 'e5', "'text'", '"81.5"', 'is_null(', 'concat(', 'as_number(', 'substring(', 'is_defined(', 'power('],
  ...['twin_change_includes(', '(', '(', ')', ')', ',', '+', '-', '*', '/', '%', '||', '=', '!=', '<>', '<', '<=', '>'],
  ...[
    '>=',
    'and',
    'or',
    'not',
    '??',
    '@',
    ';',
    "'open",
    '[0]',
    'into',
    '{',
    '}',
    '\\',
    '/*',
    '*/',
    'FROM',
    '/messages',
  ],
  ...['WHERE', 'INTO', '$upstream', 'BrokeredEndpoint("/modules/a/inputs/b")'],
]
const words = fc.array(fc.constantFrom(...pieces), { maxLength: 14 }).map((list) => list.join(' '))
const text = fc.oneof(words, fc.string({ unit: 'binary', maxLength: 60 }), fc.string({ maxLength: 60 }))

/** Conditions that fit the grammar; most of them do not fit the types. */
const condition: fc.Arbitrary<string> = fc.letrec<{ node: string }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 4, depthSize: 'medium' },
    fc.constantFrom('true', 'null', 'undefined', 'line', 'nothing', 'none', '$body.a', '$body.b[1]', '3', "'x'", "'7'"),
    fc.tuple(tie('node'), fc.constantFrom('+', '-', '*', '/', '%', '||', '=', '<>', '<', '>='), tie('node')).map(join),
    fc.tuple(tie('node'), fc.constantFrom('AND', 'OR', '??'), tie('node')).map(join),
    fc.tuple(fc.constantFrom('NOT', '-', 'is_null', 'is_bool', 'length', 'as_number', 'abs'), tie('node')).map(call),
    fc.tuple(fc.constantFrom('concat', 'power', 'index_of', 'substring'), tie('node'), tie('node')).map(callTwo),
  ),
})).node

function join([left, operator, right]: [string, string, string]): string {
  return `(${left} ${operator} ${right})`
}
function call([name, arg]: [string, string]): string {
  return `${name} (${arg})`
}
function callTwo([name, left, right]: [string, string, string]): string {
  return `${name}(${left}, ${right})`
}

const message: fc.Arbitrary<RoutableMessage> = fc.record({
  source: fc.constantFrom({ kind: 'device' }, { kind: 'twinChange', moduleId: '$edgeHub' }),
  properties: fc.constantFrom({}, { line: '7', nothing: null }, { line: '', '$body.a': 'x' }),
  systemProperties: fc.constantFrom(
    {},
    { contentType: 'application/json', contentEncoding: 'utf-8' },
    { contentType: 'application/json', contentEncoding: 'utf-16' },
  ),
  body: fc.oneof(
    fc.json().map((json) => Buffer.from(json)),
    fc.json().map((json) => Buffer.from(`{"a": ${json}, "b": [1, ${json}]}`)),
    fc.uint8Array().map((bytes) => Buffer.from(bytes)),
  ),
}) as fc.Arbitrary<RoutableMessage>

function onlyRouteError(action: () => unknown): void {
  try {
    action()
  } catch (error) {
    if (!(error instanceof RouteError)) throw error
  }
}

it('no text makes the compiler throw anything but RouteError', () => {
  fc.assert(
    fc.property(text, (input) => {
      onlyRouteError(() => compileCondition(input, { twinChange: true }))
      onlyRouteError(() => parseRoute(input))
      onlyRouteError(() => parseRoute(`FROM /messages WHERE ${input} INTO $upstream`))
    }),
    { numRuns: 2000 },
  )
})

it('a condition that compiles gives true, false or undefined for every message', () => {
  fc.assert(
    fc.property(fc.oneof(condition, words), message, (input, subject) => {
      onlyRouteError(() => {
        const result = compileCondition(input, { twinChange: true }).evaluate(subject)
        if (result !== undefined && typeof result !== 'boolean') throw new TypeError(`${input} gave ${String(result)}`)
      })
    }),
    { numRuns: 3000 },
  )
})

it('NOT NOT a condition is the condition, and AND and OR do not depend on the order of bools', () => {
  const bool = fc.constantFrom('true', 'false', "line = '7'", "missing = '7'", 'as_number(line) > 3')
  fc.assert(
    fc.property(bool, bool, message, (a, b, subject) => {
      const value = (input: string) => compileCondition(input).evaluate(subject)
      const same = value(`NOT (NOT (${a}))`) === value(a)
      const commutes = ['AND', 'OR'].every((word) => value(`(${a}) ${word} (${b})`) === value(`(${b}) ${word} (${a})`))
      const morgan = value(`NOT ((${a}) AND (${b}))`) === value(`NOT (${a}) OR NOT (${b})`)
      return same && commutes && morgan
    }),
  )
})

it('no configuration makes the table throw anything but RouteError, and the linter never throws', () => {
  const route = fc.oneof(
    text,
    fc.json().map((json): unknown => JSON.parse(json)),
  )
  const desired = fc.record(
    {
      schemaVersion: fc.constantFrom('1.0', '1.1', '1.2', '9', 1),
      routes: fc.oneof(fc.dictionary(fc.string({ maxLength: 5 }), route), fc.constant(null)),
      storeAndForwardConfiguration: fc.oneof(fc.constant({ timeToLiveSecs: 60 }), fc.constant('x')),
    },
    { requiredKeys: [] },
  )
  fc.assert(
    fc.property(desired, message, (input, subject) => {
      onlyRouteError(() => compileRoutes(input).route(subject))
      lintRoutes({ modulesContent: { $edgeHub: { 'properties.desired': input } } })
      lintRoutes(input)
    }),
    { numRuns: 1000 },
  )
})
