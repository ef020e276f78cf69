import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { alertSchema } from '@weir/lib/messages'
import { findService } from '@weir/simulator/cloud/service-file'
import type { Report } from '@weir/simulator/runner/report'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

const rootFolder = resolve(import.meta.dirname, '..')
const moduleNames = ['aggregator', 'alert-forwarder', 'anomaly-detector', 'modbus-reader']

let folder = ''
const started: ChildProcess[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weir-start-'))
})
afterEach(async () => {
  for (const child of started.splice(0)) {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM')
      await new Promise((done) => child.once('exit', done))
    }
  }
  rmSync(folder, { recursive: true, force: true })
})

interface Start {
  readonly child: ChildProcess
  readonly exit: Promise<number | null>
  output(): string
}

function start(...options: string[]): Start {
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', 'simulator/src/main.ts', '--port', '0', '--state', join(folder, 'state'), ...options],
    { cwd: rootFolder, stdio: ['ignore', 'pipe', 'pipe'] },
  )
  started.push(child)
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  }
  const exit = new Promise<number | null>((done) => child.once('close', done))
  return { child, exit, output: () => output }
}

/** Waits for `condition`; a run that ends before it holds fails with what it said. */
async function until(run: Start, condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) {
    if (run.child.exitCode !== null) throw new Error(`ended too early:\n${run.output()}`)
    await new Promise((done) => setTimeout(done, 100))
  }
}

/** Process ids of the edge hub and of every module, by name, as the service API has them. */
async function pidsByName(): Promise<Map<string, number>> {
  try {
    const { url, token } = findService(join(folder, 'state'))
    const answer = await fetch(`${url}/modules`, { headers: { authorization: `Bearer ${token}` } })
    const modules = (await answer.json()) as { moduleId: string; pid?: number }[]
    return new Map(modules.flatMap(({ moduleId, pid }) => (pid === undefined ? [] : [[moduleId, pid]])))
  } catch {
    return new Map()
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    // Killed, but not yet waited for by whoever is its parent now.
    return !existsSync(`/proc/${pid}/stat`) || !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

/** Waits until everything runs and readings arrive. */
async function running(run: Start): Promise<Map<string, number>> {
  let pids = new Map<string, number>()
  await until(run, async () => {
    pids = await pidsByName()
    return pids.size === moduleNames.length + 1 && run.output().includes('first readings')
  })
  return pids
}

async function runningPids(run: Start): Promise<number[]> {
  return [...(await running(run)).values()]
}

describe('npm start', () => {
  test('cuts the traffic by 90 %, loses and doubles nothing, raises the overheating once, and leaves nothing behind', async () => {
    const report = join(folder, 'report.json')
    const run = start('--duration', '40', '--report', report, '--upstream-out', join(folder, 'upstream'))
    const pids = await runningPids(run)
    expect(await run.exit, run.output()).toBe(0)
    expect(pids.filter(isAlive)).toEqual([])
    expect(readdirSync(join(folder, 'state'))).not.toContain('service.json')

    const { durationS, settings, modules, receipt, delivery, alerts }: Report = JSON.parse(readFileSync(report, 'utf8'))
    expect(durationS).toBeGreaterThanOrEqual(40)
    expect(settings).toEqual({ pollMs: 250, publishMs: 1000, windowMs: 15_000 })
    for (const name of [...moduleNames, 'edgeHub']) {
      expect(modules[name], name).toMatchObject({ state: 'running', restarts: 0 })
      expect(modules[name]?.rssBytesMax, name).toBeGreaterThan(10_000_000)
    }
    for (const { raw, savedPct } of [receipt.perRow, receipt.perMessage]) {
      expect(raw.messages).toBeGreaterThan(0)
      for (const figure of ['messages', 'bytes', 'blocks'] as const) {
        expect(savedPct[figure], figure).toBeGreaterThanOrEqual(90)
      }
    }
    // Four devices, four rows a second, for most of the time.
    expect(receipt.perRow.raw.messages).toBeGreaterThan(4 * 4 * 25)
    expect(delivery).toEqual({ lost: 0, duplicated: 0 })
    expect(alerts.raised).toBe(1)
    expect(alerts.latencyMsP50).toBeGreaterThan(0)

    const lines = readFileSync(join(folder, 'upstream', 'alert.jsonl'), 'utf8')
      .trim()
      .split('\n')
    const alert = alertSchema.parse(JSON.parse(lines[0] ?? '').body)
    expect(alert).toMatchObject({ alertType: 'HIGH_TEMPERATURE', deviceId: 'oven-1', state: 'active' })
    expect(run.output()).toContain('all is well')
    expect(run.output()).toContain('computed over 1 simulated hour')
  })

  test('ends in order when it is asked to, and continues on the state that it kept', async () => {
    const first = start()
    const pids = await runningPids(first)
    first.child.kill('SIGINT')
    expect(await first.exit, first.output()).toBe(0)
    expect(pids.filter(isAlive)).toEqual([])
    expect(first.output()).toContain('delivery: 0 rows lost, 0 records doubled')

    const report = join(folder, 'report.json')
    const second = start('--duration', '10', '--report', report)
    expect(await second.exit, second.output()).toBe(0)
    expect((JSON.parse(readFileSync(report, 'utf8')) as Report).delivery).toEqual({ lost: 0, duplicated: 0 })
  })

  test('leaves no process behind when it is killed itself', async () => {
    const run = start()
    const pids = await runningPids(run)
    run.child.kill('SIGKILL')
    await run.exit
    const deadlineMs = Date.now() + 10_000
    while (pids.some(isAlive) && Date.now() < deadlineMs) await new Promise((done) => setTimeout(done, 100))
    expect(pids.filter(isAlive)).toEqual([])
  })

  test('says that a module died, and exits with 1', async () => {
    const run = start('--duration', '12')
    const forwarder = (await running(run)).get('alert-forwarder')
    process.kill(forwarder ?? 0, 'SIGKILL')
    expect(await run.exit, run.output()).toBe(1)
    expect(run.output()).toContain('FAILED: alert-forwarder died (SIGKILL)')
  })
})
