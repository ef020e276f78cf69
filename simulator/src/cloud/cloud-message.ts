import { errorText } from '@weir/lib/errors'
import type { JsonValue } from '@weir/lib/json'

/** What IoT Hub calls the source of a message that it routes. */
export type MessageSource = 'DeviceMessages' | 'TwinChangeEvents' | 'DeviceLifecycleEvents'

/** A message as the hub stand-in holds it. */
export interface CloudMessage {
  readonly source: MessageSource
  /** Empty where a leaf device sent it. */
  readonly moduleId: string
  readonly properties: Readonly<Record<string, string>>
  /** `messageId`, `contentType`, `contentEncoding`, `outputName`, … */
  readonly systemProperties: Readonly<Record<string, string>>
  readonly body: Buffer
  /** When the edge hub took it, Unix milliseconds. */
  readonly edgeEnqueuedMs: number
  /** When the stand-in took it, Unix milliseconds. */
  readonly enqueuedMs: number
}

/** Takes messages for good: returns once they are written. */
export interface MessageSink {
  store(messages: readonly CloudMessage[]): void
  close(): void
}

/** The type that a message says it has, or `other` where it says none. */
export function messageTypeOf(message: CloudMessage): string {
  return message.properties['messageType'] ?? 'other'
}

function isUtf8Json({ systemProperties }: CloudMessage): boolean {
  const contentType = systemProperties['contentType']?.toLowerCase()
  const encoding = systemProperties['contentEncoding']?.toLowerCase() ?? 'utf-8'
  return contentType === 'application/json' && (encoding === 'utf-8' || encoding === 'utf8')
}

/** The body as JSON, or what is wrong with it. */
export function parseBody(message: CloudMessage): { value: JsonValue } | { problem: string } {
  try {
    return { value: JSON.parse(message.body.toString('utf8')) }
  } catch (error) {
    return { problem: errorText(error) }
  }
}

/**
 * One line of JSON, without its newline: `{enqueuedTime, moduleId, properties, systemProperties, body}`.
 * A JSON body stands in it as it came, digit by digit; any other as base64 (as IoT Hub writes to storage).
 */
export function messageLine(message: CloudMessage): string {
  const head = JSON.stringify({
    enqueuedTime: new Date(message.enqueuedMs).toISOString(),
    moduleId: message.moduleId,
    properties: message.properties,
    systemProperties: message.systemProperties,
  })
  return `${head.slice(0, -1)},"body":${bodyText(message)}}`
}

function bodyText(message: CloudMessage): string {
  if (!isUtf8Json(message) || 'problem' in parseBody(message)) return JSON.stringify(message.body.toString('base64'))
  // In valid JSON a line break can only be white space between tokens.
  return message.body
    .toString('utf8')
    .trim()
    .replace(/[\r\n]+/g, ' ')
}
