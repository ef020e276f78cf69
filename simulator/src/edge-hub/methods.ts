import { randomUUID } from 'node:crypto'
import type { Clock, Timer } from '@weir/lib/clock'
import type { MethodResult } from '@weir/lib/hub'
import type { JsonValue } from '@weir/lib/json'

export interface MethodCall {
  readonly moduleId: string
  readonly name: string
  readonly payload: JsonValue
  readonly responseTimeoutMs: number
  /** How long to wait for a module that is not connected, or does not listen to methods yet. */
  readonly connectTimeoutMs: number
}

/** What edgeHub answers where the module gave no answer. */
export interface MethodFailure {
  readonly failed: 404 | 504
  readonly message: string
}

/** Sends `$iothub/methods/POST/{name}/?$rid=`. @returns false where the module takes no methods now. */
export type SendMethod = (moduleId: string, name: string, requestId: string, payload: string) => boolean

interface Waiting {
  readonly moduleId: string
  /** false while the module is away. */
  sent: boolean
  trySend(): void
  settle(result: MethodResult | MethodFailure): void
}

/** Direct methods on their way to modules. */
export class MethodCaller {
  readonly #clock: Clock
  readonly #send: SendMethod
  readonly #waiting = new Map<string, Waiting>()

  constructor(clock: Clock, send: SendMethod) {
    this.#clock = clock
    this.#send = send
  }

  call({
    moduleId,
    name,
    payload,
    responseTimeoutMs,
    connectTimeoutMs,
  }: MethodCall): Promise<MethodResult | MethodFailure> {
    const requestId = randomUUID()
    return new Promise((resolve) => {
      let timer: Timer | undefined
      const failAfter = (delayMs: number, failed: 404 | 504, message: string): void => {
        timer?.cancel()
        timer = this.#clock.setTimer(() => waiting.settle({ failed, message }), delayMs)
      }
      const waiting: Waiting = {
        moduleId,
        sent: false,
        trySend: () => {
          waiting.sent = this.#send(moduleId, name, requestId, JSON.stringify(payload))
          if (waiting.sent) failAfter(responseTimeoutMs, 504, `Timed out waiting for ${moduleId} to answer ${name}`)
        },
        settle: (result) => {
          timer?.cancel()
          this.#waiting.delete(requestId)
          resolve(result)
        },
      }
      this.#waiting.set(requestId, waiting)
      waiting.trySend()
      if (!waiting.sent) failAfter(connectTimeoutMs, 404, `Client ${moduleId} not found`)
    })
  }

  /** The module listens to methods now. */
  listening(moduleId: string): void {
    for (const waiting of this.#of(moduleId)) if (!waiting.sent) waiting.trySend()
  }

  /** The module's connection is gone, and with it the answers to come. */
  disconnected(moduleId: string): void {
    for (const waiting of this.#of(moduleId)) {
      if (waiting.sent) waiting.settle({ failed: 504, message: `Client ${moduleId} disconnected before it answered` })
    }
  }

  /** A module answered. The body is JSON or empty; what is neither comes as text. */
  answered(moduleId: string, requestId: string, status: number, body: Buffer): void {
    const waiting = this.#waiting.get(requestId)
    if (waiting?.moduleId === moduleId) waiting.settle({ status, payload: parsePayload(body.toString('utf8')) })
  }

  #of(moduleId: string): Waiting[] {
    return [...this.#waiting.values()].filter((waiting) => waiting.moduleId === moduleId)
  }
}

function parsePayload(text: string): JsonValue {
  if (text === '') return null
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
