import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { systemClock } from '@weir/lib/clock'
import { command } from '@weir/lib/command'
import { CommandServer } from '@weir/lib/command-server'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { Cloud } from './cloud/cloud.ts'
import { type ServiceApi, startServiceApi } from './cloud/service-api.ts'
import { TestEdgeHub, upstreamMessage } from './cloud/test-edge-hub.ts'
import { runWeir } from './weir.ts'

const silent = { debug: () => {}, info: () => {}, warning: () => {}, error: () => {}, critical: () => {} }
let folder: string
let cloud: Cloud
let api: ServiceApi
let hub: TestEdgeHub

const commands = [
  command({
    name: 'readRegister',
    summary: 'Reads a register.',
    arguments: z.strictObject({ device: z.string(), count: z.int().default(1) }),
    job: false,
    run: async ({ device, count }) => [{ device, count }],
  }),
  command({
    name: 'scan',
    summary: 'Scans.',
    arguments: z.strictObject({}),
    job: true,
    run: async (_input, { progress }) => {
      progress('half way')
      await new Promise((done) => setTimeout(done, 600))
      return { found: 2 }
    },
  }),
]

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'weir-cli-'))
  const socketPath = join(folder, 'cloud.sock')
  cloud = await Cloud.open({
    iotHubHostname: 'hub.azure-devices.net',
    deviceId: 'gateway',
    socketPath,
    secret: 's',
    stateFolder: folder,
    clock: systemClock,
    log: silent,
  })
  cloud.deploy([{ identity: { moduleId: 'reader', generationId: '1', primaryKey: 'a2V5' }, desired: { pollMs: 5 } }])
  api = await startServiceApi({ cloud, stateFolder: folder, moduleStates: () => ({ reader: { state: 'running' } }) })
  hub = await TestEdgeHub.dial(socketPath)
  hub.send({ type: 'hello', deviceId: 'gateway', secret: 's' })
  await hub.next('welcome')
  void answerMethods()
})

afterEach(async () => {
  hub.close()
  await api.close()
  await cloud.close()
  rmSync(folder, { recursive: true })
})

/** Plays the module until the link closes. */
async function answerMethods(): Promise<void> {
  const server = new CommandServer({
    clock: systemClock,
    module: 'reader',
    version: '1',
    status: () => ({ rows: 3 }),
    commands: () => commands,
  })
  for (;;) {
    const call = await hub.next('method').catch(() => undefined)
    if (call === undefined) return
    const { status, payload } = await server.call(call.name, call.payload)
    hub.send({ type: 'methodResult', id: call.id, status, payload })
  }
}

async function run(words: string[], signal = new AbortController().signal, onLine = (_line: string): void => {}) {
  const out: string[] = []
  const err: string[] = []
  const code = await runWeir(words, {
    clock: systemClock,
    cwd: folder,
    signal,
    out: (text) => {
      out.push(text)
      onLine(text)
    },
    err: (text) => err.push(text),
  })
  return { code, out: out.join('\n'), err: err.join('\n') }
}

function here(...words: string[]) {
  return run(['--state', folder, ...words])
}

