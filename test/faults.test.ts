/** One run through everything that goes wrong at a plant, and what reaches the hub in the end. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { type Alert, alertSchema } from '@weir/lib/messages'
import type { FaultSchedule } from '@weir/simulator/faults/schedule'
import type { Report } from '@weir/simulator/runner/report'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

const rootFolder = resolve(import.meta.dirname, '..')
const durationS = 70

/** The oven overheats about 20 s after the start, while the hub is away, and is back to normal at about 45 s. */
const schedule: FaultSchedule = [
  { atS: 6, fault: { place: 'device', name: 'pump-2', action: 'off' } },
  { atS: 10, fault: { place: 'messages', name: 'aggregator', action: 'duplicate', share: 0.5 } },
  { atS: 10, fault: { place: 'messages', name: 'anomaly-detector', action: 'duplicate', share: 0.5 } },
  { atS: 10, fault: { place: 'messages', name: 'alert-forwarder', action: 'duplicate', share: 1 } },
  { atS: 15, fault: { place: 'upstream', action: 'cut' } },
  { atS: 27, fault: { place: 'upstream', action: 'restore' } },
  { atS: 30, fault: { place: 'device', name: 'pump-2', action: 'restore' } },
  { atS: 34, fault: { place: 'hub', action: 'restart' } },
  { atS: 40, fault: { place: 'module', name: 'aggregator', action: 'kill' } },
  { atS: 50, fault: { place: 'module', name: 'alert-forwarder', action: 'kill' } },
]

let folder = ''
let child: ChildProcess | undefined

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weir-faults-'))
})
afterEach(async () => {
  if (child !== undefined && child.exitCode === null && child.signalCode === null) {
    child.kill('SIGTERM')
    await new Promise((done) => child?.once('exit', done))
  }
  rmSync(folder, { recursive: true, force: true })
})

interface Run {
  readonly exit: Promise<number | null>
  output(): string
}

function start(options: readonly string[]): Run {
  const program = ['--import', 'tsx', 'simulator/src/main.ts', '--port', '0', '--state', join(folder, 'state')]
  const started = spawn(process.execPath, [...program, ...options], {
    cwd: rootFolder,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  child = started
  let output = ''
  for (const stream of [started.stdout, started.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  }
  const exit = new Promise<number | null>((done) => started.once('close', done))
  return { exit, output: () => output }
}

async function said(run: Run, text: string): Promise<void> {
  while (!run.output().includes(text)) {
    if (child?.exitCode !== null) throw new Error(`ended before it said "${text}":\n${run.output()}`)
    await new Promise((done) => setTimeout(done, 100))
  }
}

async function weir(...words: string[]): Promise<string> {
  const program = join(rootFolder, 'simulator', 'bin', 'weir.mjs')
  const state = ['--state', join(folder, 'state')]
  return (await promisify(execFile)(process.execPath, [program, ...state, ...words])).stdout
}

function alertsIn(file: string): Alert[] {
  const lines = readFileSync(file, 'utf8').trim().split('\n')
  return lines.map((line) => alertSchema.parse(JSON.parse(line).body))
}

describe('a run full of faults', () => {
  test('loses no row, doubles no record and raises each alert once', async () => {
    const files = { faults: join(folder, 'faults.json'), report: join(folder, 'report.json'), up: join(folder, 'up') }
    writeFileSync(files.faults, JSON.stringify(schedule))
    const run = start([
      ...['--duration', String(durationS), '--cool-off', '1', '--seed', '3'],
      ...['--faults', files.faults, '--report', files.report, '--upstream-out', files.up],
    ])
    await said(run, 'first readings')
    await weir('fault', 'device', 'press-4', 'slow', '--delayMs', '50')
    expect(JSON.parse(await weir('fault', '--json'))).toContainEqual({
      place: 'device',
      name: 'press-4',
      action: 'slow',
      delayMs: 50,
    })
    expect(await run.exit, run.output()).toBe(0)

    const { delivery, modules, alerts }: Report = JSON.parse(readFileSync(files.report, 'utf8'))
    expect(delivery, run.output()).toEqual({ lost: 0, duplicated: 0 })
    for (const name of ['edgeHub', 'aggregator', 'alert-forwarder']) {
      expect(modules[name], name).toMatchObject({ state: 'running', restarts: 1 })
    }
    for (const name of ['modbus-reader', 'anomaly-detector']) expect(modules[name]?.restarts, name).toBe(0)

    const arrived = alertsIn(join(files.up, 'alert.jsonl')).map(
      ({ alertType, deviceId, state }) => `${deviceId} ${alertType} ${state}`,
    )
    expect(arrived.toSorted(), run.output()).toEqual([
      'oven-1 HIGH_TEMPERATURE active',
      'oven-1 HIGH_TEMPERATURE normal',
      'pump-2 DEVICE_DOWN active',
      'pump-2 DEVICE_DOWN normal',
    ])
    expect(alerts.raised).toBe(2)
    // The hub's own routes lead the same alerts to the endpoint that is for them.
    const endpoint = join(folder, 'state', 'endpoints', 'anomaly-event-hub')
    const routed = readdirSync(endpoint).flatMap((day) => alertsIn(join(endpoint, day)))
    expect(routed).toHaveLength(arrived.length)

    expect(run.output()).toMatch(/\| faults: .*upstream cut/)
    expect(run.output()).toContain('fault: module aggregator kill')
    expect(run.output()).toContain('all is well')
  })

  test('that could not be as it was ordered fails, and tells the seed that repeats it', async () => {
    const kill = { place: 'module', name: 'alert-forwarder', action: 'kill' } as const
    const twice: FaultSchedule = [
      { atS: 4, fault: kill },
      { atS: 5, fault: kill },
    ]
    writeFileSync(join(folder, 'faults.json'), JSON.stringify(twice))
    const offline = ['--offline-at', '2', '--offline-for', '1']
    const run = start(['--duration', '7', '--seed', '11', '--faults', join(folder, 'faults.json'), ...offline])
    expect(await run.exit, run.output()).toBe(1)
    for (const text of ['fault: upstream cut', 'fault: upstream restore']) expect(run.output()).toContain(text)
    expect(run.output()).toContain('FAILED: fault at 5 s, module alert-forwarder kill: alert-forwarder: does not run')
    expect(run.output()).toContain('seed 11; the same options with --seed 11 repeat the run')
  })
})
