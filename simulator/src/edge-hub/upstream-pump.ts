import { type Clock, sleep } from '@weir/lib/clock'
import type { UpstreamMessage } from '../upstream-link.ts'
import { connectionModuleId, type QueuedMessage, upstreamTarget } from './message.ts'
import type { MessageStore } from './store.ts'
import type { UpstreamLink } from './upstream.ts'

/** edgeHub's MaxUpstreamBatchSize and UpstreamFanOutFactor: messages in a batch; senders served side by side. */
const batchMessagesMax = 10
const fanOut = 10

/**
 * Sends what is queued upstream: in batches of 10, one batch in flight for each sender, ten senders side by side. Before
 * each batch it looks whether something of higher priority has come, and then that goes first.
 */
export class UpstreamPump {
  readonly #store: Pick<MessageStore, 'peek' | 'done' | 'highestPriority'>
  readonly #link: Pick<UpstreamLink, 'connected' | 'request'>
  readonly #clock: Clock
  readonly #delivered: (queued: QueuedMessage, tookMs: number) => void
  #running = false

  constructor(
    store: Pick<MessageStore, 'peek' | 'done' | 'highestPriority'>,
    link: Pick<UpstreamLink, 'connected' | 'request'>,
    clock: Clock,
    delivered: (queued: QueuedMessage, tookMs: number) => void,
  ) {
    this.#store = store
    this.#link = link
    this.#clock = clock
    this.#delivered = delivered
  }

  /** Something is queued, or the link is back. */
  wake(): void {
    if (this.#running) return
    this.#running = true
    void this.#run().finally(() => {
      this.#running = false
    })
  }

  async #run(): Promise<void> {
    while (this.#link.connected) {
      const messages = this.#store.peek(upstreamTarget, batchMessagesMax * fanOut)
      const priority = messages[0]?.priority
      if (priority === undefined) return
      const senders = [...Map.groupBy(messages, ({ message }) => connectionModuleId(message)).values()].slice(0, fanOut)
      const pauses = await Promise.all(senders.map((queue) => this.#sendAll(queue, priority)))
      const pauseMs = Math.max(...pauses)
      if (pauseMs > 0) await sleep(this.#clock, pauseMs)
    }
  }

  /** Sends one sender's messages in order. @returns how long the cloud wants to be left alone, milliseconds. */
  async #sendAll(messages: readonly QueuedMessage[], priority: number): Promise<number> {
    for (let at = 0; at < messages.length; at += batchMessagesMax) {
      if ((this.#store.highestPriority(upstreamTarget) ?? priority) < priority) return 0
      const pauseMs = await this.#send(messages.slice(at, at + batchMessagesMax))
      if (pauseMs !== 0) return pauseMs
    }
    return 0
  }

  async #send(batch: readonly QueuedMessage[]): Promise<number> {
    const startMs = this.#clock.monotonicMs()
    const answer = await this.#link
      .request({ type: 'messages', messages: batch.map(toUpstream) })
      .catch(() => undefined)
    // The link is gone: the loop ends, and begins again with the next connection.
    if (answer === undefined) return -1
    if (answer.type === 'throttled') return Math.max(1, answer.retryAfterMs)
    const tookMs = this.#clock.monotonicMs() - startMs
    for (const queued of batch) {
      this.#store.done(queued)
      this.#delivered(queued, tookMs)
    }
    return 0
  }
}

function toUpstream({ storeId, message }: QueuedMessage): UpstreamMessage {
  return {
    moduleId: connectionModuleId(message),
    storeId,
    properties: message.properties,
    systemProperties: message.systemProperties,
    bodyBase64: message.body.toString('base64'),
    enqueuedMs: message.enqueuedMs,
  }
}
