import type { Duplex } from 'node:stream'
import type { Clock, Timer } from '@weir/lib/clock'
import { errorText } from '@weir/lib/errors'
import type { Log } from '@weir/lib/log'
import { Aedes, type AuthenticateError, type Client, type PublishPacket } from 'aedes'
import type { SessionStore } from './sessions.ts'
import { type Subscription, subscriptionOf } from './topics.ts'

/** Why a client may not connect. */
export interface Refusal {
  readonly refused: string
}

/** MQTT 3.1.1, 3.2.2.3: not authorised. */
const notAuthorised = 5

export interface Admission {
  readonly moduleId: string
  /** When the token ends, and with it the connection; Unix milliseconds. */
  readonly expiresMs: number
}

export interface BrokerEvents {
  authenticate(clientId: string, userName: string, password: string): Admission | Refusal
  /** Admitted; a connection that the module had before is closed. */
  connected(connection: Connection): void
  /** Greeted: may be sent to, with the subscriptions of its session. */
  ready(connection: Connection): void
  disconnected(connection: Connection): void
  subscribed(connection: Connection, subscription: Subscription): void
  unsubscribed(connection: Connection, subscription: Subscription): void
  /** The message is acknowledged once `taken` is called; with an error the connection is closed instead. */
  published(connection: Connection, topic: string, payload: Buffer, taken: (error: Error | undefined) => void): void
  acknowledged(connection: Connection, packetId: number): void
}

/** Wall clocks step: the end of a token is looked at again at the latest after this. */
const expiryCheckMs = 60_000

/** A connected module. */
export class Connection {
  readonly moduleId: string
  readonly #client: Client
  readonly #subscriptions = new Map<Subscription, 0 | 1>()
  #packetId = 0

  constructor(moduleId: string, client: Client) {
    this.moduleId = moduleId
    this.#client = client
  }

  /** Quality of service that the module subscribed with; undefined where it did not. */
  subscribed(subscription: Subscription): 0 | 1 | undefined {
    return this.#subscriptions.get(subscription)
  }

  subscribe(subscription: Subscription, qos: 0 | 1): void {
    this.#subscriptions.set(subscription, qos)
  }

  unsubscribe(subscription: Subscription): void {
    this.#subscriptions.delete(subscription)
  }

  /** Sends at most once. */
  send(topic: string, payload: string | Buffer): void {
    this.#publish({ cmd: 'publish', topic, payload, qos: 0, dup: false, retain: false })
  }

  /** Sends for an acknowledgement that carries `packetId`. One at a time. */
  deliver(topic: string, payload: Buffer, packetId: number, again: boolean): void {
    this.#packetId = packetId
    this.#publish({ cmd: 'publish', topic, payload, qos: 1, dup: again, retain: false })
  }

  /** The packet id of what is being delivered. */
  get packetId(): number {
    return this.#packetId
  }

  close(): void {
    this.#client.close()
  }

  #publish(packet: PublishPacket): void {
    // An error closes the connection, which is told as `disconnected`.
    this.#client.publish(packet, () => {})
  }
}

/** Broadcasts nothing: the edge hub addresses each delivery to one connection, whatever topic filters say. */
const noEmitter = {
  concurrency: 0,
  on(_filter: string, _deliver: unknown, done?: () => void) {
    done?.()
    return this
  },
  removeListener(_filter: string, _deliver: unknown, done?: () => void) {
    done?.()
    return this
  },
  emit(_packet: unknown, done?: () => void) {
    done?.()
    return this
  },
  close(done?: () => void) {
    done?.()
    return this
  },
}

/** The MQTT side: aedes speaks the protocol; who may connect and what a message means is decided by `events`. */
export class Broker {
  readonly #aedes: Aedes
  readonly #deviceId: string
  readonly #sessions: SessionStore
  readonly #events: BrokerEvents
  readonly #clock: Clock
  readonly #log: Log
  readonly #connections = new WeakMap<Client, Connection>()
  readonly #expiries = new WeakMap<Client, Timer>()

