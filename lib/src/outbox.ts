import type { Clock, Timer } from './clock.ts'
import { errorText, WeirError } from './errors.ts'
import type { GiveUpReason } from './given-up.ts'
import type { Hub, OutputMessage } from './hub.ts'
import { hubRetryMsFirst, hubRetryMsMax, inflightMax, messageBytesMax } from './limits.ts'
import { schemaVersion } from './messages.ts'
import { meteredBytes } from './meter.ts'
import type { Metrics } from './metrics.ts'
import type { Outgoing } from './module.ts'
import type { OutboxStore, StoredMessage } from './outbox-store.ts'

export interface OutboxParts {
  readonly hub: Pick<Hub, 'send'>
  readonly clock: Clock
  readonly metrics: Metrics
  /** Names this run of the module to receivers. */
  readonly session: string
  readonly store: OutboxStore
  /** Counts, logs and names what is given up. */
  giveUp(message: OutputMessage, reason: GiveUpReason, detail: string): void
  /** The store takes nothing any more: the module must stop. */
  fail(error: unknown): void
}

/** System properties that every message of Weir carries; needed to judge its size, set by hub-azure.ts. */
export const systemProperties = { contentType: 'application/json', contentEncoding: 'utf-8' } as const

/**
 * The queue between a module and the hub. Session, sequence and properties are decided when a message is published, and
 * each try sends the same. Messages of an output leave in order, urgent ones ahead of all others. When a send fails, all
 * that is not acknowledged is sent again in its old order: at least once, in order, with duplicates.
 */
export class Outbox {
  readonly #parts: OutboxParts
  readonly #store: OutboxStore
  readonly #sequences = new Map<string, number>()
  readonly #sent
  readonly #retried
  #fixed: Readonly<Record<string, string>> = {}
  /** Urgent messages that `syncUrgent` has yet to bring to the disk. */
  #unsynced = false
  #connected = false
  #inflight = 0
  #failed = false
  #retryMs = hubRetryMsFirst
  #retryTimer: Timer | undefined
  #idle: (() => void)[] = []

  constructor(parts: OutboxParts) {
    this.#parts = parts
    this.#store = parts.store
    this.#sent = parts.metrics.counter('messages_sent_total', 'Messages that the hub has taken', ['output'])
    this.#retried = parts.metrics.counter('sends_retried_total', 'Sends that failed and were tried again')
  }

  /** Messages that the hub has not taken yet. */
  get messages(): number {
    return this.#store.messages
  }

  /** Properties added to every message published from now on. */
  setFixedProperties(properties: Readonly<Record<string, string>>): void {
    this.#fixed = properties
  }

  publish(outgoing: Outgoing): void {
    const message = this.#decide(outgoing)
    const bytes = meteredBytes(message.body.length, message.properties, {
      ...systemProperties,
      messageId: message.messageId,
    })
    if (bytes > messageBytesMax) {
      const what = `${outgoing.messageType} ${message.messageId} at output ${message.output}`
      this.#parts.giveUp(message, 'messageTooLarge', `${what}: ${bytes} bytes exceed ${messageBytesMax}`)
      return
    }
    try {
      this.#store.append(message, outgoing.urgent === true)
      if (outgoing.urgent === true) this.#syncSoon()
    } catch (error) {
      if (error instanceof WeirError && error.code === 'QUEUE_FULL') {
        this.#parts.giveUp(message, 'queueFull', error.message)
      } else this.#parts.fail(error)
    }
    this.#pump()
  }

  /** Urgent messages published before are on the disk once it returns; many of them cost one write to it. */
  syncUrgent(): void {
    if (!this.#unsynced) return
    this.#unsynced = false
    try {
      this.#store.sync()
    } catch (error) {
      this.#parts.fail(error)
    }
  }

  /** The hub takes messages from now on, or takes none. */
  setConnected(connected: boolean): void {
    this.#connected = connected
    this.#retryMs = hubRetryMsFirst
    if (connected && this.#inflight === 0) {
      this.#retryTimer?.cancel()
      this.#retryTimer = undefined
      this.#failed = false
    }
    if (!connected && this.#inflight === 0) this.#away()
    this.#pump()
  }

  /** Resolves once everything is sent, or nothing more can be because the hub is away. */
  async drained(): Promise<void> {
    if (this.#store.messages === 0 || !this.#connected) return
    await new Promise<void>((resolve) => {
      this.#idle.push(resolve)
    })
  }

  #syncSoon(): void {
    if (this.#unsynced) return
    this.#unsynced = true
    queueMicrotask(() => this.syncUrgent())
  }

  #decide(outgoing: Outgoing): OutputMessage {
    const before = this.#sequences.get(outgoing.output) ?? 0
    const part = outgoing.properties['part']
    const sequence = part === undefined || part === '1' ? before + 1 : before
    this.#sequences.set(outgoing.output, sequence)
    return {
      output: outgoing.output,
      messageId: outgoing.messageId,
      body: outgoing.body,
      properties: {
        ...this.#fixed,
        ...outgoing.properties,
        messageType: outgoing.messageType,
        schemaVersion: String(schemaVersion),
        ...(outgoing.urgent === true ? { priority: 'high' } : {}),
        session: this.#parts.session,
        sequence: String(sequence),
      },
    }
  }

  #pump(): void {
    while (this.#connected && !this.#failed && this.#inflight < inflightMax) {
      const item = this.#store.take()
      if (item === undefined) break
      this.#inflight += 1
      this.#parts.hub.send(item.message).then(
        () => this.#settle(item, undefined),
        (error: unknown) => this.#settle(item, error),
      )
    }
    this.#tellDrained()
  }

  #settle(item: StoredMessage, error: unknown): void {
    this.#inflight -= 1
    if (error === undefined) {
      this.#done(item)
      this.#sent.add(1, { output: item.message.output })
      if (!this.#failed) this.#retryMs = hubRetryMsFirst
    } else if (error instanceof WeirError && error.reaction === 'drop') {
      this.#done(item)
      this.#parts.giveUp(item.message, 'sendRefused', `message ${item.message.messageId}: ${errorText(error)}`)
    } else {
      this.#failed = true
      this.#retried.add(1)
    }
    if (this.#failed && this.#inflight === 0) this.#retryLater()
    this.#pump()
  }

  #done(item: StoredMessage): void {
    try {
      this.#store.done(item.id)
    } catch (error) {
      this.#parts.fail(error)
    }
  }

  /** Only once nothing is in flight: sending the rest beside what failed would break the order. */
  #retryLater(): void {
    this.#store.giveBack()
    if (!this.#connected) this.#away()
    if (this.#retryTimer !== undefined) return
    this.#retryTimer = this.#parts.clock.setTimer(() => {
      this.#retryTimer = undefined
      this.#failed = false
      this.#pump()
    }, this.#retryMs)
    this.#retryMs = Math.min(this.#retryMs * 2, hubRetryMsMax)
  }

  #away(): void {
    try {
      this.#store.away()
    } catch (error) {
      this.#parts.fail(error)
    }
  }

  #tellDrained(): void {
    if (this.#store.messages > 0 && this.#connected) return
    for (const resolve of this.#idle.splice(0)) resolve()
  }
}
