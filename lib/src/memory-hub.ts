import { WeirError } from './errors.ts'
import type { Hub, InputMessage, MethodResult, OutputMessage } from './hub.ts'
import { asObject, type JsonObject, type JsonValue, mergePatch } from './json.ts'
import { checkReported } from './twin-limits.ts'

export interface InputOptions {
  readonly messageId?: string
  readonly properties?: Readonly<Record<string, string>>
  readonly sourceModuleId?: string
  readonly contentType?: string
}

type SendBehaviour = { kind: 'take' } | { kind: 'fail'; error: WeirError; times: number } | { kind: 'hang' }

/** A hub in memory, for tests: inputs are fed, sends are captured, and each of them can fail or hang on demand. */
export class MemoryHub implements Hub {
  /** Messages that the hub has taken, in order. */
  readonly sent: OutputMessage[] = []
  /** Every try, taken or not. */
  readonly tries: OutputMessage[] = []
  /** Reported properties, merged, and each patch as it came. */
  reported: JsonObject = {}
  readonly reports: JsonObject[] = []
  /** Thrown by `open` while set. */
  openError: WeirError | undefined
  /** Calls of `open`, those that failed among them. */
  opens = 0
  connected = false
  closed = false

  #desired: JsonObject
  #version = 1
  #behaviour: SendBehaviour = { kind: 'take' }
  #hanging: (() => void)[] = []
  #waiting: InputMessage[] = []
  #paused = false
  #onInput: ((message: InputMessage) => void) | undefined
  #onDesired: ((desired: JsonObject, version: number) => void) | undefined
  #onMethod: ((name: string, payload: JsonValue) => Promise<MethodResult>) | undefined
  #onConnection: ((connected: boolean, reason: string) => void) | undefined

  constructor(desired: JsonObject = {}) {
    this.#desired = desired
  }

  async open(): Promise<void> {
    this.opens += 1
    if (this.openError !== undefined) throw this.openError
    this.connected = true
    this.#onDesired?.(this.#desired, this.#version)
    this.#onConnection?.(true, 'opened')
    this.#deliver()
  }

  async close(): Promise<void> {
    this.closed = true
    this.disconnect('closed')
  }

  onInput(listener: (message: InputMessage) => void): void {
    this.#onInput = listener
    this.#deliver()
  }

  async pauseInput(): Promise<void> {
    this.#paused = true
  }

  async send(message: OutputMessage): Promise<void> {
    this.tries.push(message)
    const behaviour = this.#behaviour
    if (!this.connected) throw new WeirError('HUB_AWAY', 'hub: not connected')
    if (behaviour.kind === 'fail') {
      behaviour.times -= 1
      if (behaviour.times <= 0) this.#behaviour = { kind: 'take' }
      throw behaviour.error
    }
    if (behaviour.kind === 'hang') {
      await new Promise<void>((resolve, reject) => {
        this.#hanging.push(() => {
          if (!this.connected) return reject(new WeirError('HUB_AWAY', 'hub: connection lost'))
          // At once, so that a message sent after the release cannot arrive before this one.
          this.sent.push(message)
          resolve()
        })
      })
      return
    }
    this.sent.push(message)
  }

  onDesired(listener: (desired: JsonObject, version: number) => void): void {
    this.#onDesired = listener
  }

  async report(patch: JsonObject): Promise<void> {
    if (!this.connected) throw new WeirError('HUB_AWAY', 'hub: not connected')
    const problem = checkReported(patch, this.reported)
    if (problem !== undefined) throw new WeirError('REPORT_REFUSED', problem)
    this.reports.push(patch)
    this.reported = mergePatch(this.reported, patch)
  }

  onMethod(handler: (name: string, payload: JsonValue) => Promise<MethodResult>): void {
    this.#onMethod = handler
  }

  onConnection(listener: (connected: boolean, reason: string) => void): void {
    this.#onConnection = listener
  }

  /**
   * Delivers a message to `input`: at once where the module takes inputs, else when it does.
   * Throws what the listener throws, as the real hub would see it by the missing acknowledgement.
   * @param body A Buffer as it is; anything else as JSON.
   */
  feed(input: string, body: unknown, options: InputOptions = {}): void {
    this.#waiting.push({
      input,
      body: Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body)),
      messageId: options.messageId,
      contentType: options.contentType ?? 'application/json',
      contentEncoding: 'utf-8',
      properties: options.properties ?? {},
      sourceModuleId: options.sourceModuleId,
    })
    this.#deliver()
  }

  /** Messages fed and not taken yet. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** Replaces the desired properties. */
  setDesired(desired: JsonObject): void {
    this.#desired = desired
    this.#version += 1
    if (this.connected) this.#onDesired?.(desired, this.#version)
  }

  /** Merges into the desired properties as a twin does. */
  patchDesired(patch: JsonObject): void {
    this.setDesired(mergePatch(this.#desired, patch))
  }

  /** Calls a direct method. */
  async call(name: string, payload: JsonValue = null): Promise<MethodResult> {
    if (!this.connected || this.#onMethod === undefined) return { status: 404, payload: null }
    return this.#onMethod(name, payload)
  }

  /** The next `times` sends fail with `error`. */
  failSends(times = Number.POSITIVE_INFINITY, error = new WeirError('HUB_AWAY', 'hub: not acknowledged')): void {
    this.#behaviour = { kind: 'fail', error, times }
  }

  /** Sends wait from now on, until `takeSends`. */
  hangSends(): void {
    this.#behaviour = { kind: 'hang' }
  }

  /** Ends `failSends` and `hangSends`. */
  takeSends(): void {
    this.#behaviour = { kind: 'take' }
    this.#release()
  }

  /** Loses the connection; sends that hang fail. The module opens again. */
  disconnect(reason = 'connection lost'): void {
    if (!this.connected) return
    this.connected = false
    this.#release()
    this.#onConnection?.(false, reason)
  }

  #release(): void {
    for (const release of this.#hanging.splice(0)) release()
  }

  #deliver(): void {
    while (this.connected && !this.#paused && this.#onInput !== undefined) {
      const message = this.#waiting[0]
      if (message === undefined) return
      this.#onInput(message)
      this.#waiting.shift()
    }
  }
}

/** The bodies of `messages` as JSON; throws where one is none. */
export function bodies(messages: readonly { readonly body: Buffer }[]): JsonValue[] {
  return messages.map((message) => JSON.parse(message.body.toString('utf8')) as JsonValue)
}

/** The body of one message as a JSON object; throws where it is none. */
export function bodyObject(message: { readonly body: Buffer }): JsonObject {
  const value = asObject(JSON.parse(message.body.toString('utf8')))
  if (value === undefined) throw new WeirError('MESSAGE_MALFORMED', 'body: not a JSON object')
  return value
}