  constructor(deviceId: string, sessions: SessionStore, events: BrokerEvents, clock: Clock, log: Log) {
    this.#deviceId = deviceId
    this.#sessions = sessions
    this.#events = events
    this.#clock = clock
    this.#log = log
    this.#aedes = new Aedes({
      mq: noEmitter,
      persistence: sessions,
      authenticate: (client, userName, password, done) => this.#authenticate(client, userName, password, done),
      authorizePublish: (client, packet, done) => this.#authorizePublish(client, packet, done),
      authorizeSubscribe: (_client, subscription, done) => done(null, subscription),
      authorizeForward: (client, packet) => {
        // The hook is the one place where the packet id can be set; aedes keeps an id that is there.
        const packetId = this.#connections.get(client)?.packetId
        if (packet.qos > 0 && packetId !== undefined) packet.messageId = packetId
        return packet
      },
    })
  }

  async start(): Promise<void> {
    const aedes = this.#aedes
    await aedes.listen()
    aedes.on('client', (client) =>
      this.#tell(client, (connection) => {
        for (const [filter, qos] of this.#sessions.filters(client.id)) {
          const subscription = subscriptionOf(filter, this.#deviceId, connection.moduleId)
          if (subscription !== undefined) connection.subscribe(subscription, qos)
        }
        this.#events.connected(connection)
      }),
    )
    aedes.on('clientReady', (client) => this.#tell(client, (connection) => this.#events.ready(connection)))
    aedes.on('clientDisconnect', (client) => {
      this.#expiries.get(client)?.cancel()
      this.#tell(client, (connection) => this.#events.disconnected(connection))
    })
    aedes.on('subscribe', (subscriptions, client) => this.#subscribed(client, subscriptions))
    aedes.on('unsubscribe', (filters, client) => this.#unsubscribed(client, filters))
    aedes.on('ack', ({ messageId }, client) => {
      if (messageId !== undefined) this.#tell(client, (connection) => this.#events.acknowledged(connection, messageId))
    })
    const failed = (client: Client, error: Error): void => {
      this.#log.debug(`client ${client.id ?? 'unnamed'}: ${errorText(error)}`)
    }
    aedes.on('clientError', failed)
    aedes.on('connectionError', failed)
  }

  /** Takes a connection. */
  handle(socket: Duplex): void {
    this.#aedes.handle(socket)
  }

  stop(): Promise<void> {
    return new Promise((resolve) => this.#aedes.close(resolve))
  }

  #tell(client: Client, event: (connection: Connection) => void): void {
    const connection = this.#connections.get(client)
    if (connection !== undefined) event(connection)
  }

  #authenticate(
    client: Client,
    userName: string | undefined,
    password: Buffer | undefined,
    done: (error: AuthenticateError | null, success: boolean | null) => void,
  ): void {
    const answer = this.#events.authenticate(client.id, userName ?? '', password?.toString('utf8') ?? '')
    if ('refused' in answer) {
      this.#log.warning(`client ${client.id}: refused: ${answer.refused}`)
      done(Object.assign(new Error(answer.refused), { returnCode: notAuthorised }), false)
      return
    }
    this.#connections.set(client, new Connection(answer.moduleId, client))
    this.#closeAt(client, answer.expiresMs)
    done(null, true)
  }

  #closeAt(client: Client, expiresMs: number): void {
    const leftMs = expiresMs - this.#clock.nowMs()
    if (leftMs <= 0) {
      this.#log.info(`client ${client.id}: its token expired; disconnected`)
      client.close()
      return
    }
    const timer = this.#clock.setTimer(() => this.#closeAt(client, expiresMs), Math.min(leftMs, expiryCheckMs))
    this.#expiries.set(client, timer)
  }

  #authorizePublish(client: Client | null, packet: PublishPacket, done: (error?: Error | null) => void): void {
    const connection = client === null ? undefined : this.#connections.get(client)
    if (connection === undefined) {
      done(new Error('not connected'))
      return
    }
    if (packet.qos === 2) {
      done(new Error('quality of service 2 is not supported'))
      return
    }
    const payload = typeof packet.payload === 'string' ? Buffer.from(packet.payload) : packet.payload
    this.#events.published(connection, packet.topic, payload, (error) => done(error ?? null))
  }

  #subscribed(client: Client, subscriptions: readonly { topic: string; qos: number }[]): void {
    const connection = this.#connections.get(client)
    if (connection === undefined) return
    for (const { topic, qos } of subscriptions) {
      const subscription = subscriptionOf(topic, this.#deviceId, connection.moduleId)
      if (subscription === undefined) {
        this.#log.info(`client ${client.id}: unknown subscription ${topic} is ignored`)
        continue
      }
      this.#log.debug(`client ${client.id}: subscribed ${topic}`)
      connection.subscribe(subscription, qos === 0 ? 0 : 1)
      this.#events.subscribed(connection, subscription)
    }
  }

  #unsubscribed(client: Client, filters: readonly string[]): void {
    const connection = this.#connections.get(client)
    if (connection === undefined) return
    for (const filter of filters) {
      const subscription = subscriptionOf(filter, this.#deviceId, connection.moduleId)
      if (subscription === undefined) continue
      connection.unsubscribe(subscription)
      this.#events.unsubscribed(connection, subscription)
    }
  }
}
