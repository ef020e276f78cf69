import type { ChildProcess } from 'node:child_process'
import type { Clock } from '@weir/lib/clock'
import { WeirError } from '@weir/lib/errors'
import { noTraffic, type Traffic } from '@weir/lib/meter'
import type { EdgeHubCounters, FromEdgeHubControl, ToEdgeHub } from '../edge-hub-control.ts'
import type { DeliveryFaultSettings } from '../faults/delivery-faults.ts'

export type Listening = Extract<FromEdgeHubControl, { type: 'listening' }>

/** Longest wait for an answer of the edge hub. */
const answerTimeoutMs = 2000

/** Sums of what the edge hub counted, over all its processes in a run. */
export interface EdgeHubSums {
  readonly rows: number
  readonly values: number
  readonly perRow: Traffic
  readonly perMessage: Traffic
}

function addedTraffic(a: Traffic, b: Traffic): Traffic {
  return { messages: a.messages + b.messages, bytes: a.bytes + b.bytes, blocks: a.blocks + b.blocks }
}

export function addedSums(a: EdgeHubSums, b: EdgeHubSums): EdgeHubSums {
  return {
    rows: a.rows + b.rows,
    values: a.values + b.values,
    perRow: addedTraffic(a.perRow, b.perRow),
    perMessage: addedTraffic(a.perMessage, b.perMessage),
  }
}

/** The runner's side of the channel to the edge hub's process, whichever process that is at the moment. */
export class EdgeHubProcess {
  readonly #clock: Clock
  readonly #waiting = new Map<number, (counters: EdgeHubCounters) => void>()
  readonly #onListening: (listening: Listening) => void
  readonly #onFailed: (message: string) => void
  #child: ChildProcess | undefined
  #before: EdgeHubSums = { rows: 0, values: 0, perRow: noTraffic(), perMessage: noTraffic() }
  #latest: EdgeHubCounters | undefined
  #nextId = 1

  constructor(clock: Clock, onListening: (listening: Listening) => void, onFailed: (message: string) => void) {
    this.#clock = clock
    this.#onListening = onListening
    this.#onFailed = onFailed
  }

  /** A new process of the edge hub has begun; the counters of the one before are kept in the sums. */
  attach(child: ChildProcess): void {
    if (this.#latest !== undefined) this.#before = addedSums(this.#before, this.#latest)
    this.#latest = undefined
    this.#child = child
    child.on('message', (message: FromEdgeHubControl) => {
      if (message.type === 'listening') this.#onListening(message)
      else if (message.type === 'failed') this.#onFailed(message.message)
      else this.#waiting.get(message.id)?.(message.counters)
    })
    // A channel that breaks while something is sent: the exit of the process tells.
    child.on('error', () => undefined)
  }

  /** What was counted last; undefined until the present process has answered once. */
  get latest(): EdgeHubCounters | undefined {
    return this.#latest
  }

  get sums(): EdgeHubSums {
    return this.#latest === undefined ? this.#before : addedSums(this.#before, this.#latest)
  }

  /** Asks for the counters. Rejects with HUB_AWAY where no process answers in time. */
  counters(): Promise<EdgeHubCounters> {
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      const fail = (): void => {
        this.#waiting.delete(id)
        reject(new WeirError('HUB_AWAY', `edge hub: no answer within ${answerTimeoutMs} ms`))
      }
      const timer = this.#clock.setTimer(fail, answerTimeoutMs)
      this.#waiting.set(id, (counters) => {
        timer.cancel()
        this.#waiting.delete(id)
        this.#latest = counters
        resolve(counters)
      })
      this.#say({ type: 'counters', id })
    })
  }

  /** For the process that runs; the next one is started with its own. */
  setDeliveryFaults(settings: DeliveryFaultSettings): void {
    this.#say({ type: 'deliveryFaults', settings })
  }

  #say(message: ToEdgeHub): void {
    if (this.#child?.connected === true) this.#child.send(message, () => undefined)
  }
}
