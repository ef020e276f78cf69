import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import type { Clock, Timer } from '@weir/lib/clock'
import { ModuleLog } from './module-log.ts'
import { sampleResources } from './resources.ts'
import {
  afterExit,
  edgeAgentLimits,
  type ModuleState,
  type RestartLimits,
  type RestartPolicy,
} from './restart-policy.ts'
import type { Watchdog } from './watchdog.ts'

/** A module as the supervisor runs it. */
export interface ModuleProcess {
  readonly name: string
  /** Arguments of Node: flags, the file, its own arguments. */
  readonly nodeArguments: readonly string[]
  /** Asked for at each start. */
  environment(): Readonly<Record<string, string>>
  readonly restartPolicy: RestartPolicy
  /** Lower starts earlier. */
  readonly startupOrder: number
  /** `stopped`: known, but not started. */
  readonly status: 'running' | 'stopped'
  /** With a channel for messages between parent and child; called for each new process. */
  readonly onSpawn?: (child: ChildProcess) => void
}

export interface ModuleStatus {
  readonly name: string
  readonly state: ModuleState
  /** Times the process was started again in this run. */
  readonly restarts: number
  readonly pid: number | undefined
  readonly rssBytes: number
  readonly rssBytesMax: number
  readonly cpuS: number
  /** How the last process ended, where it was not asked to: `exit code 1`, `SIGKILL`. */
  readonly lastExit: string | undefined
}

export type SupervisorEvent =
  | { readonly type: 'started'; readonly module: string; readonly restarts: number }
  | {
      readonly type: 'died'
      readonly module: string
      readonly exit: string
      readonly next: string
      readonly log: readonly string[]
    }
  | { readonly type: 'line'; readonly module: string; readonly line: string }

export interface SupervisorOptions {
  readonly logFolder: string
  readonly watchdog: Watchdog
  readonly clock: Clock
  readonly limits?: RestartLimits
  /** Asked once when a process ends: whether that was ordered, and is no fault of the run. Default: it is not. */
  isOrderedEnd?(module: string): boolean
  onEvent(event: SupervisorEvent): void
}

interface Managed {
  readonly module: ModuleProcess
  readonly log: ModuleLog
  state: ModuleState
  child: ChildProcess | undefined
  exited: Promise<void>
  startedMs: number
  /** Restarts that count against the limit of the policy. */
  restartCount: number
  restarts: number
  restartTimer: Timer | undefined
  stopping: boolean
  /** Started again as soon as it has ended, whatever its policy. */
  restartsAtOnce: boolean
  lastExit: string | undefined
  rssBytes: number
  rssBytesMax: number
  /** Of the processes before the present one, and of this one. */
  cpuSBefore: number
  cpuS: number
}

const sampleIntervalMs = 1000

function describeExit(code: number | null, signal: NodeJS.Signals | null): string {
  return signal ?? `exit code ${code}`
}

/** edgeAgent's part: starts modules as processes, in order, watches them and restarts them by their policy. */
export class Supervisor {
  readonly #options: SupervisorOptions
  readonly #modules = new Map<string, Managed>()
  #sampleTimer: Timer | undefined

  constructor(options: SupervisorOptions) {
    this.#options = options
    this.#sampleLater()
  }

