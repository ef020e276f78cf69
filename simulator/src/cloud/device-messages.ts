import { randomUUID } from 'node:crypto'
import type { Clock } from '@weir/lib/clock'
import type { JsonValue } from '@weir/lib/json'
import { RequestError } from '../workload/http-json.ts'

/** "Understand cloud-to-device messaging from an IoT hub". */
const pendingMax = 50
const bytesMax = 64 * 1024
const deliveriesMax = 10
const lockMs = 60_000
const expiryMsDefault = 3_600_000
const expiryMsMax = 2 * 24 * 3_600_000
const devicesMax = 1000

export interface DeviceMessage {
  readonly body: JsonValue
  readonly properties: Readonly<Record<string, string>>
  /** Given where the sender leaves it out. */
  readonly messageId?: string | undefined
  /** From now; 1 h where it is left out, 48 h at most. */
  readonly expiryMs?: number | undefined
}

export interface ReceivedDeviceMessage {
  readonly messageId: string
  readonly body: JsonValue
  readonly properties: Readonly<Record<string, string>>
  /** Counts from 1; the tenth is the last. */
  readonly deliveryCount: number
  /** To complete, abandon or reject the message with, within 60 s. */
  readonly lockToken: string
}

interface Pending {
  readonly messageId: string
  readonly body: JsonValue
  readonly properties: Readonly<Record<string, string>>
  readonly expiresMs: number
  deliveryCount: number
  lockToken: string | undefined
  lockedUntilMs: number
}

/**
 * Cloud-to-device messages: a queue for each device, in memory. A message is locked while a device has it, comes again
 * when the device abandons it or lets its lock run out, and is gone once completed, rejected, expired or delivered ten
 * times. They are for devices; modules have direct methods.
 */
export class DeviceMessages {
  readonly #clock: Clock
  readonly #queues = new Map<string, Pending[]>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** @returns The message id. @throws RequestError 413 above 64 KiB, 403 where 50 wait, 400 for an expiry beyond 48 h. */
  send(
    deviceId: string,
    { body, properties, messageId = randomUUID(), expiryMs = expiryMsDefault }: DeviceMessage,
  ): string {
    const bytes = Buffer.byteLength(JSON.stringify({ body, properties }))
    if (bytes > bytesMax) throw new RequestError(413, `message of ${bytes} bytes exceeds ${bytesMax}`)
    if (!(expiryMs > 0 && expiryMs <= expiryMsMax)) {
      throw new RequestError(400, `expiry of ${expiryMs} ms: expected more than 0, at most ${expiryMsMax}`)
    }
    const queue = this.#waiting(deviceId)
    if (queue.length >= pendingMax)
      throw new RequestError(403, `device ${deviceId}: ${pendingMax} messages wait already`)
    if (!this.#queues.has(deviceId) && this.#queues.size >= devicesMax) {
      throw new RequestError(403, `${devicesMax} devices have messages waiting already`)
    }
    const expiresMs = this.#clock.monotonicMs() + expiryMs
    queue.push({ messageId, body, properties, expiresMs, deliveryCount: 0, lockToken: undefined, lockedUntilMs: 0 })
    this.#queues.set(deviceId, queue)
    return messageId
  }

  /** The oldest message that no one holds, now locked; undefined where there is none. */
  receive(deviceId: string): ReceivedDeviceMessage | undefined {
    const nowMs = this.#clock.monotonicMs()
    const message = this.#waiting(deviceId).find(({ lockToken }) => lockToken === undefined)
    if (message === undefined) return undefined
    message.deliveryCount++
    message.lockedUntilMs = nowMs + lockMs
    message.lockToken = randomUUID()
    const { messageId, body, properties, deliveryCount, lockToken } = message
    return { messageId, body, properties, deliveryCount, lockToken }
  }

  /** Ends a delivery. @throws RequestError 412 where the lock is not held. */
  settle(deviceId: string, lockToken: string, how: 'complete' | 'abandon' | 'reject'): void {
    const queue = this.#waiting(deviceId)
    const message = queue.find((each) => each.lockToken === lockToken)
    if (message === undefined) throw new RequestError(412, `device ${deviceId}: the lock of the message is not held`)
    message.lockToken = undefined
    if (how !== 'abandon')
      this.#keep(
        deviceId,
        queue.filter((each) => each !== message),
      )
  }

  /** What still waits: without the expired ones and those delivered too often, locks that ran out taken off. */
  #waiting(deviceId: string): Pending[] {
    const nowMs = this.#clock.monotonicMs()
    const queue = this.#queues.get(deviceId) ?? []
    for (const message of queue) if (message.lockedUntilMs <= nowMs) message.lockToken = undefined
    const waiting = queue.filter(
      (message) =>
        message.lockToken !== undefined || (message.expiresMs > nowMs && message.deliveryCount < deliveriesMax),
    )
    this.#keep(deviceId, waiting)
    return waiting
  }

  #keep(deviceId: string, queue: Pending[]): void {
    if (queue.length === 0) this.#queues.delete(deviceId)
    else this.#queues.set(deviceId, queue)
  }
}
