import { connect, type Socket } from 'node:net'
import { isDeepStrictEqual } from 'node:util'
import type { Clock } from '@weir/lib/clock'
import { errorText, WeirError } from '@weir/lib/errors'
import type { QualityReason } from '@weir/lib/messages'
import modbusSerial from 'modbus-serial'
import { isBitTable, type Table } from './tables.ts'

export interface ReadRequest {
  readonly unitId: number
  readonly table: Table
  readonly address: number
  /** Registers or bits. */
  readonly count: number
}

export interface WriteRequest {
  readonly unitId: number
  readonly address: number
  /** A coil, or holding registers in the order of their addresses. */
  readonly values: boolean | readonly number[]
  /** true: function code 15 or 16 even for one. */
  readonly isMultiple: boolean
}

/**
 * - `timeout`: no answer in time · `exception`: the unit refuses · `malformed`: an answer that does not fit its request
 * - `closed`: the link is closed, or closed before the answer came
 */
export type Failure = 'timeout' | 'exception' | 'malformed' | 'closed'

/** Data as it came (registers big-endian, bits from the lowest of the first byte), exactly as long as asked; or why not. */
export type ReadAnswer =
  | { readonly data: Buffer; readonly failure?: undefined }
  | { readonly failure: Failure; readonly detail: string; readonly exceptionCode?: number }

/** An open connection. One request at a time; neither rejects. */
export interface Transport {
  read(request: ReadRequest, timeoutMs: number): Promise<ReadAnswer>
  /** Answers with no data once the unit says that it wrote. */
  write(request: WriteRequest, timeoutMs: number): Promise<ReadAnswer>
  close(): void
  /** true: after an answer that does not fit, the transport finds its place again by itself. */
  readonly keepsStep?: boolean
}

/** Opens a connection, or rejects with DEVICE_AWAY. `onClosed` is called once, when it closes by itself. */
export type OpenTransport = (onClosed: (reason: string) => void, signal: AbortSignal) => Promise<Transport>

/** Exception codes (MODBUS Application Protocol V1.1b3, section 7). */
const illegalDataAddress = 2
const illegalDataValue = 3
const gatewayPathUnavailable = 10
const gatewayTargetSilent = 11

/** true: a gateway says that the unit behind it does not answer, which is no answer of the unit. */
export function isGatewaySilence(answer: ReadAnswer): boolean {
  if (answer.failure !== 'exception') return false
  return answer.exceptionCode === gatewayPathUnavailable || answer.exceptionCode === gatewayTargetSilent
}

/** true: the unit refuses what was to be read: an address, or that many at once (which some devices call a value). */
export function isAddressRefusal(answer: ReadAnswer): boolean {
  if (answer.failure !== 'exception') return false
  return answer.exceptionCode === illegalDataAddress || answer.exceptionCode === illegalDataValue
}

/** What a failed read makes of the values that it was to bring. */
export function qualityOf(answer: Extract<ReadAnswer, { failure: Failure }>): QualityReason {
  switch (answer.failure) {
    case 'timeout':
      return 'noAnswer'
    case 'malformed':
      return 'checkFailed'
    case 'closed':
      return 'linkDown'
    case 'exception':
      if (isGatewaySilence(answer)) return 'noAnswer'
      return answer.exceptionCode === illegalDataAddress ? 'notFound' : 'deviceError'
  }
}

/** Bytes of data in a whole answer. */
function dataBytes({ table, count }: ReadRequest): number {
  return isBitTable(table) ? Math.ceil(count / 8) : count * 2
}

/** A host with several addresses fails with one error for each, and none of its own. */
function connectFault(error: Error): string {
  return error instanceof AggregateError ? error.errors.map(errorText).join('; ') : error.message
}

const keepAliveDelayMs = 30_000
/** modbus-serial counts transaction ids from 0 to 255 and then uses them again. */
const transactionIds = 256

export interface TcpSettings {
  readonly host: string
  readonly port: number
  readonly connectTimeoutMs: number
}

export function openSocket(
  { host, port, connectTimeoutMs: timeoutMs }: TcpSettings,
  clock: Clock,
  signal: AbortSignal,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host,
      port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: keepAliveDelayMs,
      signal,
    })
    const fail = (reason: string): void => {
      timer.cancel()
      socket.destroy()
      reject(new WeirError('DEVICE_AWAY', `cannot connect to ${host}:${port}: ${reason}`))
    }
    const timer = clock.setTimer(() => fail(`no connection within ${timeoutMs} ms`), timeoutMs)
    // Kept for the life of the socket: an error after the connection is up is followed by 'close', which says enough.
    socket.on('error', (error) => fail(connectFault(error)))
    socket.once('connect', () => {
      timer.cancel()
      resolve(socket)
    })
  })
}

/**
 * modbus-serial on a socket of ours. It frames requests and checks answers (transaction id, length, unit, function);
 * time-outs and the socket's life stay here, since it neither closes a socket whose connecting timed out, nor reports
 * a reset connection, nor ends a request whose connection closed. An answer that comes after its time-out finds its
 * request settled and changes nothing; before its transaction id would be used again, the connection is given up.
 */
class TcpTransport implements Transport {
  readonly #socket: Socket
  readonly #client = new modbusSerial.default()
  readonly #clock: Clock
  #settle: ((answer: ReadAnswer) => void) | undefined
  #isClosed = false
  #requests = 0
  /** Numbers of requests that timed out and were not answered since, oldest first. */
  readonly #unanswered = new Set<number>()

