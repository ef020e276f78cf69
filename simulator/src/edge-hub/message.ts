import type { MessageProperties } from './topics.ts'

export const upstreamTarget = '$upstream'
/** The edge hub's own identity: its twin carries the routes, and twin changes travel under its name. */
export const edgeHubModuleId = '$edgeHub'

/** A message as the edge hub took it. */
export interface HubMessage extends MessageProperties {
  /** `twinChange`: reported properties, routed as a message of `$edgeHub`. */
  readonly kind: 'message' | 'twinChange'
  /** The module that published or reported. */
  readonly moduleId: string
  readonly body: Buffer
  /** When it was taken, Unix milliseconds. */
  readonly enqueuedMs: number
}

/** Where one copy of a message goes. */
export interface Destination {
  /** A module, or `$upstream`. */
  readonly target: string
  /** Input of the module; '' upstream. */
  readonly input: string
  /** 0 is served first. */
  readonly priority: number
  /** Unix milliseconds; undefined: never expires. */
  readonly expiresMs: number | undefined
}

/** A message in a queue. Equal ids are equal messages, over restarts too. */
export interface QueuedMessage extends Destination {
  readonly id: number
  /** Names this entry of this store, for receivers that drop what they already have. */
  readonly storeId: string
  readonly message: HubMessage
}

/** Module whose connection carried the message, as routes and IoT Hub see it. */
export function connectionModuleId(message: HubMessage): string {
  return message.kind === 'twinChange' ? edgeHubModuleId : message.moduleId
}

/** `device/module/input`, or `iothub`: how edgeHub names endpoints. */
export function endpointName(deviceId: string, { target, input }: Pick<Destination, 'target' | 'input'>): string {
  return target === upstreamTarget ? 'iothub' : `${deviceId}/${target}/${input}`
}

/** What edgeHub holds against 256 KiB: bytes of the body and characters of all property names and values. */
export function messageSize(bodyBytes: number, { properties, systemProperties }: MessageProperties): number {
  let size = bodyBytes
  for (const bag of [properties, systemProperties]) {
    for (const name in bag) size += name.length + (bag[name]?.length ?? 0)
  }
  return size
}
