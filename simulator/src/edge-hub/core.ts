import type { Clock } from '@weir/lib/clock'
import { errorText } from '@weir/lib/errors'
import type { MethodResult } from '@weir/lib/hub'
import type { JsonObject } from '@weir/lib/json'
import type { Log } from '@weir/lib/log'
import { noTraffic } from '@weir/lib/meter'
import type { EdgeHubCounters, EdgeHubSettings } from '../edge-hub-control.ts'
import { DeliveryFaults } from '../faults/delivery-faults.ts'
import type { FromCloud } from '../upstream-link.ts'
import type { Admission, BrokerEvents, Connection, Refusal } from './broker.ts'
import type { Database } from './database.ts'
import { ModuleDelivery } from './delivery.ts'
import { GroupCommit } from './group-commit.ts'
import { IdentityStore } from './identities.ts'
import { Intake } from './intake.ts'
import { edgeHubModuleId, type QueuedMessage, upstreamTarget } from './message.ts'
import { TelemetryMeter } from './meter.ts'
import { type MethodCall, MethodCaller, type MethodFailure } from './methods.ts'
import { HubMetrics } from './metrics.ts'
import { OwnTwin } from './own-twin.ts'
import { ReportPump } from './report-pump.ts'
import { Router } from './router.ts'
import { SessionStore } from './sessions.ts'
import { MessageStore } from './store.ts'
import { parseUserName, verifyToken } from './tokens.ts'
import { desiredTopic, inputTopic, methodTopic, type Subscription } from './topics.ts'
import { type DesiredChange, TwinStore } from './twins.ts'
import { type CloudMethod, type CloudMethodAnswer, UpstreamLink } from './upstream.ts'
import { UpstreamPump } from './upstream-pump.ts'

/** The edge hub without its ports: what comes from modules, from the cloud and from disk meets here. */
export class HubCore implements BrokerEvents {
  readonly sessions: SessionStore
  readonly metrics: HubMetrics
  /** Dials once it is wanted. */
  readonly link: UpstreamLink
  readonly faults: DeliveryFaults
  readonly #settings: EdgeHubSettings
  readonly #clock: Clock
  readonly #log: Log
  readonly #commit: GroupCommit
  readonly #identities: IdentityStore
  readonly #twins: TwinStore
  readonly #router: Router
  readonly #store: MessageStore
  readonly #methods: MethodCaller
  readonly #intake: Intake
  readonly #meter: TelemetryMeter | undefined
  readonly #pump: UpstreamPump
  readonly #reports: ReportPump
  readonly #own: OwnTwin
  readonly #connections = new Map<string, Connection>()
  readonly #deliveries = new Map<string, ModuleDelivery>()
  readonly #listening = new WeakSet<Connection>()
  readonly #identitiesKnown = Promise.withResolvers<void>()
  #delivered = 0

