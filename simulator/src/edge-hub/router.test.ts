import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ManualClock } from '@weir/lib/clock'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Database } from './database.ts'
import { GroupCommit } from './group-commit.ts'
import type { HubMessage } from './message.ts'
import { Router } from './router.ts'
import { deviceId, routes } from './testing.ts'

let folder: string
let database: Database
let commit: GroupCommit
let router: Router

function open(): void {
  database = new Database(join(folder, 'hub.db'))
  commit = new GroupCommit(database, new ManualClock())
  router = new Router(deviceId, database, commit)
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weir-router-'))
  open()
})
afterEach(() => {
  database.close()
  rmSync(folder, { recursive: true })
})

function message(changes: Partial<HubMessage> = {}): HubMessage {
  const systemProperties = { outputName: 'out', correlationId: 'c' }
  return {
    kind: 'message',
    moduleId: 'reader',
    properties: {},
    systemProperties,
    body: Buffer.from('{}'),
    enqueuedMs: 1000,
    ...changes,
  }
}

const toSink = 'FROM /messages/modules/reader/outputs/out INTO BrokeredEndpoint("/modules/sink/inputs/in")'

test('priority and time to live are those of the route, else the hub', () => {
  router.configure(
    routes({ one: { route: toSink, priority: 3, timeToLiveSecs: 60 }, two: 'FROM /messages/* INTO $upstream' }),
  )
  expect(router.route(message())).toEqual([
    { target: 'sink', input: 'in', priority: 3, expiresMs: 61_000 },
    { target: '$upstream', input: '', priority: 2_000_000_000, expiresMs: 7_201_000 },
  ])
})

test('a negative time to live of the hub keeps messages for ever', () => {
  router.configure({ ...routes({ one: toSink }), storeAndForwardConfiguration: { timeToLiveSecs: -1 } })
  expect(router.route(message())).toMatchObject([{ expiresMs: undefined }])
})

test.each([
  "$connectionModuleId = 'reader'",
  `$connectionDeviceId = '${deviceId}'`,
  "$outputName = 'out'",
  "$cid = 'c'",
  "$correlationId = 'c'",
])('conditions see %s', (condition) => {
  router.configure(routes({ one: toSink.replace(' INTO', ` WHERE ${condition} INTO`) }))
  expect(router.route(message())).toHaveLength(1)
})

test('a twin change travels from $edgeHub', () => {
  router.configure(
    routes({ one: "FROM /twinChangeNotifications WHERE $connectionModuleId = '$edgeHub' INTO $upstream" }),
  )
  expect(router.route(message({ kind: 'twinChange' }))).toHaveLength(1)
  expect(router.route(message())).toEqual([])
})

test('without routes nothing goes anywhere', () => {
  expect(router.route(message())).toEqual([])
})

test('a configuration with one bad route is refused whole, and the last good one outlives a restart', () => {
  expect(router.configure(routes({ one: toSink }))).toEqual({ code: 200, description: '' })
  const refused = router.configure(routes({ good: 'FROM /* INTO $upstream', bad: 'FROM' }))
  expect(refused).toMatchObject({ code: 400, description: expect.stringContaining('route "bad"') })
  commit.close()
  database.close()
  open()
  expect(router.route(message())).toMatchObject([{ target: 'sink' }])
})
