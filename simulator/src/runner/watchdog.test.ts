import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'

const folder = mkdtempSync(join(tmpdir(), 'weir-watchdog-'))
const children: ChildProcess[] = []

function program(...argumentsOfNode: string[]): ChildProcess {
  const child = spawn(process.execPath, argumentsOfNode, { detached: true, stdio: ['pipe', 'pipe', 'inherit'] })
  children.push(child)
  return child
}

function ended(child: ChildProcess): Promise<NodeJS.Signals | number | null> {
  return new Promise((done) => child.once('exit', (code, signal) => done(signal ?? code)))
}

function up(child: ChildProcess): Promise<void> {
  return new Promise((done) => child.stdout?.once('data', () => done()))
}

afterEach(() => {
  for (const child of children.splice(0)) if (child.exitCode === null) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})

const watchdogFile = join(import.meta.dirname, 'watchdog-main.ts')
const waiting = 'console.log("up"); setInterval(() => {}, 1000)'

test('processes of a runner that is gone are ended, and its folder is removed; those forgotten are left alone', async () => {
  const polite = program('-e', waiting)
  const stubborn = program('-e', `process.on("SIGTERM", () => {}); ${waiting}`)
  const forgotten = program('-e', waiting)
  await Promise.all([polite, stubborn, forgotten].map(up))
  const ends = Promise.all([ended(polite), ended(stubborn)])
  const watchdog = program(watchdogFile)
  watchdog.stdin?.end(`folder ${folder}\n+${polite.pid}\n+${stubborn.pid}\n+${forgotten.pid}\n-${forgotten.pid}\n`)
  await ended(watchdog)
  expect(await ends).toEqual(['SIGTERM', 'SIGKILL'])
  expect(existsSync(folder)).toBe(false)
  expect(forgotten.exitCode ?? forgotten.signalCode).toBeNull()
})

test('after an orderly end nothing is touched', async () => {
  const child = program('-e', waiting)
  await up(child)
  const watchdog = program(watchdogFile)
  watchdog.stdin?.end(`+${child.pid}\ndone\n`)
  expect(await ended(watchdog)).toBe(0)
  expect(child.exitCode ?? child.signalCode).toBeNull()
})
