import { randomBytes } from 'node:crypto'
import { mkdirSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Clock, systemClock } from './clock.ts'
import { CommandServer } from './command-server.ts'
import { type CommandSocket, serveCommandSocket, socketPaths } from './command-socket.ts'
import { ConfigKeeper, type GoodConfig } from './config-keeper.ts'
import { errorText, WeirError } from './errors.ts'
import { type Environment, type HostSettings, readSettings } from './host-settings.ts'
import type { Hub, InputMessage, MethodResult } from './hub.ts'
import { asObject, type JsonObject, type JsonValue } from './json.ts'
import { drainTimeoutMs, reportedProblemCharsMax, reportedProblemsMax } from './limits.ts'
import type { Log } from './log.ts'
import { createLog } from './log-stdout.ts'
import type { Counter } from './metrics.ts'
import { type MetricsServer, PrometheusMetrics, serveMetrics } from './metrics-prometheus.ts'
import type { ModuleContext, ModuleDeclaration, ModuleInstance } from './module.ts'
import { Outbox } from './outbox.ts'
import { Rejects } from './rejects.ts'
import { Reopener } from './reopener.ts'
import { Reporter } from './reporter.ts'
import { weirVersion } from './version.ts'

export type ModuleState = 'waitingForHub' | 'waitingForConfig' | 'running' | 'stopping' | 'stopped'

/** What `startModule` needs beside the declaration; what is left out is taken from the process. */
export interface HostParts {
  readonly hub: Hub
  readonly clock?: Clock
  readonly log?: Log
  readonly environment?: Environment
  /** 0 to below 1; spreads the attempts of several modules to open the hub. */
  random?(): number
}

/** A running module, as `main.ts` and tests hold it. */
export interface ModuleHandle {
  /** Names this run to receivers. */
  readonly session: string
  /** 0 where none are served. */
  readonly metricsPort: number
  readonly commandSocket: string | undefined
  /** Exit code, once the module has stopped: 0 after `stop`, 1 after a fault. */
  readonly done: Promise<number>
  state(): ModuleState
  /** A command, as a direct method calls it. */
  call(name: string, payload?: JsonValue): Promise<MethodResult>
  /** Ends the module as SIGTERM does. */
  stop(): Promise<number>
}

const stopInstanceMsMax = 3_000
const closeHubMsMax = 500
const pauseInputMsMax = 500
const hardStopMs = drainTimeoutMs + 800

/**
 * Starts a module. Resolves once its metrics and commands are served; the hub is opened, and opened again, on its own.
 * Throws CONFIG_REFUSED (environment) and STATE_UNWRITABLE.
 */
export async function startModule<Config>(
  declaration: ModuleDeclaration<Config>,
  parts: HostParts,
): Promise<ModuleHandle> {
  const environment = parts.environment ?? process.env
  const settings = readSettings(environment)
  const clock = parts.clock ?? systemClock
  const log = parts.log ?? createLog(settings.logLevel, clock, (line) => process.stdout.write(line))
  checkStateFolder(settings.stateFolder)
  const host = new Host(declaration, { ...parts, clock, log, environment, settings })
  await host.start()
  return host
}

/** The whole of a module's `main.ts`: runs until a signal or a fault ends the process. */
export async function runModule<Config>(declaration: ModuleDeclaration<Config>): Promise<never> {
  const log = createLog('info', systemClock, (line) => process.stdout.write(line))
  // Exits at once: an input listener that throws arrives here, and the acknowledgement of its message leaves this tick.
  const crash = (error: unknown) => {
    log.critical(`${declaration.name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
    process.exit(1)
  }
  process.on('uncaughtException', crash)
  process.on('unhandledRejection', crash)
  const { AzureHub } = await import('./hub-azure.ts')
  try {
    const handle = await startModule(declaration, {
      hub: new AzureHub({ renewalMs: readSettings(process.env).tokenRenewalMs }),
    })
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void stopInTime(handle, log))
    process.exit(await handle.done)
  } catch (error) {
    log.critical(`${declaration.name}: ${errorText(error)}`)
    process.exit(1)
  }
}

async function stopInTime(handle: ModuleHandle, log: Log): Promise<void> {
  setTimeout(() => {
    log.error(`not stopped after ${hardStopMs} ms; the process ends now`)
    process.exit(1)
  }, hardStopMs).unref()
  await handle.stop()
}

function checkStateFolder(folder: string): void {
  const probe = join(folder, '.writable')
  try {
    mkdirSync(folder, { recursive: true, mode: 0o750 })
    writeFileSync(probe, '')
    unlinkSync(probe)
  } catch (error) {
    throw new WeirError(
      'STATE_UNWRITABLE',
      `${folder}: cannot be written: ${errorText(error)}; set WEIR_STATE_FOLDER, or give the folder to the module's user`,
      { cause: error },
    )
  }
}

