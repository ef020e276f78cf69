import type { Clock } from '@weir/lib/clock'
import { errorText } from '@weir/lib/errors'
import { messageBytesMax } from '@weir/lib/limits'
import type { Log } from '@weir/lib/log'
import { Rejects } from '@weir/lib/rejects'
import type { Connection } from './broker.ts'
import { type HubMessage, messageSize } from './message.ts'
import type { TelemetryMeter } from './meter.ts'
import type { MethodCaller } from './methods.ts'
import type { DropReason, HubMetrics } from './metrics.ts'
import type { Router } from './router.ts'
import type { MessageStore } from './store.ts'
import { type MessageProperties, type ModuleTopic, parseTopic, twinResponseTopic } from './topics.ts'
import { type TwinStore, twinDocument } from './twins.ts'

export interface IntakeParts {
  readonly deviceId: string
  readonly clock: Clock
  readonly log: Log
  readonly router: Router
  readonly store: MessageStore
  readonly twins: TwinStore
  readonly methods: MethodCaller
  readonly metrics: HubMetrics
  /** undefined: telemetry is not metered. */
  readonly meter: TelemetryMeter | undefined
  /** A reported patch waits for the cloud. */
  reportWaits(): void
}

type Taken = (error: Error | undefined) => void

/** Everything that modules publish. A message is taken once it is on disk, or dropped for good. */
export class Intake {
  readonly #parts: IntakeParts
  readonly #rejects: Rejects
  #messagesTaken = 0

  constructor(parts: IntakeParts) {
    this.#parts = parts
    // Dropped messages are counted by the metrics, with who sent them.
    this.#rejects = new Rejects(parts.log, parts.clock, { add: () => {} })
  }

  get messagesTaken(): number {
    return this.#messagesTaken
  }

  /** By reason. */
  get dropped(): Record<string, number> {
    return this.#rejects.counts()
  }

  published(connection: Connection, topic: string, payload: Buffer, taken: Taken): void {
    const { moduleId } = connection
    const parsed = parseTopic(topic, this.#parts.deviceId, moduleId)
    if (parsed.kind === 'message') this.#message(moduleId, parsed, payload, taken)
    else if (parsed.kind === 'patchReported') this.#patchReported(connection, parsed.requestId, payload, taken)
    else {
      this.#request(connection, topic, parsed, payload)
      taken(undefined)
    }
  }

  /** Counts a message that is gone, whatever the reason. */
  drop(reason: DropReason, moduleId: string, outputName: string, detail: string): void {
    this.#rejects.add(reason, detail)
    this.#parts.metrics.dropped(reason, moduleId, outputName)
  }

  #message(moduleId: string, { properties, systemProperties }: MessageProperties, payload: Buffer, taken: Taken): void {
    const size = messageSize(payload.length, { properties, systemProperties })
    const outputName = systemProperties['outputName'] ?? ''
    if (size > messageBytesMax) {
      this.drop('too_large', moduleId, outputName, `${moduleId}: ${size} bytes exceed ${messageBytesMax}`)
      taken(undefined)
      return
    }
    const enqueuedMs = this.#parts.clock.nowMs()
    const body = detached(payload)
    const message: HubMessage = { kind: 'message', moduleId, properties, systemProperties, body, enqueuedMs }
    this.#parts.metrics.received(message, size)
    this.#route(message, (error) => {
      if (error === undefined) {
        this.#messagesTaken++
        this.#parts.meter?.take(message)
      }
      taken(error)
    })
  }

  #route(message: HubMessage, stored: Taken): void {
    const destinations = this.#parts.router.route(message)
    if (destinations.length > 0) {
      this.#parts.store.put(message, destinations, stored)
      return
    }
    if (message.kind === 'message') {
      const output = message.systemProperties['outputName'] ?? ''
      this.drop('no_route', message.moduleId, output, `${message.moduleId}: no route takes its output "${output}"`)
    }
    stored(undefined)
  }

  #request(connection: Connection, topic: string, parsed: ModuleTopic, payload: Buffer): void {
    const { moduleId } = connection
    switch (parsed.kind) {
      case 'getTwin':
        this.#parts.metrics.gotTwin(moduleId)
        answer(connection, 200, parsed.requestId, JSON.stringify(twinDocument(this.#parts.twins.get(moduleId))))
        return
      case 'methodResponse':
        this.#parts.methods.answered(moduleId, parsed.requestId, parsed.status, payload)
        return
      case 'malformed':
        this.drop('bad_topic', moduleId, '', `${moduleId}: ${parsed.reason}: ${topic.slice(0, 200)}`)
    }
  }

  #patchReported(connection: Connection, requestId: string | undefined, payload: Buffer, taken: Taken): void {
    const { moduleId } = connection
    const settle = (status: number): void => {
      if (requestId !== undefined) answer(connection, status, requestId, '')
      taken(undefined)
    }
    let patch: unknown
    try {
      patch = JSON.parse(payload.toString('utf8'))
    } catch (error) {
      this.#parts.log.warning(`twin ${moduleId}: reported properties refused: no JSON: ${errorText(error)}`)
      settle(400)
      return
    }
    const problem = this.#parts.twins.report(moduleId, patch, (error) => {
      if (error !== undefined) this.#parts.log.error(errorText(error))
      this.#parts.reportWaits()
      settle(error === undefined ? 204 : 500)
    })
    if (problem !== undefined) {
      this.#parts.log.warning(`twin ${moduleId}: reported properties refused: ${problem}`)
      settle(400)
      return
    }
    this.#parts.metrics.reported(moduleId)
    this.#routeTwinChange(moduleId, payload)
  }

  /** Whoever routes `/twinChangeNotifications` gets the patch, as a message of `$edgeHub`. */
  #routeTwinChange(moduleId: string, payload: Buffer): void {
    const enqueuedMs = this.#parts.clock.nowMs()
    const systemProperties = {
      messageSchema: 'twinChangeNotification',
      messageType: 'twinChangeNotification',
      enqueuedTime: new Date(enqueuedMs).toISOString(),
    }
    const body = detached(payload)
    this.#route({ kind: 'twinChange', moduleId, properties: {}, systemProperties, body, enqueuedMs }, (error) => {
      if (error !== undefined) this.#parts.log.error(`twin ${moduleId}: its change was not routed: ${errorText(error)}`)
    })
  }
}

/** Answers a twin request, where the module listens for answers. */
function answer(connection: Connection, status: number, requestId: string, body: string): void {
  if (connection.subscribed('twinResponses') === undefined) return
  connection.send(twinResponseTopic(status, requestId), body)
}

/** A body that holds on to no more memory than its own: packets are views of whole chunks of the socket. */
function detached(payload: Buffer): Buffer {
  return payload.buffer.byteLength > payload.length * 2 ? Buffer.from(payload) : payload
}
