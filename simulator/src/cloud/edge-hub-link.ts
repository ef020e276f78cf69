import { createHash, timingSafeEqual } from 'node:crypto'
import { createServer, type Server, type Socket } from 'node:net'
import type { Clock, Timer } from '@weir/lib/clock'
import { errorText } from '@weir/lib/errors'
import type { Log } from '@weir/lib/log'
import { DelayLine, type LinkFault, noLinkFault } from '../faults/link-faults.ts'
import { type FromCloud, type FromEdgeHub, readFrames, writeFrame } from '../upstream-link.ts'
import { listenOnUnixSocket } from '../workload/unix-socket.ts'

const helloTimeoutMs = 5000

export interface EdgeHubLinkOptions {
  readonly socketPath: string
  readonly secret: string
  readonly deviceId: string
  readonly clock: Clock
  readonly log: Log
  /** The edge hub is there and has shown that it knows the secret. */
  onConnected(): void
  onDisconnected(): void
  onFrame(frame: Exclude<FromEdgeHub, { type: 'hello' }>): void
}

/**
 * The stand-in's end of the upstream link: one edge hub at a time, which a newer one with the right secret replaces.
 */
export class EdgeHubLink {
  readonly #options: EdgeHubLinkOptions
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #current: Socket | undefined
  readonly #incoming: DelayLine
  readonly #outgoing: DelayLine
  #fault: LinkFault = noLinkFault

  private constructor(options: EdgeHubLinkOptions) {
    this.#options = options
    this.#incoming = new DelayLine(options.clock)
    this.#outgoing = new DelayLine(options.clock)
    this.#server = createServer((socket) => this.#accept(socket))
  }

  /** @throws WeirError STATE_LOCKED or STATE_UNWRITABLE (see listenOnUnixSocket). */
  static async open(options: EdgeHubLinkOptions): Promise<EdgeHubLink> {
    const link = new EdgeHubLink(options)
    await listenOnUnixSocket(link.#server, options.socketPath)
    return link
  }

  get connected(): boolean {
    return this.#current !== undefined
  }

  /** Drops the frame where no edge hub is there: all that matters is sent again after its next `hello`. */
  send(frame: FromCloud): void {
    const socket = this.#current
    if (socket === undefined) return
    this.#outgoing.pass(this.#fault.delayMs, () => {
      if (!socket.destroyed) writeFrame<FromCloud>(socket, frame)
    })
  }

  /** The line fails in this way from now on. */
  setFault(fault: LinkFault): void {
    this.#fault = fault
    if (fault.isCut) for (const socket of this.#sockets) socket.destroy()
  }

  close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    for (const socket of this.#sockets) socket.destroy()
    return closed
  }

  #accept(socket: Socket): void {
    if (this.#fault.isCut) {
      socket.destroy()
      return
    }
    this.#sockets.add(socket)
    const patience: Timer = this.#options.clock.setTimer(() => {
      socket.destroy(new Error(`no hello within ${helloTimeoutMs} ms`))
    }, helloTimeoutMs)
    socket.on('error', (error) => this.#options.log.warning(`upstream link: ${error.message}`))
    socket.on('close', () => {
      patience.cancel()
      this.#sockets.delete(socket)
      if (this.#current !== socket) return
      this.#current = undefined
      this.#options.onDisconnected()
    })
    readFrames<FromEdgeHub>(socket, (frame) => {
      patience.cancel()
      this.#incoming.pass(this.#fault.delayMs, () => this.#receive(socket, frame))
    })
  }

  #receive(socket: Socket, frame: FromEdgeHub): void {
    if (socket.destroyed) return
    if (frame.type === 'hello') this.#greet(socket, frame)
    else if (socket === this.#current) this.#take(socket, frame)
    else socket.destroy(new Error(`a frame ${frame.type} came before hello`))
  }

  /** A frame that is not as the contract says ends the connection, not the process. */
  #take(socket: Socket, frame: Exclude<FromEdgeHub, { type: 'hello' }>): void {
    try {
      this.#options.onFrame(frame)
    } catch (error) {
      socket.destroy(new Error(`a frame ${frame.type} cannot be taken: ${errorText(error)}`, { cause: error }))
    }
  }

  #greet(socket: Socket, { deviceId, secret }: FromEdgeHub & { type: 'hello' }): void {
    if (!sameSecret(secret, this.#options.secret)) {
      socket.destroy(new Error('an edge hub with a wrong secret was refused'))
      return
    }
    if (deviceId !== this.#options.deviceId) {
      socket.destroy(new Error(`an edge hub of device ${deviceId} was refused; this is ${this.#options.deviceId}`))
      return
    }
    const before = this.#current
    this.#current = socket
    if (before !== undefined && before !== socket) before.destroy()
    this.#options.onConnected()
  }
}

/** In a time that tells nothing of where the two differ, or of their lengths. */
export function sameSecret(given: unknown, expected: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  return typeof given === 'string' && timingSafeEqual(digest(given), digest(expected))
}