interface ResolvedParts extends HostParts {
  readonly clock: Clock
  readonly log: Log
  readonly environment: Environment
  readonly settings: HostSettings
}

interface ConfigOutcome {
  readonly version: number
  readonly status: 'waiting' | 'applied' | 'refused'
}

class Host<Config> implements ModuleHandle {
  readonly session = randomBytes(6).toString('base64url')
  readonly done: Promise<number>
  metricsPort = 0
  commandSocket: string | undefined

  readonly #declaration: ModuleDeclaration<Config>
  readonly #parts: ResolvedParts
  readonly #clock: Clock
  readonly #log: Log
  readonly #hub: Hub
  readonly #metrics: PrometheusMetrics
  readonly #rejects: Rejects
  readonly #outbox: Outbox
  readonly #reporter: Reporter
  readonly #keeper: ConfigKeeper<Config>
  readonly #commands: CommandServer
  readonly #reopener: Reopener
  readonly #inputs: Counter
  readonly #context: ModuleContext
  readonly #startedMs: number
  readonly #finish: (exitCode: number) => void

  #instance: ModuleInstance<Config> | undefined
  #applied: GoodConfig<Config> | undefined
  #outcome: ConfigOutcome = { version: 0, status: 'waiting' }
  #desiredSeen = false
  #stopping: Promise<number> | undefined
  #stopped = false
  #inputPaused = false
  #exitCode = 0
  #metricsServer: MetricsServer | undefined
  #socket: CommandSocket | undefined

