import { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import { type Clock, sleep } from '@weir/lib/clock'
import modbusSerial from 'modbus-serial'
import type { Framing } from './line-framing.ts'
import {
  type Exchange,
  type ReadAnswer,
  type ReadRequest,
  readExchange,
  type Transport,
  type WriteRequest,
  writeExchange,
} from './transport.ts'

/** What modbus-serial takes for an open port; frames written to it come to `onWrite`. */
class FramePort extends EventEmitter {
  readonly isOpen = true
  readonly #onWrite: (frame: Buffer) => void

  constructor(onWrite: (frame: Buffer) => void) {
    super()
    this.#onWrite = onWrite
  }

  open(next: () => void): void {
    next()
  }

  close(next: () => void): void {
    next()
  }

  write(frame: Buffer): void {
    this.#onWrite(frame)
  }
}

/** Silences of `lateAnswerMs` that a line gets to fall silent in, before something else must be sending on it. */
const drainTriesMax = 20

export interface LineOptions {
  readonly framing: Framing
  readonly clock: Clock
  readonly lateAnswerMs: number
  onClosed(reason: string): void
  /** Closes the stream for good. */
  shut(): void
}

/**
 * Modbus RTU or ASCII on a stream of bytes: a serial port, or a socket to a gateway that passes bytes on. Answers carry no
 * transaction id, so a late one would be taken for that of the next request, and so on for ever. Hence nothing is sent
 * after a time-out, a damaged answer or the opening of the line, until it has been silent for `lateAnswerMs`; what comes
 * meanwhile is thrown away. modbus-serial makes and checks the frames; its own ports keep late bytes for the next request.
 */
export class LineTransport implements Transport {
  readonly keepsStep = true
  readonly #options: LineOptions
  readonly #client: InstanceType<typeof modbusSerial.default>
  readonly #port: FramePort
  #received: Buffer = Buffer.alloc(0)
  #asked: Buffer | undefined
  #settle: ((answer: ReadAnswer) => void) | undefined
  #isDirty = true
  #quietSinceMs: number
  #isClosed = false

  constructor(stream: Duplex, options: LineOptions) {
    this.#options = options
    this.#quietSinceMs = options.clock.monotonicMs()
    this.#port = new FramePort((frame) => {
      this.#asked = frame
      stream.write(options.framing.encode(frame))
    })
    this.#client = new modbusSerial.default(this.#port)
    this.#client.open(() => {})
    stream.on('data', (bytes: Buffer) => this.#receive(bytes))
    stream.on('error', () => options.shut())
    stream.once('close', () => {
      const wasOurs = this.#isClosed
      this.#end('the line was closed')
      if (!wasOurs) options.onClosed('the line was closed')
    })
  }

  read(request: ReadRequest, timeoutMs: number): Promise<ReadAnswer> {
    return this.#exchange(readExchange(request), timeoutMs)
  }

  write(request: WriteRequest, timeoutMs: number): Promise<ReadAnswer> {
    return this.#exchange(writeExchange(request), timeoutMs)
  }

  async #exchange({ send, answerOf }: Exchange, timeoutMs: number): Promise<ReadAnswer> {
    if (this.#isDirty && !(await this.#drain()) && !this.#isClosed) {
      return { failure: 'malformed', detail: 'the line never falls silent; something else sends on it' }
    }
    if (this.#isClosed) return { failure: 'closed', detail: 'the line is closed' }
    this.#received = Buffer.alloc(0)
    return new Promise((resolve) => {
      const timer = this.#options.clock.setTimer(() => {
        settle({ failure: 'timeout', detail: `no answer within ${timeoutMs} ms` })
      }, timeoutMs)
      const settle = (answer: ReadAnswer): void => {
        timer.cancel()
        this.#settle = undefined
        this.#asked = undefined
        if (answer.failure === 'timeout' || answer.failure === 'malformed') this.#soil()
        resolve(answer)
      }
      this.#settle = settle
      send(this.#client, (error, result) => {
        if (this.#settle === settle) settle(answerOf(error, result))
      })
    })
  }

  close(): void {
    this.#end('the line was closed by the reader')
    this.#options.shut()
  }

  #end(reason: string): void {
    this.#isClosed = true
    this.#settle?.({ failure: 'closed', detail: reason })
  }

  /** @returns false where the line does not fall silent, or is closed. */
  async #drain(): Promise<boolean> {
    const { clock, lateAnswerMs } = this.#options
    for (let tries = 0; tries < drainTriesMax && !this.#isClosed; tries++) {
      const restMs = this.#quietSinceMs + lateAnswerMs - clock.monotonicMs()
      if (restMs <= 0) {
        this.#isDirty = false
        return true
      }
      await sleep(clock, restMs)
    }
    return false
  }

  /** From now on bytes may come that answer nothing. */
  #soil(): void {
    this.#isDirty = true
    this.#quietSinceMs = this.#options.clock.monotonicMs()
  }

  #receive(bytes: Buffer): void {
    const asked = this.#asked
    if (asked === undefined) {
      this.#soil()
      return
    }
    this.#received = Buffer.concat([this.#received, bytes])
    const frame = this.#options.framing.take(this.#received, asked)
    if (frame === undefined) return
    if (frame === 'damaged') this.#settle?.({ failure: 'malformed', detail: 'a damaged answer' })
    // modbus-serial does not look at the unit of an exception.
    else if (frame[0] !== asked[0]) {
      this.#settle?.({ failure: 'malformed', detail: `an answer of unit ${frame[0]}, expected unit ${asked[0]}` })
    } else this.#port.emit('data', frame)
  }
}
