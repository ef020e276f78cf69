import { describe, expect, it } from 'vitest'
import { type Finding, type LintOptions, lintRoutes } from './lint.ts'

const modules = { reader: {}, aggregator: {}, detector: {} }
const options: LintOptions = {
  outputs: { reader: ['telemetry'], aggregator: ['aggregates', 'raw'] },
  arrayOutputs: { aggregator: ['aggregates'] },
}
const good = {
  telemetry: 'FROM /messages/modules/reader/outputs/telemetry INTO BrokeredEndpoint("/modules/aggregator/inputs/rows")',
  up: 'FROM /messages/modules/aggregator/* INTO $upstream',
}

function manifest(routes: Record<string, unknown>, hub: Record<string, unknown> = {}): unknown {
  return {
    modulesContent: {
      $edgeAgent: { 'properties.desired': { modules } },
      $edgeHub: {
        'properties.desired': {
          schemaVersion: '1.1',
          routes,
          storeAndForwardConfiguration: { timeToLiveSecs: 7200 },
          ...hub,
        },
      },
    },
  }
}

function lint(route: string): Finding[] {
  return lintRoutes(manifest({ ...good, route }), options)
}

it('routes that do what they say give no findings', () => {
  expect(lintRoutes(manifest(good), options)).toEqual([])
})

describe('a warning for what edgeHub takes and nobody means', () => {
  const condition = (text: string) => `FROM /messages/modules/detector/* WHERE ${text} INTO $upstream`
  it.each([
    ['FROM /messages INTO $upstream WHERE a', "does not read 'WHERE a'", 'remove it'],
    [condition("a!='x'"), "'a!' is read as one name, '!' included", 'spaces around operators'],
    [condition("x = 'a'||'b'"), `''a'||'b'' is read as one name`, 'spaces around operators'],
    [condition('$body.a-5 = 3'), "'$body.a-5' is read as one name, '-' included", 'spaces around operators'],
    [condition('$body.a-$body.b = 3'), "'$body.a-$body.b' is read as one name", 'spaces around operators'],
    [condition('is_defined(e5)'), "'e5' is read as a number without value", 'rename'],
    [condition('ready'), 'the condition is text, which never is true', "ready = 'true'"],
    [condition('3'), 'the condition is a number, which never is true', 'write a comparison'],
    [condition("temp > '30'"), "compares as text, where '9' is more than '30'", 'as_number(temp)'],
    [condition("$body.temp = '30'"), 'a number in the body never equals text', 'without quotes'],
    [condition('$body.temp > 30'), 'is true for messages without $body.temp too', 'is_number($body.temp) AND'],
    [condition('30 <= $body.temp'), 'is true for messages without $body.temp too', 'is_number($body.temp) AND'],
    [condition('is_null($body.a)'), 'true for a value that is there', '$body.a = null'],
    [condition('is_defined($body.a)'), 'is true for a path that is missing', '$body.a <> null'],
    [
      'FROM /twinChangeNotifications WHERE twin_change_includes(tags.a) INTO $upstream',
      'unknown to a real edgeHub',
      '',
    ],
    ['FROM /messages/modules/readr/* INTO $upstream', "module 'readr' is not in the manifest", "did you mean 'reader'"],
    [
      'FROM /messages/modules/reader/outputs/telemetri INTO $upstream',
      "module 'reader' has no output 'telemetri'",
      "did you mean 'telemetry'",
    ],
    ['FROM /message/* INTO $upstream', "nothing sends to '/message/*'", '/messages/*'],
    ['FROM /messages/modules/*/outputs/raw INTO $upstream', 'stands for itself', 'name the segment'],
    ['FROM /messages INTO BrokeredEndpoint("/modules/Detector/inputs/a")', "'Detector' is not in the", "'detector'"],
    [
      'FROM /messages INTO BrokeredEndpoint("/x/detector/y/a")',
      "edgeHub takes '/x/detector/y/a'",
      '/modules/detector/',
    ],
    [
      'FROM /messages/modules/aggregator/outputs/aggregates WHERE $body.n = 1 INTO $upstream',
      "$body cannot read what 'aggregator' sends on 'aggregates'",
      'application properties',
    ],
    ['FROM /* WHERE $body.n = 1 INTO $upstream', "$body cannot read what 'aggregator' sends on 'aggregates'", ''],
  ])('%s', (route, message, hint) => {
    const findings = lint(route)
    expect(findings).toHaveLength(1)
    expect(findings[0]).toMatchObject({ severity: 'warning', route: 'route' })
    expect(findings[0]?.message).toContain(message)
    expect(findings[0]?.hint).toContain(hint)
  })
})

