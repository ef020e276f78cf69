import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { type Clock, within } from './clock.ts'
import { CommandServer } from './command-server.ts'
import { type CommandSocket, serveCommandSocket, socketPaths } from './command-socket.ts'
import { ConfigKeeper } from './config-keeper.ts'
import { errorText, WeirError } from './errors.ts'
import { GivenUp } from './given-up.ts'
import type { ModuleHandle, ModuleState } from './host.ts'
import type { Environment, HostSettings } from './host-settings.ts'
import type { Hub, InputMessage, MethodResult } from './hub.ts'
import type { JsonObject, JsonValue } from './json.ts'
import { drainTimeoutMs, givenUpIntervalMs, queueMemoryBytesMax } from './limits.ts'
import type { Log } from './log.ts'
import { type MetricsServer, PrometheusMetrics, serveMetrics } from './metrics-prometheus.ts'
import type { ModuleContext, ModuleDeclaration } from './module.ts'
import { ModuleRunner } from './module-runner.ts'
import { Outbox, type OutboxParts } from './outbox.ts'
import { DiskOutboxStore, SpillingOutboxStore } from './outbox-disk.ts'
import type { OutboxStore } from './outbox-store.ts'
import { Rejects } from './rejects.ts'
import { Reopener } from './reopener.ts'
import { Reporter } from './reporter.ts'
import { weirVersion } from './version.ts'

export interface ModuleHostParts {
  readonly hub: Hub
  readonly clock: Clock
  readonly log: Log
  readonly environment: Environment
  readonly settings: HostSettings
  random(): number
}

const stopInstanceMsMax = 3_000
const closeHubMsMax = 500
const pauseInputMsMax = 500

/** Everything around a module: connection, queue, reports, commands, metrics, and an orderly end. */
export class ModuleHost<Config> implements ModuleHandle {
  readonly session = randomBytes(6).toString('base64url')
  readonly done: Promise<number>
  metricsPort = 0
  commandSocket: string | undefined

  readonly #declaration: ModuleDeclaration<Config>
  readonly #parts: ModuleHostParts
  readonly #clock: Clock
  readonly #log: Log
  readonly #hub: Hub
  readonly #metrics: PrometheusMetrics
  readonly #rejects: Rejects
  readonly #store: OutboxStore
  readonly #outbox: Outbox
  readonly #givenUp = new GivenUp()
  readonly #reporter: Reporter
  readonly #runner: ModuleRunner<Config>
  readonly #commands: CommandServer
  readonly #reopener: Reopener
  readonly #startedMs: number
  readonly #finish: (exitCode: number) => void

  #connected = false
  #desiredSeen = false
  #failed: unknown
  #stopping: Promise<number> | undefined
  #stopped = false
  #inputPaused = false
  #metricsServer: MetricsServer | undefined
  #socket: CommandSocket | undefined

