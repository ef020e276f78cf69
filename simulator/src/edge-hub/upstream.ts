import { connect, type Socket } from 'node:net'
import type { Clock, Timer } from '@weir/lib/clock'
import { errorText } from '@weir/lib/errors'
import type { JsonObject } from '@weir/lib/json'
import type { Log } from '@weir/lib/log'
import { type FromCloud, type FromEdgeHub, readFrames, type UpstreamMessage, writeFrame } from '../upstream-link.ts'

const redialDelayMsMin = 100
const redialDelayMsMax = 5_000
/** A cloud that answers nothing for so long is taken for gone. */
const answerTimeoutMs = 60_000

export type CloudMethod = Extract<FromCloud, { type: 'method' }>
export type CloudMethodAnswer = Extract<FromEdgeHub, { type: 'methodResult' | 'methodFailed' }>

export interface UpstreamEvents {
  /** Frames that no request asked for: `welcome`, `desiredPatch`. */
  told(frame: Extract<FromCloud, { type: 'welcome' | 'desiredPatch' }>): void
  method(call: CloudMethod): Promise<CloudMethodAnswer>
  /** After `welcome`, and when the link is gone. */
  connected(connected: boolean): void
}

export interface UpstreamOptions {
  readonly socketPath: string
  readonly deviceId: string
  readonly secret: string
  readonly clock: Clock
  readonly log: Log
  readonly events: UpstreamEvents
}

type Answer = Extract<FromCloud, { type: 'stored' | 'throttled' | 'reportedResult' }>
type Request = { type: 'messages'; messages: readonly UpstreamMessage[] } | ReportedRequest
type ReportedRequest = { type: 'reported'; moduleId: string; patch: JsonObject }

interface Pending {
  resolve(answer: Answer): void
  reject(error: Error): void
}

/** The link to the cloud: dials, and dials again with a growing delay, until it is cut or stopped. */
export class UpstreamLink {
  readonly #options: UpstreamOptions
  readonly #pending = new Map<number, Pending>()
  #socket: Socket | undefined
  #connected = false
  #wanted = false
  #requests = 0
  #failures = 0
  #redial: Timer | undefined
  #watch: Timer | undefined

  constructor(options: UpstreamOptions) {
    this.#options = options
  }

  get connected(): boolean {
    return this.#connected
  }

  /** Dials where that is wanted, or hangs up and stays away. */
  want(wanted: boolean): void {
    if (wanted === this.#wanted) return
    this.#wanted = wanted
    this.#redial?.cancel()
    this.#failures = 0
    if (wanted) {
      this.#dial()
      return
    }
    const socket = this.#socket
    this.#lost()
    socket?.destroy()
  }

  /** @throws Error when the link is gone before the answer came. */
  request(request: Request): Promise<Answer> {
    const socket = this.#socket
    if (socket === undefined || !this.#connected) return Promise.reject(new Error('the cloud is away'))
    const id = ++this.#requests
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject })
      this.#watch ??= this.#options.clock.setTimer(() => socket.destroy(), answerTimeoutMs)
      writeFrame<FromEdgeHub>(socket, { ...request, id })
    })
  }

  #dial(): void {
    const { socketPath, deviceId, secret, log } = this.#options
    const socket = connect(socketPath)
    this.#socket = socket
    socket.on('connect', () => writeFrame<FromEdgeHub>(socket, { type: 'hello', deviceId, secret }))
    socket.on('error', (error) => log.debug(`upstream: ${errorText(error)}`))
    socket.on('close', () => {
      if (socket !== this.#socket) return
      this.#lost()
      const delayMs = Math.min(redialDelayMsMin * 2 ** this.#failures++, redialDelayMsMax)
      this.#redial = this.#options.clock.setTimer(() => this.#dial(), delayMs)
    })
    readFrames<FromCloud>(socket, (frame) => {
      if (socket === this.#socket) this.#receive(socket, frame)
    })
  }

  #receive(socket: Socket, frame: FromCloud): void {
    switch (frame.type) {
      case 'welcome':
      case 'desiredPatch':
        this.#options.events.told(frame)
        if (frame.type === 'welcome' && !this.#connected) this.#welcomed()
        return
      case 'method':
        this.#options.events.method(frame).then(
          (answer) => writeFrame<FromEdgeHub>(socket, answer),
          (error: unknown) => this.#options.log.error(`upstream: method ${frame.name}: ${errorText(error)}`),
        )
        return
      default:
        this.#answered(frame)
    }
  }

  #welcomed(): void {
    this.#connected = true
    this.#failures = 0
    this.#options.log.info('upstream: connected')
    this.#options.events.connected(true)
  }

  #answered(answer: Answer): void {
    this.#watch?.cancel()
    this.#watch = undefined
    const pending = this.#pending.get(answer.id)
    this.#pending.delete(answer.id)
    const socket = this.#socket
    if (this.#pending.size > 0) {
      this.#watch = this.#options.clock.setTimer(() => socket?.destroy(), answerTimeoutMs)
    }
    pending?.resolve(answer)
  }

  /** Nothing that was asked will be answered. */
  #lost(): void {
    this.#socket = undefined
    this.#watch?.cancel()
    this.#watch = undefined
    const pending = [...this.#pending.values()]
    this.#pending.clear()
    for (const { reject } of pending) reject(new Error('the cloud is away'))
    if (!this.#connected) return
    this.#connected = false
    this.#options.log.warning('upstream: disconnected')
    this.#options.events.connected(false)
  }
}
