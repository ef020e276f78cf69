import { type Clock, sleep } from '@weir/lib/clock'
import { errorText } from '@weir/lib/errors'
import { backoffDelayMs } from './backoff.ts'
import type { LinkConfig } from './link-config.ts'
import type { OpenTransport, ReadAnswer, ReadRequest, Transport, WriteRequest } from './transport.ts'

export type LinkState = 'unknown' | 'up' | 'down'
export type LinkSettings = Pick<
  LinkConfig,
  'timeoutMs' | 'pauseMs' | 'connectDelayMs' | 'timeoutsMax' | 'retryDelayMsMin' | 'retryDelayMsMax'
>

export interface LinkOptions {
  readonly settings: LinkSettings
  readonly open: OpenTransport
  readonly clock: Clock
  /** Gives 0 ≤ x < 1. */
  readonly random: () => number
  onState(state: LinkState, detail: string): void
  /** After each request that reached the wire, but for probes. */
  onRequest(answer: LinkAnswer): void
}

/** An answer and its round trip: from the request on the wire to the answer, 0 where no request was sent. */
export type LinkAnswer = ReadAnswer & { readonly durationMs: number }

export interface ReadOptions {
  /** Another time-out than that of the link. */
  readonly timeoutMs?: number | undefined
  /** How often the request is sent again at once where it has no answer, or a damaged one. */
  readonly retries?: number
  /** true: silence is expected, and says nothing about the link. */
  readonly isProbe?: boolean
}

/**
 * One connection to one or many units, used by one request at a time in the order in which they were asked for.
 *
 * It opens when it is needed. Once it was answered on, a connection that closes is opened anew at once and the request
 * tried again (reading twice does no harm); one that cannot be opened, or on which no answer ever came, waits for the
 * back-off, and requests meanwhile fail as `closed`. A connection on which `timeoutsMax` requests in a row had no
 * answer, or one an answer that does not fit and that cannot find its place again, is opened anew, too.
 */
export class Link {
  readonly #options: LinkOptions
  readonly #stopping = new AbortController()
  #transport: Transport | undefined
  #state: LinkState = 'unknown'
  #stateDetail = 'not used yet'
  /** Why the connection was last lost, or could not be opened. */
  #fault = 'the link is closed'
  #tail: Promise<unknown> = Promise.resolve()
  #restUntilMs = Number.NEGATIVE_INFINITY
  #timeouts = 0
  /** Connections opened, or tried, since the last answer. */
  #opens = 0
  #retryAtMs = Number.NEGATIVE_INFINITY

  constructor(options: LinkOptions) {
    this.#options = options
  }

  get state(): LinkState {
    return this.#state
  }

  /** Why the link is as it is, in plain words. */
  get stateDetail(): string {
    return this.#stateDetail
  }

  /** Waits its turn, then reads. Never rejects. */
  read(request: ReadRequest, options: ReadOptions = {}): Promise<LinkAnswer> {
    const turn = this.#tail.then(() => this.#perform(request, options))
    this.#tail = turn
    return turn
  }

  /**
   * Waits its turn, then writes: once, since a write that was not answered may have been carried out. Never rejects.
   * @param timeoutMs Absent: that of the link.
   */
  write(request: WriteRequest, timeoutMs = this.#options.settings.timeoutMs): Promise<LinkAnswer> {
    const turn = this.#tail.then(() => this.#attempt((transport) => transport.write(request, timeoutMs), false))
    this.#tail = turn
    return turn
  }

  /** Ends the running request and every later one as `closed`. */
  close(): void {
    this.#stopping.abort()
    this.#drop()
  }

  async #perform(request: ReadRequest, options: ReadOptions): Promise<LinkAnswer> {
    const { timeoutMs = this.#options.settings.timeoutMs, isProbe = false, retries = 0 } = options
    const attempt = (): Promise<LinkAnswer> => this.#attempt((transport) => transport.read(request, timeoutMs), isProbe)
    let answer = await attempt()
    if (answer.failure === 'closed' && this.#mayOpen()) answer = await attempt()
    for (let retry = 0; retry < retries && isLost(answer); retry++) answer = await attempt()
    return answer
  }

  async #attempt(send: (transport: Transport) => Promise<ReadAnswer>, isProbe: boolean): Promise<LinkAnswer> {
    const { clock, onRequest, settings } = this.#options
    const transport = this.#transport ?? (await this.#openTransport())
    if (transport === undefined) return { failure: 'closed', detail: this.#stateDetail, durationMs: 0 }
    const restMs = this.#restUntilMs - clock.monotonicMs()
    if (restMs > 0) await sleep(clock, restMs)
    const startMs = clock.monotonicMs()
    const received = await send(transport)
    const endMs = clock.monotonicMs()
    const answer = { ...received, durationMs: endMs - startMs }
    this.#restUntilMs = endMs + settings.pauseMs
    if (isProbe && answer.failure === 'timeout') return answer
    this.#account(answer, transport.keepsStep === true)
    if (!isProbe) onRequest(answer)
    return answer
  }

  #account(answer: ReadAnswer, keepsStep: boolean): void {
    if (answer.failure === 'malformed' && keepsStep) return
    if (answer.failure === 'closed' || answer.failure === 'malformed') {
      this.#fault = answer.detail
      this.#drop()
    } else if (answer.failure === 'timeout') {
      this.#timeouts++
      if (this.#timeouts >= this.#options.settings.timeoutsMax && this.#mayOpen()) this.#drop()
    } else {
      this.#timeouts = 0
      this.#opens = 0
      this.#retryAtMs = Number.NEGATIVE_INFINITY
    }
  }

  #mayOpen(): boolean {
    return !this.#stopping.signal.aborted && this.#options.clock.monotonicMs() >= this.#retryAtMs
  }

  #drop(): void {
    this.#transport?.close()
    this.#transport = undefined
    this.#timeouts = 0
  }

  async #openTransport(): Promise<Transport | undefined> {
    if (!this.#mayOpen()) {
      this.#change('down', this.#fault)
      return undefined
    }
    const { clock, open, random, settings } = this.#options
    this.#opens++
    let opened: Transport | undefined
    let isClosed = false
    try {
      opened = await open((reason) => {
        isClosed = true
        this.#fault = reason
        if (this.#transport === opened) this.#transport = undefined
      }, this.#stopping.signal)
      if (this.#stopping.signal.aborted) opened.close()
      else if (!isClosed) this.#transport = opened
      this.#restUntilMs = clock.monotonicMs() + settings.connectDelayMs
      this.#change('up', 'connected')
    } catch (error) {
      this.#fault = errorText(error)
      this.#change('down', this.#fault)
    }
    this.#retryAtMs = clock.monotonicMs() + backoffDelayMs(this.#opens, settings, random)
    return this.#transport
  }

  #change(state: LinkState, detail: string): void {
    this.#stateDetail = detail
    if (this.#state === state || this.#stopping.signal.aborted) return
    this.#state = state
    this.#options.onState(state, detail)
  }
}

/** true: another try may bring what this one did not. */
function isLost({ failure }: ReadAnswer): boolean {
  return failure === 'timeout' || failure === 'malformed'
}
