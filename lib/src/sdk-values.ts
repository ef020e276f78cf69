/** What the device SDK hands out, in our terms; without importing it, so that tests need not load it. */
import { errorText, WeirError } from './errors.ts'
import type { InputMessage } from './hub.ts'
import { asObject } from './json.ts'

/** A `Message` of the SDK, as far as it is read here. */
export interface SdkMessage {
  readonly properties: { readonly propertyList: readonly { readonly key: string; readonly value: string }[] }
  readonly messageId: string
  readonly contentType: string | undefined
  readonly contentEncoding: string | undefined
  getData(): unknown
  getBytes(): Buffer
}

/** System keys that the SDK does not know (`$.cdid`, `$.cmid`, …) arrive as application properties: they are taken off. */
export function fromSdkMessage(input: string, message: SdkMessage): InputMessage {
  const entries = message.properties.propertyList.map(({ key, value }): [string, string] => [key, value])
  const data = message.getData()
  return {
    input,
    body: Buffer.isBuffer(data) ? data : message.getBytes(),
    messageId: message.messageId || undefined,
    contentType: message.contentType,
    contentEncoding: message.contentEncoding,
    properties: Object.fromEntries(entries.filter(([name]) => !name.startsWith('$.'))),
    sourceModuleId: entries.find(([name]) => name === '$.cmid')?.[1],
  }
}

/** Why `fromEnvironment` failed. A ReferenceError is the SDK's word for a variable that is missing or wrong. */
export function environmentError(error: unknown): WeirError {
  if (error instanceof WeirError) return error
  return error instanceof ReferenceError
    ? new WeirError('HUB_REFUSED', `hub: ${error.message} Start under IoT Edge, or with npm start`, { cause: error })
    : new WeirError('HUB_AWAY', `hub: the workload API cannot be reached: ${errorText(error)}`, { cause: error })
}

/** CONNACK codes 2, 4 and 5 (MQTT 3.1.1, 3.2.2.3) in the words of mqtt.js. */
const refusal = /Connection refused: (Identifier rejected|Bad username or password|Not authorized)/
/** What the SDK wraps around them; it calls every first failure "Not authorized". */
const wrapping = /mqtt\.js returned |Failure on first connection \(Not authorized\): | error$/g

/** Why a connection could not be opened: HUB_REFUSED where the hub said no to the identity, else HUB_AWAY. */
export function connectionError(error: unknown): WeirError {
  const text = errorText(error).replace(wrapping, '')
  return new WeirError(refusal.test(text) ? 'HUB_REFUSED' : 'HUB_AWAY', text, { cause: error })
}

/** The reason in a `disconnect` event (`results.Disconnected`). */
export function disconnectText(error: unknown): string {
  const cause: unknown = asObject(error)?.['transportObj']
  return cause instanceof Error ? cause.message : 'connection closed'
}