  constructor(declaration: ModuleDeclaration<Config>, parts: ResolvedParts) {
    this.#declaration = declaration
    this.#parts = parts
    this.#clock = parts.clock
    this.#log = parts.log
    this.#hub = parts.hub
    this.#startedMs = parts.clock.monotonicMs()
    this.#metrics = new PrometheusMetrics(declaration.name)
    this.#rejects = new Rejects(
      this.#log,
      this.#clock,
      this.#metrics.counter('rejected_total', 'What was kept out or given up, by reason', ['reason']),
    )
    this.#inputs = this.#metrics.counter('messages_received_total', 'Messages taken at an input', ['input'])
    const reject: ModuleContext['reject'] = (reason, detail, count) => this.#rejects.add(reason, detail, count)
    this.#outbox = new Outbox({
      hub: this.#hub,
      clock: this.#clock,
      metrics: this.#metrics,
      session: this.session,
      reject,
    })
    this.#reporter = new Reporter(this.#hub, reject)
    this.#keeper = new ConfigKeeper(declaration.config, parts.settings.defaults, parts.settings.stateFolder)
    this.#commands = new CommandServer({
      clock: this.#clock,
      module: declaration.name,
      version: weirVersion,
      status: () => this.#status(),
      commands: () => this.#instance?.commands ?? [],
    })
    this.#reopener = new Reopener({
      hub: this.#hub,
      clock: this.#clock,
      log: this.#log,
      random: parts.random ?? Math.random,
      giveUp: (error) => this.#fail(error),
    })
    this.#context = this.#createContext(reject)
    const { promise, resolve } = Promise.withResolvers<number>()
    this.done = promise
    this.#finish = resolve
  }

  async start(): Promise<void> {
    const { settings, environment } = this.#parts
    const { name } = this.#declaration
    this.#log.info(`${name} ${weirVersion}: session ${this.session}, state in ${settings.stateFolder}`)
    this.#metricsServer = await serveMetrics(this.#metrics, settings.metricsAddress, this.#log)
    this.metricsPort = this.#metricsServer.port
    const paths = socketPaths(environment, name, settings.stateFolder)
    this.#socket = await serveCommandSocket(paths, (method, payload) => this.call(method, payload), this.#log)
    this.commandSocket = this.#socket.path
    this.#hub.onDesired((desired, version) => this.#takeDesired(desired, version))
    this.#hub.onMethod((method, payload) => this.call(method, payload))
    this.#hub.onConnection((connected, reason) => this.#takeConnection(connected, reason))
    this.#reporter.report({ module: { version: weirVersion, session: this.session } })
    this.#clock.setTimer(() => this.#startWithoutHub(), settings.hubWaitMs)
    this.#reopener.open()
  }

  state(): ModuleState {
    if (this.#stopped) return 'stopped'
    if (this.#stopping !== undefined) return 'stopping'
    if (this.#instance !== undefined) return 'running'
    return this.#desiredSeen ? 'waitingForConfig' : 'waitingForHub'
  }

  call(name: string, payload: JsonValue = null): Promise<MethodResult> {
    return this.#commands.call(name, payload)
  }

  stop(): Promise<number> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  #createContext(reject: ModuleContext['reject']): ModuleContext {
    return {
      module: this.#declaration.name,
      clock: this.#clock,
      log: this.#log,
      metrics: this.#metrics,
      stateFolder: this.#parts.settings.stateFolder,
      publish: (message) => this.#outbox.publish(message),
      queued: () => this.#outbox.messages,
      reject,
      report: (patch) => this.#reporter.report(patch),
      fail: (error) => this.#fail(error),
    }
  }

  #takeConnection(connected: boolean, reason: string): void {
    this.#log.info(connected ? `hub: connected (${reason})` : `hub: connection lost (${reason})`)
    this.#outbox.setConnected(connected)
    this.#reporter.setConnected(connected)
    if (!connected) this.#reopener.lost()
  }

  #takeDesired(desired: JsonObject, version: number): void {
    if (this.#stopping !== undefined) return
    this.#desiredSeen = true
    const checked = this.#keeper.check(desired, version)
    if ('problems' in checked) {
      this.#refuse(version, checked.problems)
      this.#startWithLastGood()
      return
    }
    this.#apply(checked)
  }

  #apply(good: GoodConfig<Config>): void {
    try {
      if (this.#instance === undefined) this.#startInstance(good.config)
      else if (good.text !== this.#applied?.text) this.#instance.apply(good.config)
    } catch (error) {
      if (error instanceof WeirError && error.code === 'CONFIG_REFUSED') this.#refuse(good.version, [error.message])
      else this.#fail(error)
      return
    }
    const changed = good.text !== this.#applied?.text || good.version !== this.#applied?.version
    this.#applied = good
    this.#outbox.setFixedProperties(fixedProperties(good.config))
    if (!changed && this.#outcome.status === 'applied') return
    this.#keep(good)
    this.#log.info(`configuration version ${good.version}: applied`)
    this.#conclude({ version: good.version, status: 'applied' }, null)
  }

  #startInstance(config: Config): void {
    const instance = this.#declaration.start(this.#context, config)
    this.#instance = instance
    if (instance.input !== undefined) this.#hub.onInput((message) => this.#takeInput(instance, message))
  }

  #takeInput(instance: ModuleInstance<Config>, message: InputMessage): void {
    // A throw leaves the message with the hub, which is where it must stay once the instance takes no more.
    if (this.#inputPaused) throw new WeirError('HUB_AWAY', `input ${message.input}: the module is stopping`)
    this.#inputs.add(1, { input: message.input })
    instance.input?.(message)
  }

  #keep(good: GoodConfig<Config>): void {
    try {
      this.#keeper.save(good)
    } catch (error) {
      this.#fail(error)
    }
  }

  #refuse(version: number, problems: readonly string[]): void {
    for (const problem of problems.slice(0, reportedProblemsMax))
      this.#log.error(`${this.#declaration.name}: ${problem}`)
    this.#log.error(
      `configuration version ${version}: refused; ${this.#instance === undefined ? 'none runs yet' : 'the last good one runs on'}`,
    )
    const reported = problems.slice(0, reportedProblemsMax).map((problem) => problem.slice(0, reportedProblemCharsMax))
    this.#conclude({ version, status: 'refused' }, reported)
  }

  #conclude(outcome: ConfigOutcome, problems: readonly string[] | null): void {
    this.#outcome = outcome
    const at = new Date(this.#clock.nowMs()).toISOString()
    this.#reporter.report({ config: { version: outcome.version, status: outcome.status, at, problems } })
  }

  #startWithoutHub(): void {
    if (this.#desiredSeen || this.#stopping !== undefined) return
    this.#log.warning(`hub: away for ${this.#parts.settings.hubWaitMs} ms`)
    this.#startWithLastGood()
  }

  #startWithLastGood(): void {
    if (this.#instance !== undefined) return
    const outcome = this.#outcome
    try {
      const good = this.#keeper.lastGood()
      if (good === undefined) return
      this.#startInstance(good.config)
      this.#applied = good
      this.#outbox.setFixedProperties(fixedProperties(good.config))
      if (outcome.status === 'waiting') this.#outcome = { version: good.version, status: 'applied' }
      this.#log.warning(`configuration version ${good.version}, the last good one, is used`)
    } catch (error) {
      if (error instanceof WeirError && error.code === 'STATE_DAMAGED') this.#log.error(error.message)
      else this.#fail(error)
    }
  }

  #fail(error: unknown): void {
    if (this.#stopping !== undefined) return
    const text = error instanceof WeirError ? `${error.code}: ${error.message}` : errorText(error)
    this.#log.critical(`${this.#declaration.name}: ${text}; the module stops and is to be started again`)
    this.#exitCode = 1
    this.#stopping = this.#stop()
  }

  async #stop(): Promise<number> {
    const endMs = this.#clock.monotonicMs() + drainTimeoutMs
    this.#log.info(`${this.#declaration.name}: stopping`)
    this.#reopener.stop()
    await this.#within(this.#hub.pauseInput(), pauseInputMsMax, 'the hub to stop its deliveries')
    this.#inputPaused = true
    this.#commands.close()
    if (this.#instance !== undefined) await this.#within(this.#instance.stop(), stopInstanceMsMax, 'the module to stop')
    await this.#within(this.#outbox.drained(), endMs - this.#clock.monotonicMs(), 'the queue to empty')
    if (this.#outbox.messages > 0)
      this.#rejects.add('notSentAtStop', `${this.#outbox.messages} messages were still queued`)
    await this.#within(this.#hub.close(), closeHubMsMax, 'the hub to close')
    await this.#socket?.close()
    await this.#metricsServer?.close()
    this.#stopped = true
    this.#log.info(`${this.#declaration.name}: stopped`)
    this.#finish(this.#exitCode)
    return this.#exitCode
  }

  /** Waits for `work`, but not longer than `timeoutMs`; a fault in it is logged, since the module stops anyway. */
  async #within(work: Promise<void>, timeoutMs: number, what: string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = this.#clock.setTimer(() => {
      this.#log.warning(`waited ${Math.max(0, timeoutMs)} ms in vain for ${what}`)
      resolve()
    }, timeoutMs)
    work.then(resolve, (error: unknown) => {
      this.#log.error(`waiting for ${what}: ${errorText(error)}`)
      resolve()
    })
    await promise
    timer.cancel()
  }

  /** The host's part stands first, and no module's key hides one of it. */
  #status(): JsonObject {
    const own = {
      module: this.#declaration.name,
      version: weirVersion,
      state: this.state(),
      session: this.session,
      config: { version: this.#outcome.version, status: this.#outcome.status },
      uptimeS: Math.round((this.#clock.monotonicMs() - this.#startedMs) / 1000),
      queued: this.#outbox.messages,
      rejected: this.#rejects.counts(),
    }
    return { ...own, ...this.#instance?.status(), ...own }
  }
}

/** Properties that a configuration wants on every message: its `properties` map, where it has one. */
function fixedProperties(config: unknown): Record<string, string> {
  const entries = Object.entries(asObject(asObject(config)?.['properties']) ?? {})
  return Object.fromEntries(entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string'))
}