  /** Starts `modules` by rising startupOrder; those with the status `stopped` become known only. */
  start(modules: readonly ModuleProcess[]): void {
    for (const module of modules.toSorted((a, b) => a.startupOrder - b.startupOrder)) {
      const log = new ModuleLog(join(this.#options.logFolder, `${module.name}.log`), (line) =>
        this.#options.onEvent({ type: 'line', module: module.name, line }),
      )
      const managed: Managed = {
        module,
        log,
        state: 'stopped',
        child: undefined,
        exited: Promise.resolve(),
        startedMs: 0,
        restartCount: 0,
        restarts: 0,
        restartTimer: undefined,
        stopping: false,
        restartsAtOnce: false,
        lastExit: undefined,
        rssBytes: 0,
        rssBytesMax: 0,
        cpuSBefore: 0,
        cpuS: 0,
      }
      this.#modules.set(module.name, managed)
      if (module.status === 'running') this.#spawn(managed)
    }
  }

  statuses(): ModuleStatus[] {
    return [...this.#modules.values()].map((managed) => ({
      name: managed.module.name,
      state: managed.state,
      restarts: managed.restarts,
      pid: managed.child?.pid,
      rssBytes: managed.child === undefined ? 0 : managed.rssBytes,
      rssBytesMax: managed.rssBytesMax,
      cpuS: managed.cpuSBefore + managed.cpuS,
      lastExit: managed.lastExit,
    }))
  }

  /** Signals a module's process group. @returns false where it does not run. */
  signal(name: string, signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): boolean {
    const child = this.#modules.get(name)?.child
    signalGroup(child, signal)
    return child !== undefined
  }

  /** Ends a module as `stop` does and starts it again at once. @returns false where it does not run. */
  restart(name: string, graceMs: number): boolean {
    const managed = this.#modules.get(name)
    if (managed?.child === undefined || managed.stopping) return false
    const { child } = managed
    managed.restartsAtOnce = true
    signalGroup(child, 'SIGTERM')
    // One that is frozen takes no signal but this.
    signalGroup(child, 'SIGCONT')
    const kill = this.#options.clock.setTimer(() => signalGroup(child, 'SIGKILL'), graceMs)
    void managed.exited.then(() => kill.cancel())
    return true
  }

  /** Ends the named modules: SIGTERM, and SIGKILL for those still there after `graceMs`. Their states stay as they were. */
  async stop(names: readonly string[], graceMs: number): Promise<void> {
    await this.sample()
    await Promise.all(names.map((name) => this.#stopOne(this.#modules.get(name), graceMs)))
  }

  async stopAll(graceMs: number): Promise<void> {
    this.#sampleTimer?.cancel()
    await this.stop([...this.#modules.keys()], graceMs)
  }

  /** Ends every process at once, without grace; for the exit of the runner itself. */
  killAll(): void {
    for (const managed of this.#modules.values()) {
      managed.stopping = true
      signalGroup(managed.child, 'SIGKILL')
    }
  }

  /** Takes the resources of every running module now. */
  async sample(): Promise<void> {
    const running = [...this.#modules.values()].filter(({ child }) => child?.pid !== undefined)
    const resources = await sampleResources(running.map(({ child }) => child?.pid ?? 0))
    for (const managed of running) {
      const now = resources.get(managed.child?.pid ?? 0)
      if (now === undefined) continue
      managed.rssBytes = now.rssBytes
      managed.rssBytesMax = Math.max(managed.rssBytesMax, now.rssBytesMax)
      managed.cpuS = now.cpuS
    }
  }

  #sampleLater(): void {
    this.#sampleTimer = this.#options.clock.setTimer(() => {
      this.#sampleLater()
      void this.sample()
    }, sampleIntervalMs)
  }

  #spawn(managed: Managed): void {
    const { module, log } = managed
    const child = spawn(process.execPath, [...module.nodeArguments], {
      // A group of its own: Ctrl-C in the terminal reaches the runner alone, which ends the modules in order.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', ...(module.onSpawn === undefined ? [] : ['ipc' as const])],
      env: module.environment(),
    })
    managed.child = child
    managed.state = 'running'
    managed.stopping = false
    managed.startedMs = this.#options.clock.monotonicMs()
    if (child.pid !== undefined) this.#options.watchdog.watch(child.pid)
    for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', log.writer())
    managed.exited = new Promise((resolve) => {
      const ended = (exitCode: number | null, exit: string): void => {
        if (managed.child !== child) return
        this.#ended(managed, exitCode, exit)
        resolve()
      }
      child.on('error', (error) => ended(1, error.message))
      // What the process may have left in its group goes with it, and so lets go of the streams.
      child.on('exit', () => signalGroup(child, 'SIGKILL'))
      child.on('close', (code, signal) => ended(code, describeExit(code, signal)))
    })
    module.onSpawn?.(child)
    this.#options.onEvent({ type: 'started', module: module.name, restarts: managed.restarts })
  }

  #ended(managed: Managed, exitCode: number | null, exit: string): void {
    const { module, log } = managed
    if (managed.child?.pid !== undefined) this.#options.watchdog.forget(managed.child.pid)
    managed.child = undefined
    managed.cpuSBefore += managed.cpuS
    managed.cpuS = 0
    if (managed.stopping) return
    if (managed.restartsAtOnce) {
      managed.restartsAtOnce = false
      managed.restarts++
      this.#spawn(managed)
      return
    }
    if (this.#options.isOrderedEnd?.(module.name) !== true) managed.lastExit = exit
    const ranMs = this.#options.clock.monotonicMs() - managed.startedMs
    const next = afterExit(
      { policy: module.restartPolicy, exitCode, ranMs, restartCount: managed.restartCount },
      this.#options.limits ?? edgeAgentLimits,
    )
    managed.state = next.state
    let what = `stays ${next.state}`
    if (next.state === 'backoff') {
      managed.restartCount = next.restartCount
      what = `restarts in ${next.delayMs / 1000} s`
      managed.restartTimer = this.#options.clock.setTimer(() => {
        managed.restarts++
        this.#spawn(managed)
      }, next.delayMs)
    }
    this.#options.onEvent({ type: 'died', module: module.name, exit, next: what, log: log.latest(5) })
  }

  async #stopOne(managed: Managed | undefined, graceMs: number): Promise<void> {
    if (managed === undefined) return
    managed.stopping = true
    managed.restartTimer?.cancel()
    if (managed.child === undefined) return
    signalGroup(managed.child, 'SIGTERM')
    const kill = this.#options.clock.setTimer(() => signalGroup(managed.child, 'SIGKILL'), graceMs)
    await managed.exited
    kill.cancel()
  }
}

/** Signals the group that `child` leads; one that is gone is no error. */
function signalGroup(child: ChildProcess | undefined, signal: NodeJS.Signals): void {
  if (child?.pid === undefined) return
  try {
    process.kill(-child.pid, signal)
  } catch {
    // Gone already.
  }
}
