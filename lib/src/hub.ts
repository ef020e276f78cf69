import type { JsonObject, JsonValue } from './json.ts'

/** A message that arrived at an input of this module. */
export interface InputMessage {
  readonly input: string
  readonly body: Buffer
  readonly messageId: string | undefined
  readonly contentType: string | undefined
  readonly contentEncoding: string | undefined
  /** Application properties, without those that the hub adds for itself (`$.cdid`, `$.cmid`). */
  readonly properties: Readonly<Record<string, string>>
  /** Module that sent it, as the hub says. */
  readonly sourceModuleId: string | undefined
}

/** A message ready to leave: what it holds is decided, every try sends the same. */
export interface OutputMessage {
  readonly output: string
  readonly messageId: string
  readonly body: Buffer
  readonly properties: Readonly<Record<string, string>>
}

export interface MethodResult {
  readonly status: number
  readonly payload: JsonValue
}

/** What a module sees of the edge hub. The one real implementation is hub-azure.ts; memory-hub.ts serves tests. */
export interface Hub {
  /**
   * One attempt to open the connection, or to open it again after it was lost; throws HUB_AWAY or HUB_REFUSED.
   * The listeners, but for `onInput`, must be set before.
   */
  open(): Promise<void>
  close(): Promise<void>
  /**
   * Takes inputs from now on, and again after each `open`; until then they stay at the hub. The listener is called
   * synchronously before the message is acknowledged: when it throws, the hub delivers the message again, and the
   * process must exit at once (in hub-azure.ts the throw becomes an uncaught exception).
   */
  onInput(listener: (message: InputMessage) => void): void
  /** Once it resolves the hub hands no further message to the listener; what it still has stays there. */
  pauseInput(): Promise<void>
  /** Resolves once the hub has stored the message. Rejects with MESSAGE_TOO_LARGE (drop) or HUB_AWAY (retry). */
  send(message: OutputMessage): Promise<void>
  /** Whole desired properties (without `$version`) each time any of them changes, and once after `open`. */
  onDesired(listener: (desired: JsonObject, version: number) => void): void
  /** Merges `patch` into the reported properties. Rejects with REPORT_REFUSED before sending what the hub would refuse. */
  report(patch: JsonObject): Promise<void>
  /** Any direct method of the module. */
  onMethod(handler: (name: string, payload: JsonValue) => Promise<MethodResult>): void
  /** After `false` nothing is sent until `open` is called again. */
  onConnection(listener: (connected: boolean, reason: string) => void): void
}