  constructor(settings: EdgeHubSettings, database: Database, clock: Clock, log: Log) {
    this.#settings = settings
    this.#clock = clock
    this.#log = log
    this.faults = new DeliveryFaults(clock, settings.deliveryFaults)
    const { deviceId } = settings
    const commit = new GroupCommit(database, clock)
    this.#commit = commit
    this.sessions = new SessionStore(database, commit)
    this.#identities = new IdentityStore(database, commit)
    this.#twins = new TwinStore(database, commit)
    this.#router = new Router(deviceId, database, commit)
    this.#store = new MessageStore(database, commit, clock, {
      available: (target) => this.#available(target),
      expired: (queued) => this.#expired(queued),
    })
    this.link = new UpstreamLink({
      socketPath: settings.upstreamSocket,
      deviceId,
      secret: settings.upstreamSecret,
      clock,
      log,
      events: {
        told: (frame) => this.#told(frame),
        method: (call) => this.#cloudMethod(call),
        connected: (connected) => this.#upstream(connected),
      },
    })
    this.#pump = new UpstreamPump(this.#store, this.link, clock, (queued, tookMs) => this.#wasDelivered(queued, tookMs))
    this.#reports = new ReportPump(this.#twins, this.link, log)
    this.#own = new OwnTwin(deviceId, (moduleId, patch) => this.#report(moduleId, patch))
    this.#methods = new MethodCaller(clock, (moduleId, name, requestId, payload) => {
      const connection = this.#connections.get(moduleId)
      if (connection?.subscribed('methods') === undefined) return false
      connection.send(methodTopic(name, requestId), payload)
      return true
    })
    this.metrics = new HubMetrics(settings, {
      lengths: () => this.#store.lengths(),
      connectedClients: () => this.#connections.size,
    })
    this.#meter = settings.meterTelemetry ? new TelemetryMeter() : undefined
    this.#intake = new Intake({
      deviceId,
      clock,
      log,
      router: this.#router,
      store: this.#store,
      twins: this.#twins,
      methods: this.#methods,
      metrics: this.metrics,
      meter: this.#meter,
      reportWaits: () => this.#reports.wake(),
    })
    if (this.#identities.known) this.#identitiesKnown.resolve()
    else log.info('waiting for the cloud to say which modules may connect')
    this.#own.started()
  }

  /** Resolves once it is known, from disk or from the cloud, who may connect. */
  get identitiesKnown(): Promise<void> {
    return this.#identitiesKnown.promise
  }

  authenticate(clientId: string, userName: string, password: string): Admission | Refusal {
    const name = parseUserName(userName)
    const refused = (reason: string): Refusal => {
      const known = typeof name !== 'string' && this.#identities.get(name.moduleId) !== undefined
      this.metrics.refused(known ? clientId : 'unknown')
      return { refused: reason }
    }
    if (typeof name === 'string') return refused(name)
    const { deviceId, moduleId } = name
    if (clientId !== `${deviceId}/${moduleId}`) return refused(`the client id is not ${deviceId}/${moduleId}`)
    if (deviceId !== this.#settings.deviceId) return refused(`this is device ${this.#settings.deviceId}`)
    const token = this.#verify(moduleId, password)
    return typeof token === 'string' ? refused(token) : { moduleId, expiresMs: token.expiresMs }
  }

  /** Why a token does not prove that its bearer is this module. */
  refuse(moduleId: string, token: string): string | undefined {
    const verified = this.#verify(moduleId, token)
    return typeof verified === 'string' ? verified : undefined
  }

  #verify(moduleId: string, token: string): { readonly expiresMs: number } | string {
    const identity = this.#identities.get(moduleId)
    if (identity === undefined || moduleId === edgeHubModuleId) return `no module ${moduleId} on this device`
    const { deviceId, iotHubHostname, gatewayHostname } = this.#settings
    const hosts = [iotHubHostname, gatewayHostname]
    const nowMs = this.#clock.nowMs()
    return verifyToken(token, { deviceId, moduleId, hosts, primaryKey: identity.primaryKey, nowMs })
  }

  connected(connection: Connection): void {
    const { moduleId } = connection
    this.#log.info(`module ${moduleId}: connected`)
    this.#connections.set(moduleId, connection)
    this.metrics.connected(moduleId)
    this.#own.client(moduleId, true, this.#clock.nowMs())
  }

  ready(connection: Connection): void {
    for (const subscription of ['inputs', 'methods'] as const) {
      if (connection.subscribed(subscription) !== undefined) this.subscribed(connection, subscription)
    }
  }

  subscribed(connection: Connection, subscription: Subscription): void {
    const { moduleId } = connection
    if (this.#connections.get(moduleId) !== connection) return
    if (subscription === 'methods') this.#methods.listening(moduleId)
    if (subscription !== 'inputs' || this.#listening.has(connection)) return
    this.#listening.add(connection)
    this.#delivery(moduleId).connected({
      deliver: (queued, packetId, again) => this.#deliver(connection, queued, packetId, again),
    })
  }

  unsubscribed(connection: Connection, subscription: Subscription): void {
    if (subscription !== 'inputs' || !this.#listening.delete(connection)) return
    if (this.#connections.get(connection.moduleId) === connection) {
      this.#deliveries.get(connection.moduleId)?.disconnected()
    }
  }

  disconnected(connection: Connection): void {
    const { moduleId } = connection
    if (this.#connections.get(moduleId) !== connection) return
    this.#log.info(`module ${moduleId}: disconnected`)
    this.#connections.delete(moduleId)
    this.#deliveries.get(moduleId)?.disconnected()
    this.#methods.disconnected(moduleId)
    this.#own.client(moduleId, false, this.#clock.nowMs())
  }

  published(connection: Connection, topic: string, payload: Buffer, taken: (error: Error | undefined) => void): void {
    this.#intake.published(connection, topic, payload, taken)
  }

  acknowledged({ moduleId }: Connection, packetId: number): void {
    if (!this.faults.losesAcknowledgement(moduleId)) this.#deliveries.get(moduleId)?.acknowledged(packetId)
  }

  /** A direct method. `from`: a module, or `upstream`. */
  async call(from: string, call: MethodCall): Promise<MethodResult | MethodFailure> {
    const startMs = this.#clock.monotonicMs()
    const result = await this.#methods.call(call)
    this.metrics.method(from, call.moduleId, this.#clock.monotonicMs() - startMs)
    return result
  }

  counters(): EdgeHubCounters {
    const queued: Record<string, number> = {}
    for (const { target, input, count } of this.#store.lengths()) {
      const endpoint = target === upstreamTarget ? target : `${target}/${input}`
      queued[endpoint] = (queued[endpoint] ?? 0) + count
    }
    return {
      ...(this.#meter?.counts ?? { rows: 0, values: 0, perRow: noTraffic(), perMessage: noTraffic() }),
      messagesTaken: this.#intake.messagesTaken,
      messagesDelivered: this.#delivered,
      messagesDropped: this.#intake.dropped,
      queued,
      connectedModules: [...this.#connections.keys()],
      upstreamConnected: this.link.connected,
    }
  }

  /** Drops what outlived its time. */
  sweep(): Promise<void> {
    return this.#store.sweep()
  }

  /** Writes all that waits for the disk; nothing is taken afterwards. */
  close(): void {
    this.link.want(false)
    this.#commit.close()
  }

  #deliver(connection: Connection, queued: QueuedMessage, packetId: number, again: boolean): boolean {
    const { message, input } = queued
    const { deviceId } = this.#settings
    const { moduleId } = connection
    const topic = inputTopic({ deviceId, moduleId, input }, message, { deviceId, moduleId: message.moduleId })
    if (connection.subscribed('inputs') === 0) {
      connection.send(topic, message.body)
      return true
    }
    this.faults.deliver(moduleId, again, (dup) => connection.deliver(topic, message.body, packetId, dup))
    return false
  }

  #delivery(moduleId: string): ModuleDelivery {
    const known = this.#deliveries.get(moduleId)
    if (known !== undefined) return known
    const delivery = new ModuleDelivery(moduleId, this.#store, this.#clock, {
      delivered: (queued, tookMs) => this.#wasDelivered(queued, tookMs),
      timedOut: ({ input }, delayMs) => {
        this.#log.warning(`module ${moduleId}/${input}: no acknowledgement; trying again in ${delayMs} ms`)
        this.metrics.retried(moduleId, 'SendMessage')
      },
    })
    this.#deliveries.set(moduleId, delivery)
    return delivery
  }

  #wasDelivered(queued: QueuedMessage, tookMs: number): void {
    this.#delivered++
    this.metrics.delivered(queued, tookMs, this.#clock.nowMs())
  }

  #available(target: string): void {
    if (target === upstreamTarget) this.#pump.wake()
    else this.#deliveries.get(target)?.available()
  }

  #expired({ target, input, message }: QueuedMessage): void {
    const output = message.systemProperties['outputName'] ?? ''
    this.#intake.drop('ttl_expiry', message.moduleId, output, `a message for ${target}/${input} outlived its time`)
  }

  #upstream(connected: boolean): void {
    if (!connected) {
      this.metrics.offline()
      return
    }
    this.#pump.wake()
    this.#reports.wake()
  }

  #told(frame: Extract<FromCloud, { type: 'welcome' | 'desiredPatch' }>): void {
    if (frame.type === 'desiredPatch') {
      const change = this.#twins.desiredPatch(frame.moduleId, frame.patch, frame.version)
      if (change !== undefined) this.#desiredChanged(change)
      return
    }
    // A cloud that has no deployment yet says nothing about this device.
    if (frame.identities.length === 0) return
    for (const moduleId of this.#identities.replace(frame.identities)) this.#connections.get(moduleId)?.close()
    for (const change of this.#twins.welcome(frame.twins)) this.#desiredChanged(change)
    this.#identitiesKnown.resolve()
  }

  #desiredChanged({ moduleId, patch, version }: DesiredChange): void {
    if (moduleId === edgeHubModuleId) {
      const status = this.#router.configure(this.#twins.get(moduleId).desired)
      if (status.code === 200) this.#log.info(`routes: version ${version} is in force`)
      else this.#log.error(`routes: version ${version} is refused, those before stay: ${status.description}`)
      this.#own.configured(version, status)
      return
    }
    const connection = this.#connections.get(moduleId)
    if (connection?.subscribed('desired') === undefined) return
    connection.send(desiredTopic(version), JSON.stringify({ ...patch, $version: version }))
  }

  #report(moduleId: string, patch: JsonObject): void {
    const problem = this.#twins.report(moduleId, patch, (error) => {
      if (error === undefined) this.#reports.wake()
      else this.#log.error(`twin ${moduleId}: ${errorText(error)}`)
    })
    if (problem !== undefined) this.#log.warning(`twin ${moduleId}: ${problem}`)
  }

  async #cloudMethod(frame: CloudMethod): Promise<CloudMethodAnswer> {
    const { id, moduleId, name, payload, responseTimeoutMs, connectTimeoutMs } = frame
    const result = await this.call('upstream', { moduleId, name, payload, responseTimeoutMs, connectTimeoutMs })
    return 'failed' in result
      ? { type: 'methodFailed', id, status: result.failed, message: result.message }
      : { type: 'methodResult', id, ...result }
  }
}