  constructor(socket: Socket, clock: Clock, onClosed: (reason: string) => void) {
    this.#socket = socket
    this.#clock = clock
    this.#client.on('error', () => socket.destroy())
    socket.once('close', () => {
      const wasOurs = this.#isClosed
      this.#shut('the connection was closed')
      if (!wasOurs) onClosed('the connection was closed')
    })
  }

  async link(): Promise<void> {
    await this.#client.linkTCP(this.#socket, { port: this.#socket.remotePort ?? 0 })
  }

  read(request: ReadRequest, timeoutMs: number): Promise<ReadAnswer> {
    return this.#exchange(readExchange(request), timeoutMs)
  }

  write(request: WriteRequest, timeoutMs: number): Promise<ReadAnswer> {
    return this.#exchange(writeExchange(request), timeoutMs)
  }

  #exchange({ send, answerOf }: Exchange, timeoutMs: number): Promise<ReadAnswer> {
    const number = this.#requests++
    const [oldest] = this.#unanswered
    if (oldest !== undefined && number - oldest >= transactionIds) this.close()
    if (this.#isClosed) return Promise.resolve({ failure: 'closed', detail: 'the connection is closed' })
    return new Promise((resolve) => {
      const timer = this.#clock.setTimer(() => {
        this.#unanswered.add(number)
        settle({ failure: 'timeout', detail: `no answer within ${timeoutMs} ms` })
      }, timeoutMs)
      const settle = (answer: ReadAnswer): void => {
        timer.cancel()
        this.#settle = undefined
        resolve(answer)
      }
      this.#settle = settle
      send(this.#client, (error, result) => {
        this.#unanswered.delete(number)
        if (this.#settle === settle) settle(answerOf(error, result))
      })
    })
  }

  close(): void {
    this.#shut('the connection was closed by the reader')
    this.#client.destroy(() => {})
    this.#socket.destroy()
  }

  #shut(reason: string): void {
    this.#isClosed = true
    this.#settle?.({ failure: 'closed', detail: reason })
  }
}

type Client = InstanceType<typeof modbusSerial.default>
type Next = (error: unknown, result: unknown) => void

/** A request as modbus-serial sends it, and what to make of what it calls back with. */
export interface Exchange {
  send(client: Client, next: Next): void
  answerOf(error: unknown, result: unknown): ReadAnswer
}

export function readExchange(request: ReadRequest): Exchange {
  const { unitId, table, address, count } = request
  return {
    send(client, next) {
      switch (table) {
        case 'coil':
          client.writeFC1(unitId, address, count, next)
          break
        case 'discrete':
          client.writeFC2(unitId, address, count, next)
          break
        case 'holding':
          client.writeFC3(unitId, address, count, next)
          break
        case 'input':
          client.writeFC4(unitId, address, count, next)
          break
      }
    },
    answerOf: (error, result) => readAnswerOf(request, error, result),
  }
}

function readAnswerOf(request: ReadRequest, error: unknown, result: unknown): ReadAnswer {
  if (error !== null && error !== undefined) return failureOf(error)
  const data = (result as { buffer?: unknown } | undefined)?.buffer
  if (!Buffer.isBuffer(data)) return { failure: 'malformed', detail: 'an answer without data' }
  const expected = dataBytes(request)
  // modbus-serial checks the frame's length, not the byte count within, by which it cuts the data.
  if (data.length !== expected)
    return { failure: 'malformed', detail: `${data.length} bytes of data, expected ${expected}` }
  return { data }
}

export function writeExchange({ unitId, address, values, isMultiple }: WriteRequest): Exchange {
  const isCoil = typeof values === 'boolean'
  const isSingle = !isMultiple && (isCoil || values.length === 1)
  const [first = 0] = isCoil ? [] : values
  // Where the answer repeats what was written, it must be that: state, value, or how many.
  const echo = isSingle
    ? isCoil
      ? { address, state: values }
      : { address, value: first }
    : { address, length: isCoil ? 1 : values.length }
  return {
    send(client, next) {
      if (isCoil && isSingle) client.writeFC5(unitId, address, values, next)
      else if (isCoil) client.writeFC15(unitId, address, [values], next)
      else if (isSingle) client.writeFC6(unitId, address, first, next)
      else client.writeFC16(unitId, address, [...values], next)
    },
    answerOf(error, result) {
      if (error !== null && error !== undefined) return failureOf(error)
      if (isDeepStrictEqual({ ...(result as object) }, echo)) return { data: Buffer.alloc(0) }
      return { failure: 'malformed', detail: 'the answer repeats something else than was written' }
    },
  }
}

function failureOf(error: unknown): ReadAnswer {
  const { modbusCode, errno } = error as { modbusCode?: unknown; errno?: unknown }
  const detail = errorText(error)
  if (typeof modbusCode === 'number') return { failure: 'exception', detail, exceptionCode: modbusCode }
  // PortNotOpenError: the socket closed a moment ago.
  return { failure: errno === 'ECONNREFUSED' ? 'closed' : 'malformed', detail }
}

/** Modbus TCP (MODBUS Messaging on TCP/IP V1.0b). */
export function openTcp(settings: TcpSettings, clock: Clock): OpenTransport {
  return async (onClosed, signal) => {
    const socket = await openSocket(settings, clock, signal)
    const transport = new TcpTransport(socket, clock, onClosed)
    await transport.link()
    return transport
  }
}