  /** Throws STATE_LOCKED, STATE_NEWER, STATE_UNWRITABLE. */
  constructor(declaration: ModuleDeclaration<Config>, parts: ModuleHostParts) {
    const { clock, log, hub, settings } = parts
    this.#declaration = declaration
    this.#parts = parts
    this.#clock = clock
    this.#log = log
    this.#hub = hub
    this.#startedMs = clock.monotonicMs()
    this.#metrics = new PrometheusMetrics(declaration.name)
    this.#rejects = new Rejects(
      log,
      clock,
      this.#metrics.counter('rejected_total', 'What was kept out or given up, by reason', ['reason']),
    )
    const reject: ModuleContext['reject'] = (reason, detail, count) => this.#rejects.add(reason, detail, count)
    const fail = (error: unknown) => this.#fail(error)
    const giveUp: OutboxParts['giveUp'] = (message, reason, detail) => {
      reject(reason, detail)
      this.#givenUp.add(message, reason, clock.nowMs())
    }
    this.#store = openStore(declaration, parts, giveUp)
    this.#outbox = new Outbox({
      hub,
      clock,
      metrics: this.#metrics,
      session: this.session,
      store: this.#store,
      giveUp,
      fail,
    })
    this.#reporter = new Reporter(hub, reject)
    this.#runner = new ModuleRunner({
      declaration,
      context: this.#createContext(reject),
      keeper: new ConfigKeeper(declaration.config, settings.defaults, settings.stateFolder),
      clock,
      log,
      takesInputs: (listener) => hub.onInput(this.#guard(listener)),
      setFixedProperties: (properties) => this.#outbox.setFixedProperties(properties),
      fail,
    })
    this.#commands = new CommandServer({
      clock,
      module: declaration.name,
      version: weirVersion,
      status: () => this.#status(),
      commands: () => this.#runner.commands,
    })
    this.#reopener = new Reopener({ hub, clock, log, random: parts.random, giveUp: fail })
    const { promise, resolve } = Promise.withResolvers<number>()
    this.done = promise
    this.#finish = resolve
  }

  async start(): Promise<void> {
    const { settings, environment } = this.#parts
    const { name } = this.#declaration
    this.#log.info(`${name} ${weirVersion}: session ${this.session}, state in ${settings.stateFolder}`)
    this.#measure()
    this.#nameGivenUpLater()
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
    if (this.#runner.runs) return 'running'
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
      fsyncIntervalMs: this.#parts.settings.fsyncIntervalMs,
      publish: (message) => this.#outbox.publish(message),
      queued: () => this.#outbox.messages,
      reject,
      report: (patch) => this.#reporter.report(patch),
      fail: (error) => this.#fail(error),
    }
  }

  #measure(): void {
    const messages = this.#metrics.gauge('outbox_messages', 'Messages waiting for the hub')
    const bytes = this.#metrics.gauge('outbox_bytes', 'Bytes of the messages waiting for the hub')
    const unsynced = this.#metrics.gauge(
      'outbox_unsynced_seconds',
      'Age of the oldest message that is not on the disk yet: what a power cut would cost now',
    )
    this.#metrics.beforeScrape(() => {
      messages.set(this.#store.messages)
      bytes.set(this.#store.bytes)
      unsynced.set(this.#store.unsyncedMs / 1000)
    })
  }

  #takeConnection(connected: boolean, reason: string): void {
    this.#log.info(connected ? 'hub: connected' : `hub: not connected (${reason})`)
    this.#outbox.setConnected(connected)
    this.#connected = connected
    this.#nameGivenUp()
    this.#reporter.setConnected(connected)
    if (!connected) this.#reopener.lost()
  }

  /** Only while the hub takes messages: before, they would be the next to be given up. */
  #nameGivenUp(): void {
    if (!this.#connected) return
    for (const gap of this.#givenUp.take(this.#declaration.name)) this.#outbox.publish(gap)
  }

  #nameGivenUpLater(): void {
    this.#clock.setTimer(() => {
      if (this.#stopping !== undefined) return
      this.#nameGivenUp()
      this.#nameGivenUpLater()
    }, givenUpIntervalMs)
  }

  #takeDesired(desired: JsonObject, version: number): void {
    if (this.#stopping !== undefined) return
    this.#desiredSeen = true
    this.#runner.takeDesired(desired, version)
  }

  #startWithoutHub(): void {
    if (this.#desiredSeen || this.#stopping !== undefined) return
    this.#log.warning(`hub: away for ${this.#parts.settings.hubWaitMs} ms`)
    this.#runner.startWithLastGood()
  }

  /** A throw leaves the message with the hub: where it must stay once the module takes no more, or cannot keep it. */
  #guard(listener: (message: InputMessage) => void): (message: InputMessage) => void {
    const taken = this.#metrics.counter('messages_received_total', 'Messages taken at an input', ['input'])
    return (message) => {
      if (this.#inputPaused) throw new WeirError('HUB_AWAY', `input ${message.input}: the module is stopping`)
      if (this.#failed === undefined) listener(message)
      // The acknowledgement leaves right after this, before any microtask.
      this.#outbox.syncUrgent()
      if (this.#failed !== undefined) throw this.#failed
      taken.add(1, { input: message.input })
    }
  }

  #fail(error: unknown): void {
    this.#failed ??= error
    if (this.#stopping !== undefined) return
    const text = error instanceof WeirError ? `${error.code}: ${error.message}` : errorText(error)
    this.#log.critical(`${this.#declaration.name}: ${text}; the module stops and is to be started again`)
    this.#stopping = this.#stop()
  }

  async #stop(): Promise<number> {
    const endMs = this.#clock.monotonicMs() + drainTimeoutMs
    this.#log.info(`${this.#declaration.name}: stopping`)
    this.#reopener.stop()
    await this.#inTime(this.#hub.pauseInput(), pauseInputMsMax, 'the hub to stop its deliveries')
    this.#inputPaused = true
    this.#commands.close()
    await this.#inTime(this.#runner.stop(), stopInstanceMsMax, 'the module to stop')
    this.#nameGivenUp()
    await this.#inTime(this.#outbox.drained(), endMs - this.#clock.monotonicMs(), 'the queue to empty')
    await this.#inTime(this.#hub.close(), closeHubMsMax, 'the hub to close')
    this.#closeStore()
    await this.#socket?.close()
    await this.#metricsServer?.close()
    this.#stopped = true
    this.#log.info(`${this.#declaration.name}: stopped`)
    const exitCode = this.#failed === undefined ? 0 : 1
    this.#finish(exitCode)
    return exitCode
  }

  #closeStore(): void {
    const { messages } = this.#store
    if (messages > 0) this.#log.info(`${messages} messages stay in the queue until the next start`)
    try {
      this.#store.close()
    } catch (error) {
      this.#failed ??= error
      this.#log.error(errorText(error))
    }
  }

  /** Waits for `work`, but not longer than `timeoutMs`; what goes wrong is logged, since the module stops anyway. */
  async #inTime(work: Promise<void>, timeoutMs: number, what: string): Promise<void> {
    const late = () => new Error(`not within ${Math.max(0, timeoutMs)} ms`)
    try {
      await within(this.#clock, timeoutMs, work, late)
    } catch (error) {
      this.#log.warning(`waiting for ${what}: ${errorText(error)}`)
    }
  }

  /** The host's part stands first, and no module's key hides one of it. */
  #status(): JsonObject {
    const { version, status } = this.#runner.outcome
    const own = {
      module: this.#declaration.name,
      version: weirVersion,
      state: this.state(),
      session: this.session,
      config: { version, status },
      uptimeS: Math.round((this.#clock.monotonicMs() - this.#startedMs) / 1000),
      queued: this.#outbox.messages,
      rejected: this.#rejects.counts(),
    }
    return { ...own, ...this.#runner.status(), ...own }
  }
}

function openStore(
  declaration: ModuleDeclaration<unknown>,
  { settings, clock, log }: ModuleHostParts,
  giveUp: OutboxParts['giveUp'],
): OutboxStore {
  const disk = new DiskOutboxStore({
    folder: join(settings.stateFolder, 'outbox'),
    bytesMax: settings.queueBytesMax,
    fsyncIntervalMs: settings.fsyncIntervalMs,
    clock,
    log,
    onDropped: (message) => {
      const what = `message ${message.messageId} at output ${message.output}`
      giveUp(message, 'queueFull', `${what}: the queue holds ${settings.queueBytesMax} bytes`)
    },
  })
  return declaration.queue === 'spilling' ? new SpillingOutboxStore(disk, queueMemoryBytesMax) : disk
}
