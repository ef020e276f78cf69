import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '@weir/lib/clock'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Cloud } from '../cloud/cloud.ts'
import { type DeviceOperations, type ServiceApi, startServiceApi } from '../cloud/service-api.ts'
import { runWeir } from '../weir.ts'
import { RequestError } from '../workload/http-json.ts'
import { type Fault, faultText } from './fault.ts'

let folder = ''
let cloud: Cloud
let api: ServiceApi
let active: Fault[] = []
const registered = new Set<string>()

const device: DeviceOperations = {
  activeFaults: () => active,
  async orderFault(fault) {
    if (fault.place === 'module') throw new RequestError(404, 'module x: no such module in this run')
    active.push(fault)
  },
  async clearFaults() {
    active = []
  },
  environment(moduleId) {
    if (!registered.has(moduleId)) throw new RequestError(404, `module ${moduleId}: not in the manifest`)
    return { IOTEDGE_MODULEID: moduleId, QUOTED: "it's $HOME" }
  },
  register: (moduleId) => registered.add(moduleId),
}

async function serve(withDevice: boolean): Promise<void> {
  api = await startServiceApi({ cloud, stateFolder: folder, device: withDevice ? device : undefined })
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'weir-service-'))
  active = []
  registered.clear()
  cloud = await Cloud.open({
    iotHubHostname: 'hub.azure-devices.net',
    deviceId: 'gateway',
    socketPath: join(folder, 'cloud.sock'),
    secret: 's',
    stateFolder: folder,
    clock: systemClock,
    log: { debug() {}, info() {}, warning() {}, error() {}, critical() {} },
  })
})
afterEach(async () => {
  await api.close()
  await cloud.close()
  rmSync(folder, { recursive: true })
})

async function weir(...words: string[]): Promise<{ code: number; out: string; err: string }> {
  const out: string[] = []
  const err: string[] = []
  const code = await runWeir(['--state', folder, ...words], {
    clock: systemClock,
    cwd: folder,
    signal: new AbortController().signal,
    out: (text) => out.push(text),
    err: (text) => err.push(text),
  })
  return { code, out: out.join('\n'), err: err.join('\n') }
}

test('faults are ordered, listed and cleared', async () => {
  await serve(true)
  expect(await weir('fault')).toEqual({ code: 0, out: 'no fault is active', err: '' })
  const cut = await weir('fault', 'upstream', 'cut')
  expect(cut).toEqual({ code: 0, out: 'place     action\nupstream  cut', err: '' })
  await weir('fault', 'messages', 'a', 'duplicate', '--share', '0.5')
  expect(active.map(faultText)).toEqual(['upstream cut', 'messages a duplicate share 0.5'])
  expect(JSON.parse((await weir('fault', '--json')).out)).toEqual(active)
  expect((await weir('fault', 'clear')).out).toBe('no fault is active')
  expect(active).toEqual([])
})

test('what cannot be ordered is said with its cause', async () => {
  await serve(true)
  expect(await weir('fault', 'module', 'x', 'kill')).toMatchObject({
    code: 1,
    err: 'weir: module x: no such module in this run',
  })
  expect(await weir('fault', 'upstream', 'slow')).toMatchObject({ code: 2, err: expect.stringContaining('delayMs') })
  const headers = { authorization: `Bearer ${api.token}` }
  const answer = await fetch(`${api.url}/faults`, {
    method: 'POST',
    headers,
    body: '{"place":"upstream","action":"off"}',
  })
  expect(answer.status).toBe(400)
  expect((await answer.json()) as object).toEqual({ message: expect.stringContaining('expected upstream cut |') })
})

test('the environment of a module is printed for a shell, and one that is new is registered first', async () => {
  await serve(true)
  expect(await weir('env', 'mine')).toMatchObject({ code: 1, err: 'weir: module mine: not in the manifest' })
  expect(await weir('env', 'mine', '--new')).toEqual({
    code: 0,
    out: "export IOTEDGE_MODULEID='mine'\nexport QUOTED='it'\\''s $HOME'",
    err: '',
  })
  expect(JSON.parse((await weir('env', 'mine', '--json')).out)).toEqual(device.environment('mine'))
  expect(await weir('env')).toMatchObject({ code: 2, err: 'weir: env: expected weir env MODULE [--new]' })
})

test('without a device there is nothing to make fail', async () => {
  await serve(false)
  expect(await weir('fault')).toMatchObject({ code: 1, err: 'weir: service API: no device is behind this hub' })
})

test('the help says what can be ordered', async () => {
  await serve(true)
  for (const words of [['help'], ['fault', '--help']]) {
    expect((await weir(...words)).out).toContain('weir fault clock NAME|all step --ms N | restore')
  }
})
