/** A module that is none of ours, in plain JavaScript on the device SDK alone, started by hand on the local edge runtime. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

const rootFolder = resolve(import.meta.dirname, '..')
const weirProgram = join(rootFolder, 'simulator', 'bin', 'weir.mjs')
const timeoutMs = 40_000

/** As the SDK's samples have it: takes inputs, sends on, reports. */
const foreignModule = `
const { createRequire } = require('node:module')
const fromLib = createRequire(${JSON.stringify(join(rootFolder, 'lib', 'package.json'))})
const { Message, ModuleClient } = fromLib('azure-iot-device')
const { Mqtt } = fromLib('azure-iot-device-mqtt')

ModuleClient.fromEnvironment(Mqtt, async (error, client) => {
  if (error) throw error
  await client.open()
  client.on('inputMessage', (input, message) => {
    console.log(JSON.stringify({ input, body: JSON.parse(message.getData().toString('utf8')) }))
    const answer = new Message(JSON.stringify({ seen: true }))
    answer.properties.add('messageType', 'seen')
    client.sendOutputEvent('seen', answer, () => {})
    client.complete(message, () => {})
  })
  const twin = await client.getTwin()
  console.log(JSON.stringify({ desired: twin.properties.desired }))
})
`

let folder = ''
let stateFolder = ''
const started: ChildProcess[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weir-foreign-'))
  stateFolder = join(folder, 'state')
})
afterEach(async () => {
  for (const child of started.splice(0).reverse()) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    child.kill('SIGTERM')
    await new Promise((done) => child.once('exit', done))
  }
  rmSync(folder, { recursive: true, force: true })
})

interface Program {
  readonly child: ChildProcess
  output(): string
}

function run(command: string, words: readonly string[], environment = process.env): Program {
  const child = spawn(command, words, { cwd: rootFolder, env: environment, stdio: ['ignore', 'pipe', 'pipe'] })
  started.push(child)
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  }
  return { child, output: () => output }
}

async function until(what: string, program: Program, condition: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = Date.now() + timeoutMs
  while (!(await condition())) {
    if (program.child.exitCode !== null) throw new Error(`${what}: ended too early:\n${program.output()}`)
    if (Date.now() > endMs) throw new Error(`${what}: not within ${timeoutMs} ms:\n${program.output()}`)
    await new Promise((done) => setTimeout(done, 100))
  }
}

async function weir(...words: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [weirProgram, '--state', stateFolder, ...words])
  return stdout
}

describe('a module that is not ours', () => {
  test('started by hand with the printed environment, connects and gets its inputs by a route added at run time', async () => {
    const simulator = run(process.execPath, [
      ...['--import', 'tsx', 'simulator/src/main.ts', '--port', '0', '--state', stateFolder, '--duration', '90'],
    ])
    await until('simulator', simulator, () => simulator.output().includes('first readings'))

    await expect(weir('env', 'my-module')).rejects.toThrow('register it with weir env my-module --new')
    const environmentFile = join(folder, 'environment')
    writeFileSync(environmentFile, await weir('env', 'my-module', '--new'))
    const moduleFile = join(folder, 'module.cjs')
    writeFileSync(moduleFile, foreignModule)
    // As a person would: the lines are read by a shell, which knows nothing else of the simulator.
    const program = run('/bin/sh', ['-c', `. '${environmentFile}' && exec '${process.execPath}' '${moduleFile}'`], {
      PATH: process.env['PATH'],
    })
    await until('module', program, () => program.output().includes('{"desired":'))

    const routes = {
      telemetryToMine:
        'FROM /messages/modules/modbus-reader/outputs/telemetry INTO BrokeredEndpoint("/modules/my-module/inputs/readings")',
      mineUpstream: 'FROM /messages/modules/my-module/outputs/* INTO $upstream',
    }
    await weir('twin', '$edgeHub', 'set', JSON.stringify({ routes }))
    await until('module', program, () => program.output().includes('"input":"readings"'))
    const line = program
      .output()
      .split('\n')
      .find((text) => text.includes('"input":"readings"'))
    expect(JSON.parse(line ?? '')).toMatchObject({ input: 'readings', body: { readings: expect.any(Array) } })
    await until('module', program, async () => (await weir('messages', '--type', 'seen')).includes('my-module'))

    expect(JSON.parse(await weir('modules', '--json'))).toContainEqual(
      expect.objectContaining({ moduleId: 'my-module', desiredVersion: 1 }),
    )
    await weir('twin', '$edgeHub', 'set', JSON.stringify({ routes: { telemetryToMine: 'FROM nothing' } }))
    await until('simulator', simulator, async () => {
      const { reported } = JSON.parse(await weir('twin', '$edgeHub', '--json'))
      return reported.lastDesiredStatus?.code === 400
    })
  })
})
