import type { Clock, Timer } from '@weir/lib/clock'
import type { MethodResult } from '@weir/lib/hub'
import type { JsonValue } from '@weir/lib/json'
import { methodPayloadBytesMax, methodResponseTimeoutMsMax } from '@weir/lib/limits'
import type { FromCloud, FromEdgeHub } from '../upstream-link.ts'
import { RequestError } from '../workload/http-json.ts'

const responseTimeoutMsMin = 5000
const responseTimeoutMsDefault = 30_000
const connectTimeoutMsMax = 300_000
const nameCharactersMax = 100
/** The edge hub keeps the times; this is for when it goes away in the middle. */
const graceMs = 5000

export interface MethodTimeouts {
  /** 5 s to 300 s; default 30 s. */
  readonly responseTimeoutMs?: number | undefined
  /** How long to wait for the module to connect: 0 to 300 s; default 0. */
  readonly connectTimeoutMs?: number | undefined
}

interface Pending {
  resolve(result: MethodResult): void
  reject(error: RequestError): void
  readonly timer: Timer
}

/** Direct methods under way: each is answered once, by the edge hub or by its time running out. */
export class DirectMethods {
  readonly #clock: Clock
  readonly #send: (frame: FromCloud) => void
  readonly #pending = new Map<number, Pending>()
  readonly #waiting = new Set<() => void>()
  #nextId = 1
  #connected = false

  constructor(clock: Clock, send: (frame: FromCloud) => void) {
    this.#clock = clock
    this.#send = send
  }

  /**
   * @throws RequestError as IoT Hub answers: 400 for what breaks a rule, 404 where the module is not connected within
   * the connect timeout, 504 where it does not answer in time.
   */
  async call(moduleId: string, name: string, payload: JsonValue, timeouts: MethodTimeouts): Promise<MethodResult> {
    const { responseTimeoutMs = responseTimeoutMsDefault, connectTimeoutMs = 0 } = timeouts
    check(name, payload, responseTimeoutMs, connectTimeoutMs)
    const startMs = this.#clock.monotonicMs()
    if (!this.#connected && !(await this.#linkWithin(connectTimeoutMs))) {
      throw new RequestError(404, `module ${moduleId}: the edge hub is not connected`)
    }
    const connectLeftMs = Math.max(0, connectTimeoutMs - (this.#clock.monotonicMs() - startMs))
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      const timer = this.#clock.setTimer(
        () =>
          this.#settle(id)?.reject(new RequestError(504, `module ${moduleId}: method ${name} got no answer in time`)),
        connectLeftMs + responseTimeoutMs + graceMs,
      )
      this.#pending.set(id, { resolve, reject, timer })
      this.#send({ type: 'method', id, moduleId, name, payload, responseTimeoutMs, connectTimeoutMs: connectLeftMs })
    })
  }

  /** Tells of the link; what is under way stays so, since the edge hub may answer after it came back. */
  linkChanged(connected: boolean): void {
    this.#connected = connected
    if (connected) for (const resume of [...this.#waiting]) resume()
  }

  answered(frame: FromEdgeHub & { type: 'methodResult' | 'methodFailed' }): void {
    const pending = this.#settle(frame.id)
    if (frame.type === 'methodResult') pending?.resolve({ status: frame.status, payload: frame.payload })
    else pending?.reject(new RequestError(frame.status, frame.message))
  }

  close(): void {
    for (const id of [...this.#pending.keys()])
      this.#settle(id)?.reject(new RequestError(504, 'the hub stand-in stops'))
    for (const resume of [...this.#waiting]) resume()
  }

  #settle(id: number): Pending | undefined {
    const pending = this.#pending.get(id)
    pending?.timer.cancel()
    this.#pending.delete(id)
    return pending
  }

  #linkWithin(timeoutMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const done = (): void => {
        timer.cancel()
        this.#waiting.delete(done)
        resolve(this.#connected)
      }
      const timer = this.#clock.setTimer(done, timeoutMs)
      this.#waiting.add(done)
    })
  }
}

/** "Understand and invoke direct methods from IoT Hub"; the sizes are those of limits.ts. */
function check(name: string, payload: JsonValue, responseTimeoutMs: number, connectTimeoutMs: number): void {
  if (name === '' || name.length > nameCharactersMax) {
    throw new RequestError(400, `method name of ${name.length} characters: expected 1 to ${nameCharactersMax}`)
  }
  const bytes = Buffer.byteLength(JSON.stringify(payload))
  if (bytes > methodPayloadBytesMax) {
    throw new RequestError(400, `method ${name}: payload of ${bytes} bytes exceeds ${methodPayloadBytesMax}`)
  }
  checkTimeout('responseTimeoutMs', responseTimeoutMs, responseTimeoutMsMin, methodResponseTimeoutMsMax)
  checkTimeout('connectTimeoutMs', connectTimeoutMs, 0, connectTimeoutMsMax)
}

function checkTimeout(name: string, value: number, min: number, max: number): void {
  if (!(value >= min && value <= max)) throw new RequestError(400, `${name} ${value}: expected ${min} to ${max}`)
}
