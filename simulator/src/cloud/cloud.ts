import { join } from 'node:path'
import type { Clock } from '@weir/lib/clock'
import { errorText } from '@weir/lib/errors'
import type { MethodResult } from '@weir/lib/hub'
import type { JsonObject, JsonValue } from '@weir/lib/json'
import type { Log } from '@weir/lib/log'
import type { LinkFault } from '../faults/link-faults.ts'
import type { FromEdgeHub, ModuleIdentity, TwinState, UpstreamMessage } from '../upstream-link.ts'
import { RequestError } from '../workload/http-json.ts'
import type { CloudMessage, MessageSink } from './cloud-message.ts'
import { DeviceMessages } from './device-messages.ts'
import { DirectMethods, type MethodTimeouts } from './direct-methods.ts'
import { EdgeHubLink } from './edge-hub-link.ts'
import { lifecycleEvent, twinChangeEvent } from './hub-events.ts'
import type { DeviceToCloudLimits } from './limits.ts'
import { Received, type ReceivedReport } from './received.ts'
import { RecentSet } from './recent-map.ts'
import { TwinStore } from './twin-store.ts'

const storeIdsMax = 100_000
const recentMessagesMax = 500
const recentBytesMax = 4 * 1024 * 1024
/** When a sink cannot write, the edge hub keeps the batch and tries again. */
const sinkRetryMs = 1000

export interface CloudOptions {
  readonly iotHubHostname: string
  readonly deviceId: string
  /** Unix socket that the edge hub dials, and the secret that it must know. */
  readonly socketPath: string
  readonly secret: string
  /** Twins are kept in `<stateFolder>/twins`. */
  readonly stateFolder: string
  readonly clock: Clock
  readonly log: Log
  /** Where messages go beside the accounts; closed with the stand-in. */
  readonly sinks?: readonly MessageSink[]
  /** Absent: everything is taken. */
  readonly limits?: DeviceToCloudLimits | undefined
}

export interface CloudReport extends ReceivedReport {
  /** Messages that the edge hub sent again after they were stored; they count nowhere else. */
  readonly sentAgain: number
  /** Batches sent back for later, by the limits or because a sink could not write. */
  readonly throttled: number
  /** Messages refused by their size. */
  readonly tooLarge: number
}

/**
 * The stand-in for IoT Hub: identities and twins of one edge device, its messages, direct methods.
 * In this process; the edge hub reaches it over a unix socket (upstream-link.ts).
 */
export class Cloud {
  readonly #options: CloudOptions
  readonly #twins: TwinStore
  readonly #methods: DirectMethods
  /** Cloud-to-device messages. */
  readonly deviceMessages: DeviceMessages
  readonly #received = new Received()
  readonly #storeIds = new RecentSet(storeIdsMax)
  readonly #listeners = new Set<(message: CloudMessage) => void>()
  readonly #recent: CloudMessage[] = []
  #recentBytes = 0
  #identities: readonly ModuleIdentity[] = []
  #link: EdgeHubLink | undefined
  #sentAgain = 0
  #throttled = 0
  #tooLarge = 0

  private constructor(options: CloudOptions) {
    this.#options = options
    this.#twins = new TwinStore(join(options.stateFolder, 'twins'))
    this.deviceMessages = new DeviceMessages(options.clock)
    this.#methods = new DirectMethods(options.clock, (frame) => this.#link?.send(frame))
  }

