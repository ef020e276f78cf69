import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ManualClock } from './clock.ts'
import type { Command } from './command.ts'
import type { WeirError } from './errors.ts'
import { type JsonObject, type JsonValue, mergePatch } from './json.ts'
import { fsyncIntervalMs } from './limits.ts'
import { createLog } from './log-stdout.ts'
import { MemoryMetrics } from './metrics-memory.ts'
import type { ModuleContext, Outgoing } from './module.ts'

/** What a module does with its context, recorded; for unit tests of modules. */
export interface TestContext extends ModuleContext {
  readonly clock: ManualClock
  readonly metrics: MemoryMetrics
  /** A folder of its own under the system's temporary folder; removed when the process ends. */
  readonly stateFolder: string
  /** Everything published, in order. `queuedMessages` says what `queued()` answers. */
  readonly published: Outgoing[]
  queuedMessages: number
  /** Details by reason, in order, and how many were counted by reason. */
  readonly rejected: Map<string, string[]>
  readonly rejectedCounts: Map<string, number>
  /** Reported properties, merged. */
  readonly reported: () => JsonObject
  readonly failures: WeirError[]
  /** Log lines from `info` up, without their line end. */
  readonly logLines: string[]
}

export interface TestContextOptions {
  readonly module?: string
  /** Unix milliseconds at which the clock starts. */
  readonly startMs?: number
  /** A state folder to use again, as after a restart. */
  readonly stateFolder?: string
}

export function testContext(options: TestContextOptions = {}): TestContext {
  const clock = new ManualClock(options.startMs)
  const published: Outgoing[] = []
  const rejected = new Map<string, string[]>()
  const rejectedCounts = new Map<string, number>()
  const failures: WeirError[] = []
  const logLines: string[] = []
  let reported: JsonObject = {}
  const context: TestContext = {
    module: options.module ?? 'test-module',
    clock,
    log: createLog('info', clock, (line) => logLines.push(line.trimEnd())),
    metrics: new MemoryMetrics(),
    stateFolder: options.stateFolder ?? temporaryFolder(),
    fsyncIntervalMs,
    published,
    queuedMessages: 0,
    rejected,
    rejectedCounts,
    reported: () => reported,
    failures,
    logLines,
    publish: (message) => published.push(message),
    queued: () => context.queuedMessages,
    reject(reason, detail, count = 1) {
      rejectedCounts.set(reason, (rejectedCounts.get(reason) ?? 0) + count)
      rejected.set(reason, [...(rejected.get(reason) ?? []), detail])
    },
    report(patch) {
      reported = mergePatch(reported, patch)
    },
    fail: (error) => failures.push(error),
  }
  return context
}

const temporaryFolders: string[] = []

/** A fresh folder for a test; removed when the process ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'weir-test-'))
  if (temporaryFolders.length === 0) {
    process.once('exit', () => {
      for (const each of temporaryFolders) rmSync(each, { recursive: true, force: true })
    })
  }
  temporaryFolders.push(folder)
  return folder
}

/** Runs a command by name as the host does; throws what the command throws. */
export async function runCommand(commands: readonly Command[], name: string, input: unknown = {}): Promise<JsonValue> {
  const found = commands.find((candidate) => candidate.name === name)
  if (found === undefined)
    throw new Error(`no command ${name}; there are ${commands.map((each) => each.name).join(', ')}`)
  return found.run(found.arguments.parse(input), { signal: new AbortController().signal, progress: () => {} })
}
