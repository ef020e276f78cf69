import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '@weir/lib/clock'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { edgeAgentLimits } from './restart-policy.ts'
import { type ModuleProcess, Supervisor, type SupervisorEvent } from './supervisor.ts'

let folder = ''
let supervisor: Supervisor
let events: SupervisorEvent[] = []
const watched = new Set<number>()
/** Modules whose end is no fault. */
const ordered = new Set<string>()

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weir-supervisor-'))
  events = []
  watched.clear()
  supervisor = new Supervisor({
    logFolder: folder,
    clock: systemClock,
    watchdog: { watch: (pid) => watched.add(pid), forget: (pid) => watched.delete(pid), done: () => undefined },
    limits: { ...edgeAgentLimits, coolOffMs: 20, restartsMax: 2 },
    isOrderedEnd: (name) => ordered.delete(name),
    onEvent: (event) => events.push(event),
  })
})
afterEach(async () => {
  await supervisor.stopAll(1000)
  rmSync(folder, { recursive: true, force: true })
})

function module(name: string, program: string, over: Partial<ModuleProcess> = {}): ModuleProcess {
  const file = join(folder, `${name}.mjs`)
  writeFileSync(file, program)
  return {
    name,
    nodeArguments: [file],
    environment: () => ({ GREETING: 'hello' }),
    restartPolicy: 'always',
    startupOrder: 1,
    status: 'running',
    ...over,
  }
}

const staying = 'setInterval(() => {}, 1000); console.log("up")'

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10))
}

function status(name: string): ReturnType<Supervisor['statuses']>[number] {
  const found = supervisor.statuses().find((one) => one.name === name)
  if (found === undefined) throw new Error(`no module ${name}`)
  return found
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

describe('the supervisor', () => {
  test('starts modules by startupOrder, and none that is to be stopped', async () => {
    supervisor.start([
      module('last', staying, { startupOrder: 9 }),
      module('first', staying, { startupOrder: 0 }),
      module('off', staying, { status: 'stopped' }),
    ])
    expect(events.flatMap((event) => (event.type === 'started' ? [event.module] : []))).toEqual(['first', 'last'])
    expect(status('off')).toMatchObject({ state: 'stopped', pid: undefined })
  })

  test('gives a module its environment and nothing else, and keeps what it writes', async () => {
    supervisor.start([module('a', 'console.log(process.env.GREETING, process.env.HOME); setInterval(() => {}, 1000)')])
    await until(() => events.some((event) => event.type === 'line'))
    expect(readFileSync(join(folder, 'a.log'), 'utf8')).toBe('hello undefined\n')
  })

  test('restarts a module that dies, until its restarts are used up', async () => {
    supervisor.start([module('a', 'console.log("no luck"); process.exit(3)')])
    await until(() => status('a').state === 'failed')
    expect(status('a')).toMatchObject({ restarts: 2, lastExit: 'exit code 3', pid: undefined })
    const died = events.filter((event) => event.type === 'died')
    expect(died.map(({ next }) => next)).toEqual(['restarts in 0.02 s', 'restarts in 0.04 s', 'stays failed'])
    expect(died[0]?.log).toEqual(['no luck'])
    expect(watched.size).toBe(0)
  })

  test('counts a module that was killed as dead', async () => {
    supervisor.start([module('a', staying)])
    await until(() => events.some((event) => event.type === 'line'))
    process.kill(status('a').pid ?? 0, 'SIGKILL')
    await until(() => status('a').restarts === 1)
    expect(status('a')).toMatchObject({ state: 'running', lastExit: 'SIGKILL' })
  })

  test('does not hold an end that was ordered against a module', async () => {
    supervisor.start([module('a', staying)])
    await until(() => events.some((event) => event.type === 'line'))
    ordered.add('a')
    expect(supervisor.signal('a', 'SIGKILL')).toBe(true)
    await until(() => status('a').restarts === 1)
    expect(status('a')).toMatchObject({ state: 'running', lastExit: undefined })
    expect(supervisor.signal('nobody', 'SIGKILL')).toBe(false)
  })

  test('restarts a module in order and at once, whatever its policy, a frozen one too', async () => {
    const polite =
      'process.on("SIGTERM", () => { console.log("bye"); process.exit(0) }); setInterval(() => {}, 1000); console.log("up")'
    supervisor.start([module('a', polite, { restartPolicy: 'never' })])
    await until(() => events.some((event) => event.type === 'line'))
    supervisor.signal('a', 'SIGSTOP')
    expect(supervisor.restart('a', 5000)).toBe(true)
    await until(() => status('a').restarts === 1)
    expect(status('a')).toMatchObject({ state: 'running', lastExit: undefined })
    expect(events.flatMap((event) => (event.type === 'died' ? [event.module] : []))).toEqual([])
    expect(readFileSync(join(folder, 'a.log'), 'utf8')).toContain('bye')
  })

  test('stops for good a module that is just being restarted', async () => {
    const slow =
      'process.on("SIGTERM", () => setTimeout(() => process.exit(0), 200)); setInterval(() => {}, 1000); console.log("up")'
    supervisor.start([module('a', slow)])
    await until(() => events.some((event) => event.type === 'line'))
    supervisor.restart('a', 5000)
    await supervisor.stop(['a'], 5000)
    expect(status('a')).toMatchObject({ pid: undefined, restarts: 0 })
    expect(supervisor.restart('a', 5000)).toBe(false)
  })

  test('stops a module with SIGTERM, and kills one that does not go', async () => {
    supervisor.start([
      module(
        'polite',
        'process.on("SIGTERM", () => { console.log("bye"); process.exit(0) }); console.log("up"); setInterval(() => {}, 1000)',
      ),
      module('stubborn', 'process.on("SIGTERM", () => {}); console.log("up"); setInterval(() => {}, 1000)'),
    ])
    await until(() => events.filter((event) => event.type === 'line').length === 2)
    const pids = supervisor.statuses().map(({ pid }) => pid ?? 0)
    await supervisor.stop(['polite', 'stubborn'], 200)
    expect(pids.filter(isAlive)).toEqual([])
    expect(watched.size).toBe(0)
    expect(readFileSync(join(folder, 'polite.log'), 'utf8')).toContain('bye')
    // Asked to stop, they did not die.
    expect(supervisor.statuses().map(({ state, lastExit }) => [state, lastExit])).toEqual([
      ['running', undefined],
      ['running', undefined],
    ])
  })

  test('takes the processes that a module leaves behind with it', async () => {
    supervisor.start([
      module(
        'a',
        'import { spawn } from "node:child_process"\nconsole.log(spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]).pid)\nsetTimeout(() => process.exit(1), 50)',
        { restartPolicy: 'never' },
      ),
    ])
    await until(() => status('a').state === 'failed')
    const line = events.find((event) => event.type === 'line')
    await until(() => !isAlive(Number(line?.type === 'line' ? line.line : 0)))
  })

  test('measures what a module uses', async () => {
    supervisor.start([module('a', staying)])
    await until(() => events.some((event) => event.type === 'line'))
    await supervisor.sample()
    expect(status('a').rssBytesMax).toBeGreaterThan(10_000_000)
    expect(status('a').cpuS).toBeGreaterThan(0)
  })
})
