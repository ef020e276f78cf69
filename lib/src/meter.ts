import { billingBlockBytes } from './limits.ts'

/** What IoT Hub meters: messages, bytes, and billed blocks of 4 KiB. */
export interface Traffic {
  messages: number
  bytes: number
  blocks: number
}

export function noTraffic(): Traffic {
  return { messages: 0, bytes: 0, blocks: 0 }
}

/**
 * Bytes of a message as IoT Hub meters them: body, names and values of application properties, values of system
 * properties ("Azure IoT Hub quotas and throttling", message size).
 */
export function meteredBytes(
  bodyBytes: number,
  properties: Readonly<Record<string, string>>,
  systemProperties: Readonly<Record<string, string>>,
): number {
  let bytes = bodyBytes
  for (const [name, value] of Object.entries(properties)) bytes += Buffer.byteLength(name) + Buffer.byteLength(value)
  for (const value of Object.values(systemProperties)) bytes += Buffer.byteLength(value)
  return bytes
}

/** Blocks billed for a message of `bytes`: each one begun, at least one. */
export function billedBlocks(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / billingBlockBytes))
}

/** Adds `messages` equal messages of `bytes` each to `traffic`. */
export function addTraffic(traffic: Traffic, bytes: number, messages = 1): void {
  traffic.messages += messages
  traffic.bytes += bytes * messages
  traffic.blocks += billedBlocks(bytes) * messages
}

export interface Saving {
  raw: Traffic
  sent: Traffic
  /** Per cent of `raw` that was not sent; 0 where nothing was raw. Negative when more was sent. */
  savedPct: Traffic
}

export function saving(raw: Traffic, sent: Traffic): Saving {
  const part = (key: keyof Traffic): number => (raw[key] === 0 ? 0 : (1 - sent[key] / raw[key]) * 100)
  return { raw, sent, savedPct: { messages: part('messages'), bytes: part('bytes'), blocks: part('blocks') } }
}
