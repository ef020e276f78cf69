/**
 * Faults of the edge hub's deliveries to modules; lives in the edge hub's process. Deliveries of quality of service 0, which
 * wait for no acknowledgement, are left alone.
 */
import type { Clock } from '@weir/lib/clock'
import { seededRandom } from './random.ts'

/** Shares are from 0 to 1. */
export interface DeliveryFault {
  readonly delayMs?: number | undefined
  /** Of the acknowledgements, those that get lost: the hub delivers again after its time-out. */
  readonly dropBeforeAckShare?: number | undefined
  /** Of the deliveries, those that arrive twice. */
  readonly duplicateShare?: number | undefined
}

export interface DeliveryFaultSettings {
  /** The run's. */
  readonly seed: number
  readonly modules: Readonly<Record<string, DeliveryFault>>
}

export class DeliveryFaults {
  readonly #clock: Clock
  readonly #random = new Map<string, () => number>()
  #settings: DeliveryFaultSettings = { seed: 0, modules: {} }

  constructor(clock: Clock, settings: DeliveryFaultSettings | undefined) {
    this.#clock = clock
    if (settings !== undefined) this.set(settings)
  }

  set(settings: DeliveryFaultSettings): void {
    this.#settings = settings
  }

  /** Calls `send` as often as, and when, the module is to get the message; `again` for a repetition. */
  deliver(moduleId: string, again: boolean, send: (again: boolean) => void): void {
    const { delayMs = 0, duplicateShare } = this.#of(moduleId)
    const isTwice = this.#happens(moduleId, 'duplicate', duplicateShare)
    const sendAll = (): void => {
      send(again)
      if (isTwice) send(true)
    }
    if (delayMs === 0) sendAll()
    else this.#clock.setTimer(sendAll, delayMs)
  }

  losesAcknowledgement(moduleId: string): boolean {
    return this.#happens(moduleId, 'dropBeforeAck', this.#of(moduleId).dropBeforeAckShare)
  }

  #of(moduleId: string): DeliveryFault {
    const { modules } = this.#settings
    return (Object.hasOwn(modules, moduleId) ? modules[moduleId] : undefined) ?? {}
  }

  #happens(moduleId: string, what: string, share: number | undefined): boolean {
    if (share === undefined) return false
    const purpose = `${what} ${moduleId}`
    const random = this.#random.get(purpose) ?? seededRandom(this.#settings.seed, purpose)
    this.#random.set(purpose, random)
    return random() < share
  }
}