describe('weir', () => {
  test('lists the modules', async () => {
    expect(await here('modules')).toEqual({
      code: 0,
      err: '',
      out: 'moduleId  state    desiredVersion  reportedVersion\nreader    running               1                1',
    })
    expect(JSON.parse((await here('modules', '--json')).out)[0].moduleId).toBe('reader')
  })

  test('the state folder may be named before or after a verb', async () => {
    expect((await run(['modules', '--state', folder])).code).toBe(0)
    expect((await run([`--state=${folder}`, 'modules'])).code).toBe(0)
  })

  test('shows and sets twins, from JSON or a file', async () => {
    expect((await here('twin', 'reader')).out).toContain('"pollMs": 5')
    const set = await here('twin', 'reader', 'set', '{"pollMs":null,"a":1}', '--json')
    expect(JSON.parse(set.out)).toMatchObject({ desired: { a: 1 }, desiredVersion: 2 })
    writeFileSync(join(folder, 'patch.json'), '{"a":2}')
    expect((await here('twin', 'reader', 'set', '@patch.json')).out).toContain('"a": 2')
    expect(await here('twin', 'reader', 'set', '@none.json')).toMatchObject({ code: 2 })
    expect(await here('twin', 'reader', 'set', '[]')).toMatchObject({
      code: 2,
      err: expect.stringContaining('expected an object'),
    })
    expect(await here('twin', 'nobody')).toMatchObject({
      code: 1,
      err: 'weir: module nobody: no such module on this device',
    })
  })

  test('calls methods as they are', async () => {
    expect(await here('call', 'reader', 'ping')).toEqual({ code: 0, err: '', out: 'module   reader\nversion  1' })
    expect(await here('call', 'reader', 'readRegister', '{"device":"a"}', '--json')).toMatchObject({
      out: '[{"device":"a","count":1}]',
    })
    expect(await here('call', 'reader', 'nothing')).toMatchObject({
      code: 1,
      err: 'weir: nothing answered with status 404',
    })
    expect(await here('call', 'reader', 'ping', '--timeout', 'soon')).toMatchObject({ code: 2 })
    expect(await here('call', 'reader', 'ping', '--timeout', '1')).toMatchObject({
      code: 1,
      err: expect.stringContaining('responseTimeoutMs 1000'),
    })
  })

  test("runs a module's commands, and its jobs to their end", async () => {
    expect(await here('reader', 'readRegister', '--device', 'press-4', '--count', '3')).toEqual({
      code: 0,
      err: '',
      out: 'device   count\npress-4      3',
    })
    expect(await here('reader', 'scan')).toMatchObject({ code: 0, out: 'found  2', err: 'half way' })
    expect((await here('reader')).out).toContain('readRegister')
  })

  test('sends a message to a device', async () => {
    expect((await here('send', 'plc-1', '{"set":1}')).out).toMatch(/^messageId {2}\S+$/)
    expect(cloud.deviceMessages.receive('plc-1')?.body).toEqual({ set: 1 })
  })

  test('shows messages, and follows them until Ctrl-C', async () => {
    hub.send({
      type: 'messages',
      id: 1,
      messages: [upstreamMessage('alert', { text: '\u009b31m' }), upstreamMessage('raw', {})],
    })
    await hub.next('stored')
    const shown = await here('messages', '--type', 'alert')
    expect(shown.out).toMatch(/^\S+Z {2}reader {2}alert {2}\{"text":"\\u009b31m"\}$/)
    expect(JSON.parse((await here('messages', '--type', 'raw', '--json')).out).moduleId).toBe('reader')
    const abort = new AbortController()
    const followed = await run(['--state', folder, 'messages', '--follow'], abort.signal, (line) => {
      if (line.includes('receipt')) abort.abort()
      else if (line.includes('raw')) hub.send({ type: 'messages', id: 2, messages: [upstreamMessage('receipt', {})] })
    })
    expect(followed).toMatchObject({ code: 0, err: '' })
    expect(followed.out.split('\n')).toHaveLength(3)
  })

  test.each([
    [['modlues'], 'weir: modlues: no such command or module (did you mean modules?)'],
    [['raeder', 'ping'], 'weir: raeder: no such command or module (did you mean reader?)'],
    [['reader', 'pnig'], 'pnig: no such command (did you mean ping?)'],
    [['reader', 'readRegister', '--devcie', 'a'], 'readRegister: --devcie: unknown option (did you mean --device?)'],
    [['messages', '--folow'], 'weir: --folow: unknown option (did you mean --follow?)'],
    [['messages', '--type'], 'weir: --type: expects a value'],
    [['messages', '--follow=1'], 'weir: --follow: takes no value'],
    [['modules', 'reader'], 'weir: modules: expected weir modules'],
    [['twin', 'reader', 'get'], 'weir: twin: expected weir twin MODULE [set JSON|@FILE]'],
    [['call', 'reader'], 'weir: call: expected weir call MODULE METHOD [JSON|@FILE] [--timeout SECONDS]'],
    [['--verbose'], 'weir: --verbose: unknown option; weir help lists what there is'],
  ])('%j ends with 2 and says what was meant', async (words, err) => {
    expect(await here(...words)).toEqual({ code: 2, out: '', err })
  })

  test('without a running simulator it says how to start one', async () => {
    const none = await run(['--state', join(folder, 'none'), 'modules'])
    expect(none).toMatchObject({ code: 1, err: expect.stringContaining('start one with npm start') })
  })

  test('help needs no simulator, nor do routes', async () => {
    expect((await run(['help'])).out).toContain('weir messages [--type TYPE] [--follow]')
    expect((await run(['--state', folder, 'call', '--help'])).out).toContain('calls a direct method')
    expect(await run(['routes', 'nothing'])).toMatchObject({
      code: 2,
      err: expect.stringContaining('weir routes test FILE'),
    })
  })

  test('runs as a program, whose exit code is that of the command', async () => {
    const program = resolve(import.meta.dirname, '../bin/weir.mjs')
    const { stdout } = await promisify(execFile)(process.execPath, [program, '--state', folder, 'modules', '--json'])
    expect(JSON.parse(stdout)[0].moduleId).toBe('reader')
    await expect(promisify(execFile)(process.execPath, [program, '--state', folder, 'modlues'])).rejects.toMatchObject({
      code: 2,
    })
  })
})
