import type { Clock, Timer } from '@weir/lib/clock'
import type { QueuedMessage } from './message.ts'
import type { MessageStore } from './store.ts'

/** A module has this long to acknowledge (edgeHub's MessageAckTimeoutSecs). */
export const acknowledgeTimeoutMs = 30_000
const retryDelayMsMin = 1_000
const retryDelayMsMax = 60_000

/** edgeHub's exponential retry: 1, 2, 4, … 60 s. `failures` from 1. */
export function retryDelayMs(failures: number): number {
  return Math.min(retryDelayMsMin * 2 ** (failures - 1), retryDelayMsMax)
}

export interface ModuleLink {
  /**
   * Sends a message to an input of the module.
   * @returns true where the subscription wants no acknowledgement.
   */
  deliver(queued: QueuedMessage, packetId: number, again: boolean): boolean
}

export interface DeliveryEvents {
  /** The module has it; `tookMs` since it was sent. */
  delivered(queued: QueuedMessage, tookMs: number): void
  timedOut(queued: QueuedMessage, retryDelayMs: number): void
}

/**
 * Deliveries to one module: one message in flight for all its inputs; an acknowledgement ends it, none for 30 s sends it
 * again after a delay that grows. Waits while the module is not connected or not subscribed; a new connection gets the
 * message at once.
 */
export class ModuleDelivery {
  readonly #moduleId: string
  readonly #store: Pick<MessageStore, 'peek' | 'done'>
  readonly #clock: Clock
  readonly #events: DeliveryEvents
  #link: ModuleLink | undefined
  #inFlight: QueuedMessage | undefined
  #sentMs = 0
  /** Equal tries carry equal packet ids, so that a late acknowledgement of an earlier try counts. */
  #packetId = 0
  #lastId: number | undefined
  #failures = 0
  #timer: Timer | undefined

  constructor(moduleId: string, store: Pick<MessageStore, 'peek' | 'done'>, clock: Clock, events: DeliveryEvents) {
    this.#moduleId = moduleId
    this.#store = store
    this.#clock = clock
    this.#events = events
  }

  connected(link: ModuleLink): void {
    this.disconnected()
    this.#link = link
    this.#next()
  }

  disconnected(): void {
    this.#link = undefined
    this.#inFlight = undefined
    this.#failures = 0
    this.#cancelTimer()
  }

  /** Something is queued for the module. */
  available(): void {
    if (this.#inFlight === undefined && this.#timer === undefined) this.#next()
  }

  acknowledged(packetId: number): void {
    // After a timeout the message is not in flight; its late acknowledgement counts while it is still the first.
    const queued = this.#inFlight ?? this.#store.peek(this.#moduleId, 1)[0]
    if (queued === undefined || packetId !== this.#packetId || queued.id !== this.#lastId) return
    this.#done(queued)
    this.#next()
  }

  #next(): void {
    if (this.#link === undefined) return
    const queued = this.#store.peek(this.#moduleId, 1)[0]
    if (queued === undefined) return
    const again = queued.id === this.#lastId
    if (!again) this.#packetId = (this.#packetId % 65_535) + 1
    this.#lastId = queued.id
    this.#inFlight = queued
    this.#sentMs = this.#clock.monotonicMs()
    if (this.#link.deliver(queued, this.#packetId, again)) {
      this.#done(queued)
      this.#nextAfter(0)
    } else {
      this.#timer = this.#clock.setTimer(() => this.#timedOut(queued), acknowledgeTimeoutMs)
    }
  }

  #done(queued: QueuedMessage): void {
    this.#cancelTimer()
    this.#inFlight = undefined
    this.#failures = 0
    this.#store.done(queued)
    this.#events.delivered(queued, this.#clock.monotonicMs() - this.#sentMs)
  }

  #timedOut(queued: QueuedMessage): void {
    this.#inFlight = undefined
    this.#failures++
    const delayMs = retryDelayMs(this.#failures)
    this.#events.timedOut(queued, delayMs)
    this.#nextAfter(delayMs)
  }

  #nextAfter(delayMs: number): void {
    this.#timer = this.#clock.setTimer(() => {
      this.#timer = undefined
      this.#next()
    }, delayMs)
  }

  #cancelTimer(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }
}
