import { describe, expect, it } from 'vitest'
import { RouteError } from './error.ts'
import type { RoutableMessage } from './message.ts'
import { parseRoute } from './route.ts'
import { compileRoutes } from './table.ts'

const storeAndForwardConfiguration = { timeToLiveSecs: 7200 }

function alert(properties: Record<string, string>): RoutableMessage {
  const source = { kind: 'module', moduleId: 'detector', output: 'alerts' } as const
  return { source, properties, systemProperties: {}, body: Buffer.from('{}') }
}

function refusal(action: () => unknown): RouteError {
  try {
    action()
  } catch (error) {
    if (error instanceof RouteError) return error
  }
  throw new TypeError('it was accepted')
}

it('a message goes once to each endpoint, by the best of its matching routes', () => {
  const table = compileRoutes({
    schemaVersion: '1.1',
    storeAndForwardConfiguration,
    routes: {
      everything: 'FROM /messages/* INTO $upstream',
      bulk: { route: 'FROM /messages/modules/detector/* INTO $upstream', priority: 9 },
      urgent: {
        route: "FROM /messages/modules/detector/outputs/alerts WHERE severity = 'high' INTO $upstream",
        priority: 0,
        timeToLiveSecs: 86_400,
      },
      local: 'FROM /messages/modules/detector/outputs/alerts INTO BrokeredEndpoint("/modules/forwarder/inputs/alerts")',
    },
  })
  const local = {
    endpointId: 'forwarder/alerts',
    sink: { kind: 'module', moduleId: 'forwarder', input: 'alerts' },
    priority: 2_000_000_000,
    timeToLiveSecs: 7200,
    route: 'local',
  }
  const sink = { kind: 'upstream' }
  expect(table.route(alert({ severity: 'high' }))).toEqual([
    { endpointId: '$upstream', sink, priority: 0, timeToLiveSecs: 86_400, route: 'urgent' },
    local,
  ])
  expect(table.route(alert({ severity: 'low' }))).toEqual([
    { endpointId: '$upstream', sink, priority: 9, timeToLiveSecs: 7200, route: 'bulk' },
    local,
  ])
  expect(table.routes.map(({ name }) => name)).toEqual(['everything', 'bulk', 'urgent', 'local'])
})

it('one bad route refuses the whole configuration and is named, with place and remedy', () => {
  const routes = { good: 'FROM /* INTO $upstream', bad: 'FROM /messages WHERE temp > 30 INTO $upstream' }
  const error = refusal(() => compileRoutes({ schemaVersion: '1.1', storeAndForwardConfiguration, routes }))
  expect(error.route).toBe('bad')
  expect(error.message).toBe(`route "bad": '>' between text and a number at 1:27; write as_number(temp) > 30`)
})

it.each([undefined, null, 7, 'routes', []])('desired properties that are %j are refused', (desired) => {
  expect(refusal(() => compileRoutes(desired)).statement).toBe('$edgeHub: schemaVersion is missing')
})

describe('a refused route says what to write instead', () => {
  it.each([
    ['FORM /messages INTO $upstream', "found 'FORM' where FROM was expected at 1:1", 'begin with FROM'],
    ['SELECT a FROM /messages INTO $upstream', "found 'a' where * was expected at 1:8", 'SELECT * FROM'],
    ['FROM messages INTO $upstream', "found 'messages' where / was expected at 1:6", 'a source is a path'],
    ['FROM /messages/modules/or INTO $upstream', "found 'or' in the source path at 1:24", 'rename it'],
    ['FROM /messages/ INTO $upstream', "found 'INTO' in the source path at 1:17", 'a name or a star after each slash'],
    ['FROM /messages $upstream', "found '$upstream' where INTO was expected at 1:16", 'WHERE and a condition'],
    ["FROM /messages WHERE a = 'b' && c INTO $upstream", "found '&&' where INTO was expected at 1:30", 'write AND'],
    ['FROM /messages WHERE true', 'the text ends where INTO was expected at 1:26', 'INTO $upstream'],
    ['FROM /messages INTO $cloud', "there is no sink '$cloud' at 1:21", 'INTO $upstream'],
    ['FROM /messages INTO Endpoint("/a/b/c/d")', "there is no sink 'Endpoint' at 1:21", 'BrokeredEndpoint'],
    ['FROM /messages INTO BrokeredEndpoint("a")', "'a' is not the path of an input at 1:38", '/modules/<module>'],
  ])('%s', (text, statement, hint) => {
    const error = refusal(() => parseRoute(text))
    expect(error.statement).toBe(statement)
    expect(error.hint).toContain(hint)
  })
})

it('a path that reads as a comment is explained', () => {
  const { hint } = refusal(() => parseRoute('FROM /messages/* INTO BrokeredEndpoint("/modules/*/inputs/a")'))
  expect(hint).toContain("everything from '/*' at character 15 to '*/' reads as a comment")
})

it('text after the sink is told, not refused', () => {
  const text = 'FROM /messages INTO $upstream WHERE true'
  const { trailing } = parseRoute(text)
  expect(text.slice(trailing?.offset)).toBe('WHERE true')
  expect(parseRoute('FROM /messages INTO $upstream /* note */').trailing).toBeUndefined()
})