  /** @throws WeirError STATE_LOCKED, STATE_UNWRITABLE, STATE_DAMAGED or STATE_NEWER. */
  static async open(options: CloudOptions): Promise<Cloud> {
    const cloud = new Cloud(options)
    cloud.#link = await EdgeHubLink.open({
      socketPath: options.socketPath,
      secret: options.secret,
      deviceId: options.deviceId,
      clock: options.clock,
      log: options.log,
      onConnected: () => {
        cloud.#sendWelcome()
        cloud.#methods.linkChanged(true)
      },
      onDisconnected: () => cloud.#methods.linkChanged(false),
      onFrame: (frame) => cloud.#takeFrame(frame),
    })
    return cloud
  }

  /**
   * Sets who is on the device (`$edgeHub`, with the routes, among them) and the desired properties that the manifest
   * gives them; see TwinStore.deploy. A connected edge hub is told.
   * @throws RequestError 400, and nothing is changed, where desired properties break a limit of twins.
   */
  deploy(modules: readonly { readonly identity: ModuleIdentity; readonly desired: JsonObject }[]): void {
    const desired = new Map(modules.map(({ identity, desired: properties }) => [identity.moduleId, properties]))
    const { created, deleted } = this.#twins.deploy(desired)
    this.#identities = modules.map(({ identity }) => identity)
    for (const moduleId of deleted)
      this.#emit(lifecycleEvent(this.#place(), moduleId, 'deleteModuleIdentity', undefined))
    for (const moduleId of created) {
      this.#emit(lifecycleEvent(this.#place(), moduleId, 'createModuleIdentity', this.#twins.get(moduleId)))
    }
    this.#sendWelcome()
  }

  /**
   * Gives a module that no manifest names an identity and an empty twin, until the next start. A connected edge hub is
   * told. Does nothing where the module is known.
   */
  register(identity: ModuleIdentity): void {
    const { moduleId } = identity
    if (this.moduleIds.includes(moduleId)) return
    this.#twins.create(moduleId)
    this.#identities = [...this.#identities, identity]
    this.#emit(lifecycleEvent(this.#place(), moduleId, 'createModuleIdentity', this.#twins.get(moduleId)))
    this.#sendWelcome()
  }

  /** The line to the edge hub fails in this way from now on. */
  setLinkFault(fault: LinkFault): void {
    this.#link?.setFault(fault)
  }

  get edgeHubConnected(): boolean {
    return this.#link?.connected ?? false
  }

  /** Module ids in the order of the deployment. */
  get moduleIds(): readonly string[] {
    return this.#identities.map(({ moduleId }) => moduleId)
  }

  twin(moduleId: string): TwinState | undefined {
    return this.#twins.get(moduleId)
  }

  /** Merges into a module's desired properties. @throws RequestError 404 or 400. */
  patchDesired(moduleId: string, patch: JsonObject): TwinState {
    const twin = this.#twins.patchDesired(moduleId, patch)
    this.#link?.send({ type: 'desiredPatch', moduleId, patch, version: twin.desiredVersion })
    this.#emit(twinChangeEvent(this.#place(), moduleId, 'desired', patch, twin.desiredVersion))
    return twin
  }

  /** Merges into a module's reported properties, for modules that are played in this process. @throws RequestError 404 or 400. */
  patchReported(moduleId: string, patch: JsonObject): TwinState {
    const twin = this.#twins.patchReported(moduleId, patch)
    this.#emit(twinChangeEvent(this.#place(), moduleId, 'reported', patch, twin.reportedVersion))
    return twin
  }

  /** Calls a direct method. @throws RequestError 404, 504 or 400 (see DirectMethods.call). */
  async callMethod(
    moduleId: string,
    name: string,
    payload: JsonValue,
    timeouts: MethodTimeouts = {},
  ): Promise<MethodResult> {
    if (this.#twins.get(moduleId) === undefined) {
      throw new RequestError(404, `module ${moduleId}: no such module on this device`)
    }
    return this.#methods.call(moduleId, name, payload, timeouts)
  }

  /** Calls `listener` for each device message as it is stored; the function returned ends that. */
  onMessage(listener: (message: CloudMessage) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** The last device messages, oldest first: at most 500, and 4 MiB of bodies. */
  recentMessages(): readonly CloudMessage[] {
    return [...this.#recent]
  }

  report(): CloudReport {
    return {
      ...this.#received.report(),
      sentAgain: this.#sentAgain,
      throttled: this.#throttled,
      tooLarge: this.#tooLarge,
    }
  }

  async close(): Promise<void> {
    this.#methods.close()
    await this.#link?.close()
    for (const sink of this.#options.sinks ?? []) sink.close()
  }

  #sendWelcome(): void {
    this.#link?.send({ type: 'welcome', identities: this.#identities, twins: this.#twins.all() })
  }

  #takeFrame(frame: Exclude<FromEdgeHub, { type: 'hello' }>): void {
    switch (frame.type) {
      case 'messages':
        this.#takeMessages(frame.id, frame.messages)
        break
      case 'reported':
        this.#takeReported(frame.id, frame.moduleId, frame.patch)
        break
      case 'methodResult':
      case 'methodFailed':
        this.#methods.answered(frame)
        break
    }
  }

  #takeReported(id: number, moduleId: string, patch: JsonObject): void {
    try {
      const { reportedVersion } = this.patchReported(moduleId, patch)
      this.#link?.send({ type: 'reportedResult', id, status: 204, version: reportedVersion })
    } catch (error) {
      this.#options.log.warning(`reported properties refused: ${errorText(error)}`)
      const version = this.#twins.get(moduleId)?.reportedVersion ?? 0
      this.#link?.send({ type: 'reportedResult', id, status: 400, version })
    }
  }

  /** Stores a batch whole, or nothing of it. */
  #takeMessages(id: number, batch: readonly UpstreamMessage[]): void {
    const { limits, clock } = this.#options
    const isNew = batch.filter(({ storeId }) => storeId === undefined || !this.#storeIds.has(storeId))
    const messages = isNew.map((message) => deviceMessage(message, clock.nowMs()))
    const taken = limits === undefined ? messages : messages.filter((message) => limits.takesSize(message))
    const retryAfterMs = (limits?.take(taken) ?? 0) || this.#storeOrRetry(taken)
    if (retryAfterMs > 0) {
      this.#throttled++
      this.#link?.send({ type: 'throttled', id, retryAfterMs })
      return
    }
    for (const { storeId } of isNew) if (storeId !== undefined) this.#storeIds.add(storeId)
    this.#sentAgain += batch.length - isNew.length
    this.#tooLarge += messages.length - taken.length
    for (const message of taken) this.#account(message)
    this.#link?.send({ type: 'stored', id })
  }

  /** 0 once the messages are written. A sink that wrote before another failed holds them twice in the end. */
  #storeOrRetry(messages: readonly CloudMessage[]): number {
    try {
      this.#storeInSinks(messages)
      return 0
    } catch (error) {
      this.#options.log.error(`messages cannot be stored, the edge hub keeps them: ${errorText(error)}`)
      return sinkRetryMs
    }
  }

  #account(message: CloudMessage): void {
    this.#received.add(message)
    this.#recent.push(message)
    this.#recentBytes += message.body.length
    while (this.#recent.length > recentMessagesMax || this.#recentBytes > recentBytesMax) {
      this.#recentBytes -= this.#recent.shift()?.body.length ?? 0
    }
    for (const listener of this.#listeners) listener(message)
  }

  /** Hub events are told to the sinks only; losing one when a sink cannot write is logged. */
  #emit(event: CloudMessage): void {
    try {
      this.#storeInSinks([event])
    } catch (error) {
      this.#options.log.error(`a hub event cannot be stored: ${errorText(error)}`)
    }
  }

  #storeInSinks(messages: readonly CloudMessage[]): void {
    for (const sink of this.#options.sinks ?? []) sink.store(messages)
  }

  #place(): { iotHubHostname: string; deviceId: string; nowMs: number } {
    const { iotHubHostname, deviceId, clock } = this.#options
    return { iotHubHostname, deviceId, nowMs: clock.nowMs() }
  }
}

function deviceMessage(message: UpstreamMessage, nowMs: number): CloudMessage {
  return {
    source: 'DeviceMessages',
    moduleId: message.moduleId,
    properties: message.properties,
    systemProperties: message.systemProperties,
    body: Buffer.from(message.bodyBase64, 'base64'),
    edgeEnqueuedMs: message.enqueuedMs,
    enqueuedMs: nowMs,
  }
}
