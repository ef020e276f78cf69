/**
 * The edge hub through the Azure IoT device SDK: the only file that imports it. It copes with what was found in
 * azure-iot-device 1.18.4, azure-iot-device-mqtt 1.16.4, azure-iot-mqtt-base 1.13.3 and mqtt 4.3.8:
 *
 * - A client serves one connection only. Over a reconnect the SDK keeps its "subscribed" flags and trusts the session of
 *   the hub, ignores "Connection closed" while it subscribes (the callback never comes), and does not read the trust
 *   bundle again. So none of its retry policies is used: a client that lost its connection is thrown away.
 * - It asks for a kept session, and a hub that has one delivers as soon as the connection stands: before anybody can have
 *   subscribed or listens, so acknowledged unheard. So the session is a clean one. What waits for a module waits in the
 *   store of the edge hub, not in the session.
 * - After 45 minutes it renews its token in place: it takes off its listeners, waits for the connection to end, and
 *   acknowledges unheard what arrives meanwhile; its own close does the same. So this file ends the connection before
 *   that, and never by the SDK: once no send is in flight it ends the socket, after which no acknowledgement can leave.
 * - mqtt.js emits a message, then writes its PUBACK to a corked socket that is flushed in a later tick; the listener runs
 *   between the two. Where the listener throws, the socket is destroyed and the throw goes on as an uncaught exception.
 * - The first connection that fails is always called "Not authorized"; only the text behind that says what happened.
 * - Requests of twins have no time-out, and a refused report looks like a success: see twin-limits.ts.
 * - The debug lines of a send and of its acknowledgement make JSON of the whole message, of each byte of its body too,
 *   printed or not: see QuietMessage and below it.
 */
import { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import tls from 'node:tls'
import common, { type AuthenticationProvider, type TransportConfig } from 'azure-iot-common'
import device, {
  type DeviceMethodResponse,
  type MethodMessage,
  type ModuleClient,
  type TwinProperties,
} from 'azure-iot-device'
import mqtt from 'azure-iot-device-mqtt'
import { type Clock, sleep, systemClock, type Timer, within } from './clock.ts'
import { errorText, WeirError } from './errors.ts'
import type { Hub, InputMessage, MethodResult, OutputMessage } from './hub.ts'
import { asObject, type JsonObject, type JsonValue, mergePatch } from './json.ts'
import { messageBytesMax, tokenRenewalS } from './limits.ts'
import { meteredBytes } from './meter.ts'
import { systemProperties } from './outbox.ts'
import { connectionError, disconnectText, environmentError, fromSdkMessage } from './sdk-values.ts'
import { checkReported } from './twin-limits.ts'

const stepTimeoutMs = 30_000
const endInflightMs = 2_000
const endSocketMs = 300
const lateInputMs = 50

export interface AzureHubOptions {
  readonly clock?: Clock
  /** Age at which a connection is replaced by one with a fresh token. */
  readonly renewalMs?: number
}

class QuietMessage extends common.Message {
  toJSON(): string {
    return this.messageId
  }
}

Object.assign(common.results.MessageEnqueued.prototype, { toJSON: () => '' })

/** The SDK's transport with every method call handed to one listener, named or not. */
class Transport extends mqtt.Mqtt {
  onMethodMessage: ((message: MethodMessage) => void) | undefined

  constructor(provider: AuthenticationProvider, onProviderError: (error: unknown) => void) {
    super(provider)
    if (provider instanceof EventEmitter) provider.on('error', onProviderError)
  }

  override emit(event: string | symbol, ...values: unknown[]): boolean {
    if (typeof event !== 'string' || !event.startsWith('method_')) return super.emit(event, ...values)
    this.onMethodMessage?.(values[0] as MethodMessage)
    return true
  }

  /** A clean session: see the head of this file. */
  protected override _getBaseTransportConfig(credentials: TransportConfig) {
    return { ...super._getBaseTransportConfig(credentials), clean: true }
  }

  /** Stops the SDK's own renewal of the token. */
  stopRenewal(): void {
    const provider = this._authenticationProvider
    if ('stop' in provider && typeof provider.stop === 'function') provider.stop()
  }

  /** The socket under the SDK; undefined before it connects. */
  get socket(): Duplex | undefined {
    const inside = this as unknown as { _mqtt?: { _mqttClient?: { stream?: Duplex } } }
    return inside._mqtt?._mqttClient?.stream
  }
}

/** One connection, from its client's birth to its end. */
interface Link {
  readonly client: ModuleClient
  readonly transport: Transport
  /** Calls these when the connection is lost. */
  readonly onLost: Set<(error: WeirError) => void>
  state: 'opening' | 'open' | 'ended'
  desired: JsonObject
  desiredVersion: number
  /** Came before the twin was known; most are older than it. */
  readonly earlyPatches: JsonObject[]
  reported: JsonObject
  /** `over`: subscribed no more; a message that comes all the same costs the connection, and comes again. */
  inputs: 'none' | 'on' | 'over'
  inflight: number
  renewal: Timer | undefined
}

type Callback<Result> = (error?: Error | null, result?: Result) => void

export class AzureHub implements Hub {
  readonly #clock: Clock
  readonly #renewalMs: number
  #link: Link | undefined
  /** The end of the connection before, which the next must not overlap. */
  #ending: Promise<void> = Promise.resolve()
  #paused = false
  #onInput: ((message: InputMessage) => void) | undefined
  #onDesired: (desired: JsonObject, version: number) => void = () => {}
  #onMethod: ((name: string, payload: JsonValue) => Promise<MethodResult>) | undefined
  #onConnection: (connected: boolean, reason: string) => void = () => {}

  constructor(options: AzureHubOptions = {}) {
    this.#clock = options.clock ?? systemClock
    this.#renewalMs = options.renewalMs ?? tokenRenewalS * 1000
  }

  onInput(listener: (message: InputMessage) => void): void {
    this.#onInput = listener
    const link = this.#link
    if (link?.state === 'open') this.#enableInputs(link).catch((error) => this.#lose(link, errorText(error)))
  }

  onDesired(listener: (desired: JsonObject, version: number) => void): void {
    this.#onDesired = listener
  }

  onMethod(handler: (name: string, payload: JsonValue) => Promise<MethodResult>): void {
    this.#onMethod = handler
  }

  onConnection(listener: (connected: boolean, reason: string) => void): void {
    this.#onConnection = listener
  }

  async open(): Promise<void> {
    await this.#ending
    if (this.#link !== undefined) return
    const link = await this.#createLink()
    this.#link = link
    try {
      await this.#openLink(link)
    } catch (error) {
      this.#lose(link, errorText(error))
      throw error
    }
  }

  async close(): Promise<void> {
    const link = this.#link
    if (link?.state === 'opening') this.#lose(link, 'closed')
    else if (link !== undefined) this.#end(link, 'closed')
    await this.#ending
  }

  async pauseInput(): Promise<void> {
    this.#paused = true
    const link = this.#link
    if (link?.inputs !== 'on') return
    await this.#step<void>(link, 'the end of inputs', (done) => link.transport.disableInputMessages(done))
    // What the hub was about to send when it took the subscription off still comes.
    await sleep(this.#clock, lateInputMs)
    link.inputs = 'over'
  }

  async send(message: OutputMessage): Promise<void> {
    const link = this.#link
    if (link?.state !== 'open') throw new WeirError('HUB_AWAY', 'hub: not connected')
    const bytes = meteredBytes(message.body.length, message.properties, {
      ...systemProperties,
      messageId: message.messageId,
    })
    if (bytes > messageBytesMax) {
      throw new WeirError('MESSAGE_TOO_LARGE', `message ${message.messageId}: ${bytes} bytes exceed ${messageBytesMax}`)
    }
    const sdkMessage = toSdkMessage(message)
    link.inflight += 1
    try {
      await link.client.sendOutputEvent(message.output, sdkMessage)
    } catch (error) {
      // A hub that does not acknowledge for 30 s is gone, whatever its socket says.
      if (error instanceof Error && error.name === 'TimeoutError') this.#lose(link, 'a message was not acknowledged')
      throw new WeirError('HUB_AWAY', `hub: message ${message.messageId}: ${errorText(error)}`, { cause: error })
    } finally {
      link.inflight -= 1
    }
  }

  async report(patch: JsonObject): Promise<void> {
    const link = this.#link
    if (link?.state !== 'open') throw new WeirError('HUB_AWAY', 'hub: not connected')
    const problem = checkReported(patch, link.reported)
    if (problem !== undefined) throw new WeirError('REPORT_REFUSED', problem)
    try {
      await this.#step<void>(link, 'the answer to a report', (done) =>
        link.transport.updateTwinReportedProperties(patch, done),
      )
    } catch (error) {
      this.#lose(link, errorText(error))
      throw error
    }
    link.reported = mergePatch(link.reported, patch)
  }

  async #createLink(): Promise<Link> {
    if (tls.DEFAULT_MIN_VERSION < 'TLSv1.2') tls.DEFAULT_MIN_VERSION = 'TLSv1.2'
    let transport: Transport | undefined
    let link: Link | undefined
    const lose = (error: unknown) => link && this.#lose(link, `token: ${errorText(error)}`)
    /** Called with `new` by the SDK. */
    function OwnTransport(provider: AuthenticationProvider): Transport {
      transport = new Transport(provider, lose)
      return transport
    }
    let client: ModuleClient
    try {
      client = await within(this.#clock, stepTimeoutMs, device.ModuleClient.fromEnvironment(OwnTransport), () =>
        lateError('the workload API', stepTimeoutMs),
      )
    } catch (error) {
      throw environmentError(error)
    }
    if (transport === undefined) throw new WeirError('INTERNAL', 'hub: the SDK made no transport')
    client.setRetryPolicy(new common.NoRetry())
    link = {
      client,
      transport,
      onLost: new Set(),
      state: 'opening',
      desired: {},
      desiredVersion: 0,
      earlyPatches: [],
      reported: {},
      inputs: 'none',
      inflight: 0,
      renewal: undefined,
    }
    return link
  }

  async #openLink(link: Link): Promise<void> {
    const { client, transport } = link
    client.on('error', (error: unknown) => this.#lose(link, errorText(error)))
    client.on('disconnect', (error: unknown) => this.#lose(link, disconnectText(error)))
    try {
      await this.#step<unknown>(link, 'the connection', (done) => client.open(done))
    } catch (error) {
      throw connectionError(error)
    }
    transport.stopRenewal()
    if (this.#onMethod !== undefined) {
      transport.onMethodMessage = (message) => void this.#answerMethod(link, message)
      await this.#step<void>(link, 'the subscription to methods', (done) => transport.enableMethods(done))
    }
    await this.#followDesired(link)
    if (isEnded(link)) throw new WeirError('HUB_AWAY', 'hub: the connection was lost as it opened')
    link.state = 'open'
    link.renewal = this.#clock.setTimer(() => this.#end(link, 'token renewal'), this.#renewalMs)
    this.#onDesired(link.desired, link.desiredVersion)
    for (const patch of link.earlyPatches.splice(0)) this.#takePatch(link, patch)
    this.#onConnection(true, 'opened')
    await this.#enableInputs(link)
  }

  /** Subscribes before it asks for the twin, so that no patch falls between the two. */
  async #followDesired(link: Link): Promise<void> {
    const { transport } = link
    transport.on('twinDesiredPropertiesUpdate', (value: unknown) => this.#takePatch(link, asObject(value) ?? {}))
    await this.#step<void>(link, 'the subscription to desired properties', (done) =>
      transport.enableTwinDesiredPropertiesUpdates(done),
    )
    await this.#readTwin(link)
  }

  async #readTwin(link: Link): Promise<void> {
    const twin = await this.#step<TwinProperties>(link, 'the twin', (done) => link.transport.getTwin(done))
    if (twin === undefined) throw new WeirError('HUB_AWAY', 'hub: the twin cannot be had now')
    const { $version, ...desired } = asObject(twin.desired) ?? {}
    const { $version: _, ...reported } = asObject(twin.reported) ?? {}
    link.desired = desired
    link.desiredVersion = typeof $version === 'number' ? $version : 0
    link.reported = reported
  }

  /** A patch that is not the next one tells that some were missed: then the whole twin is asked for. */
  #takePatch(link: Link, { $version, ...patch }: JsonObject): void {
    const version = typeof $version === 'number' ? $version : 0
    if (link.state === 'opening') link.earlyPatches.push({ $version: version, ...patch })
    if (link.state !== 'open' || version <= link.desiredVersion) return
    if (version === link.desiredVersion + 1) {
      link.desired = mergePatch(link.desired, patch)
      link.desiredVersion = version
      this.#onDesired(link.desired, version)
      return
    }
    this.#readTwin(link).then(
      () => this.#onDesired(link.desired, link.desiredVersion),
      (error: unknown) => this.#lose(link, errorText(error)),
    )
  }

  async #enableInputs(link: Link): Promise<void> {
    const listener = this.#onInput
    if (listener === undefined || this.#paused || link.inputs !== 'none') return
    link.inputs = 'on'
    link.transport.on('inputMessage', (input: string, message: InstanceType<typeof common.Message>) => {
      try {
        if (link.inputs === 'on') listener(fromSdkMessage(input, message))
        else link.transport.socket?.destroy()
      } catch (error) {
        link.transport.socket?.destroy()
        throw error
      }
    })
    await this.#step<void>(link, 'the subscription to inputs', (done) => link.transport.enableInputMessages(done))
  }

  async #answerMethod(link: Link, message: MethodMessage): Promise<void> {
    const result = (await this.#callMethod(message)) ?? { status: 404, payload: null }
    // A call that came while the rest of the connection was still being set up is answered too.
    if (link.state === 'ended') return
    const response = { requestId: message.requestId, status: result.status, payload: result.payload }
    link.transport.sendMethodResponse(response as DeviceMethodResponse, () => {})
  }

  async #callMethod(message: MethodMessage): Promise<MethodResult | undefined> {
    let payload: JsonValue = null
    try {
      const text = message.body.toString('utf8')
      if (text !== '') payload = JSON.parse(text) as JsonValue
    } catch (error) {
      const text = `${message.methods.methodName}: payload is no JSON: ${errorText(error)}`
      return { status: 400, payload: { error: { code: 'COMMAND_UNKNOWN', message: text } } }
    }
    return this.#onMethod?.(message.methods.methodName, payload)
  }

  /** One operation of the SDK; rejects with HUB_AWAY when it fails, when the connection is lost, or after a time. */
  #step<Result>(
    link: Link,
    what: string,
    run: (done: Callback<Result>) => void,
    timeoutMs = stepTimeoutMs,
  ): Promise<Result | undefined> {
    return new Promise((resolve, reject) => {
      const fail = (text: string, cause?: unknown) => reject(new WeirError('HUB_AWAY', `hub: ${text}`, { cause }))
      const onLost = (error: WeirError) => reject(error)
      const timer = this.#clock.setTimer(() => reject(lateError(what, timeoutMs)), timeoutMs)
      link.onLost.add(onLost)
      run((error, result) => {
        timer.cancel()
        link.onLost.delete(onLost)
        if (error) fail(`${what}: ${errorText(error)}`, error)
        else resolve(result)
      })
    })
  }

  /** The connection is of no use any more: the socket is destroyed, and whoever waits for it is told. */
  #lose(link: Link, reason: string): void {
    if (link.state === 'ended') return
    const was = this.#forget(link)
    link.transport.socket?.destroy()
    const error = new WeirError('HUB_AWAY', `hub: connection lost: ${reason}`)
    for (const tell of link.onLost) tell(error)
    if (was === 'open') this.#onConnection(false, reason)
  }

  /** Ends a good connection; `open` waits for this. */
  #end(link: Link, reason: string): void {
    if (link.state !== 'open') return
    this.#forget(link)
    this.#ending = this.#endGently(link)
    this.#onConnection(false, reason)
  }

  /** What was sent is acknowledged, if it comes soon; what was written leaves; after that no acknowledgement can. */
  async #endGently(link: Link): Promise<void> {
    const { socket } = link.transport
    await this.#until(() => link.inflight === 0, endInflightMs)
    socket?.end()
    await this.#until(() => socket === undefined || socket.closed, endSocketMs)
    socket?.destroy()
  }

  async #until(condition: () => boolean, timeoutMs: number): Promise<void> {
    const untilMs = this.#clock.monotonicMs() + timeoutMs
    while (!condition() && this.#clock.monotonicMs() < untilMs) await sleep(this.#clock, 5)
  }

  #forget(link: Link): Link['state'] {
    const was = link.state
    link.state = 'ended'
    link.renewal?.cancel()
    if (this.#link === link) this.#link = undefined
    return was
  }
}

function isEnded(link: Link): boolean {
  return link.state === 'ended'
}

function toSdkMessage(message: OutputMessage): QuietMessage {
  const sdkMessage = new QuietMessage(message.body)
  sdkMessage.messageId = message.messageId
  sdkMessage.contentType = systemProperties.contentType
  sdkMessage.contentEncoding = systemProperties.contentEncoding
  // The SDK percent-encodes both, which throws on half a surrogate pair.
  for (const [name, value] of Object.entries(message.properties)) {
    sdkMessage.properties.add(name.toWellFormed(), value.toWellFormed())
  }
  return sdkMessage
}

function lateError(what: string, timeoutMs: number): WeirError {
  return new WeirError('HUB_AWAY', `hub: no answer within ${timeoutMs} ms: ${what}`)
}
