import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { CloudMessage } from './cloud-message.ts'
import { compileIotHubRoutes, EndpointFolders } from './iothub-routes.ts'

const file = resolve(import.meta.dirname, '../../../cloud/iothub-routes.json')
const definition = JSON.parse(readFileSync(file, 'utf8'))

function message(messageType: string, body: unknown, more: Partial<CloudMessage> = {}): CloudMessage {
  return {
    source: 'DeviceMessages',
    moduleId: 'aggregator',
    properties: { messageType },
    systemProperties: { contentType: 'application/json', contentEncoding: 'utf-8' },
    body: Buffer.from(JSON.stringify(body)),
    edgeEnqueuedMs: 0,
    enqueuedMs: Date.UTC(2026, 0, 10, 12),
    ...more,
  }
}

function routesOf(...routes: object[]) {
  return {
    endpoints: [{ name: 'one' }, { name: 'two' }],
    routes: routes.map((route, index) => ({
      name: `r${index}`,
      source: 'DeviceMessages',
      endpointNames: ['one'],
      isEnabled: true,
      ...route,
    })),
    fallbackRoute: { isEnabled: true, endpointNames: ['events'] },
  }
}

describe('the routes of this repository', () => {
  const routes = compileIotHubRoutes(definition, file, 'gateway')

  test.each([
    ['an aggregate', message('aggregate', [{ avg_temperature: 1 }]), ['stream-analytics-endpoint', 'datalake-storage']],
    ['an alert', message('alert', { alert: 'anomaly' }), ['anomaly-event-hub', 'datalake-storage']],
    ['a receipt', message('receipt', {}), ['datalake-storage']],
    ['a new module', message('', {}, { source: 'DeviceLifecycleEvents' }), ['cosmos-db-endpoint']],
    ['a twin change, which none asks for', message('', {}, { source: 'TwinChangeEvents' }), []],
  ])('%s goes where the reference wants it', (_what, given, expected) => {
    expect(routes.endpointsFor(given)).toEqual(expected)
  })

  test('each of the four routes says what became of it', () => {
    expect(
      definition.routes.map(({ name, comment }: { name: string; comment: string }) => [name, comment.length > 20]),
    ).toEqual([
      ['realtime-to-stream-analytics', true],
      ['anomalies-to-event-hub', true],
      ['all-data-to-storage', true],
      ['device-lifecycle-to-cosmos', true],
    ])
  })

  test("the reference's own condition would not have compiled", () => {
    const original = routesOf({ condition: 'temperature > 0 OR vibration > 0' })
    expect(() => compileIotHubRoutes(original, 'reference', 'gateway')).toThrow(/^reference: routes\/r0: /)
  })
})

describe('routing', () => {
  test('an endpoint gets a message once however many routes lead there; what none matches goes to the fallback', () => {
    const routes = compileIotHubRoutes(
      routesOf(
        { condition: "messageType = 'a'", endpointNames: ['one', 'two'] },
        { condition: "$connectionDeviceId = 'gateway' AND messageType = 'a'" },
        { condition: 'true', isEnabled: false },
      ),
      'f',
      'gateway',
    )
    expect(routes.endpointsFor(message('a', {}))).toEqual(['one', 'two'])
    expect(routes.endpointsFor(message('b', {}))).toEqual(['events'])
  })

  test('without the fallback such a message goes nowhere', () => {
    const off = { ...routesOf({ condition: 'false' }), fallbackRoute: { isEnabled: false, endpointNames: ['events'] } }
    expect(compileIotHubRoutes(off, 'f', 'g').endpointsFor(message('a', {}))).toEqual([])
  })

  test.each([
    ['an unknown key', { ...routesOf(), extra: 1 }, /extra/],
    ['an unknown endpoint', routesOf({ endpointNames: ['three'] }), /routes\/r0: endpoint three is not declared/],
    ['an unknown source', routesOf({ source: 'Everything' }), /routes\/0\/source/],
    ['trailing text', routesOf({ condition: 'true garbage' }), /routes\/r0: text after the condition: garbage/],
    [
      'every bad condition at once',
      routesOf({ condition: '(' }, { condition: '1 +' }),
      /routes\/r0: .*; routes\/r1: /s,
    ],
  ])('%s is refused with its place', (_what, value, expected) => {
    expect(() => compileIotHubRoutes(JSON.parse(JSON.stringify(value)), 'f', 'g')).toThrow(expected)
  })
})

describe('endpoint folders', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'weir-endpoints-'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  test('hold a file for each day, for a week', () => {
    const routes = compileIotHubRoutes(routesOf({ condition: 'true' }), 'f', 'g')
    mkdirSync(join(folder, 'one'))
    for (const day of ['2026-01-03', '2026-01-04']) writeFileSync(join(folder, 'one', `${day}.jsonl`), '')
    const endpoints = new EndpointFolders(routes, folder)
    endpoints.store([message('a', 1), message('a', 2)])
    endpoints.store([message('a', 3, { enqueuedMs: Date.UTC(2026, 0, 11) })])
    endpoints.close()
    expect(readdirSync(folder)).toEqual(['events', 'one', 'two'])
    expect(readdirSync(join(folder, 'one'))).toEqual(['2026-01-10.jsonl', '2026-01-11.jsonl'])
    const lines = readFileSync(join(folder, 'one', '2026-01-10.jsonl'), 'utf8')
      .trimEnd()
      .split('\n')
    expect(lines.map((line) => JSON.parse(line).body)).toEqual([1, 2])
  })

  test('a folder that cannot be written is a clear error', () => {
    writeFileSync(join(folder, 'one'), '')
    const routes = compileIotHubRoutes(routesOf(), 'f', 'g')
    expect(() => new EndpointFolders(routes, folder)).toThrow(/one: cannot be written/)
  })
})