describe('no warning for what is meant', () => {
  it.each([
    "FROM /messages/modules/detector/* WHERE content-type = 'x' AND line-4 = 'y' INTO $upstream",
    'FROM /messages/modules/detector/* WHERE is_number($body.a) AND $body.a > 3 INTO $upstream',
    'FROM /messages/modules/detector/* WHERE $body.a < 3 OR 3 <> $body.b OR $body.$version = 2 INTO $upstream',
    "FROM /messages/modules/detector/* WHERE as_number(temp) > 30 AND count = '3' INTO $upstream",
    'FROM /messages/modules/detector/outputs/anything INTO $upstream',
    'FROM /messages/modules/AGGREGATOR/outputs/RAW WHERE $body.n = 1 INTO $upstream',
    'FROM /twinChangeNotifications INTO $upstream',
  ])('%s', (route) => {
    expect(lint(route)).toEqual([])
  })
})

it('an output that no route reads is told', () => {
  const routes = { ...good, up: 'FROM /messages/modules/aggregator/outputs/raw INTO $upstream' }
  expect(lintRoutes(manifest(routes), options)).toEqual([
    {
      severity: 'warning',
      route: undefined,
      message: "no route reads output 'aggregates' of module 'aggregator': its messages are dropped",
      hint: 'write FROM /messages/modules/aggregator/outputs/aggregates INTO …',
    },
  ])
})

it('every refusal is told at once, each with its route', () => {
  const findings = lintRoutes(
    manifest({ a: 'FROM /messages WHERE temp > 30 INTO $upstream', 'b.c': 'FROM /* INTO $upstream', d: { route: 1 } }),
  )
  expect(findings.map(({ severity, route, message }) => [severity, route, message])).toEqual([
    ['error', 'a', "'>' between text and a number at 1:27"],
    ['error', 'b.c', 'its name has "."'],
    ['error', 'd', 'it has no "route"'],
  ])
})

it('a hub that would expire messages at once is told', () => {
  const findings = lintRoutes(manifest(good, { storeAndForwardConfiguration: {} }))
  expect(findings.map(({ message }) => message)).toEqual([
    'storeAndForwardConfiguration/timeToLiveSecs is 0, so that messages expire at once',
  ])
})

it('a manifest without $edgeHub is an error', () => {
  for (const input of [undefined, [], {}, { modulesContent: {} }, { modulesContent: { $edgeHub: {} } }]) {
    expect(lintRoutes(input)).toMatchObject([{ severity: 'error', route: undefined }])
  }
})

it('layered and older manifests are read too', () => {
  const route = 'FROM /messages INTO $upstream now'
  const layered = { content: { modulesContent: { $edgeHub: { 'properties.desired.routes.up': route } } } }
  expect(lintRoutes(layered).map(({ route: name, message }) => [name, message])).toContainEqual([
    'up',
    "edgeHub does not read 'now' after the sink",
  ])
  const older = {
    moduleContent: { $edgeHub: { properties: { desired: { schemaVersion: '1.0', routes: { up: route } } } } },
  }
  expect(lintRoutes(older).filter(({ severity }) => severity === 'warning')).toHaveLength(1)
})
