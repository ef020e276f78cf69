/**
 * The link between the edge hub (its own process) and the hub stand-in: newline-delimited JSON over a unix socket.
 * The edge hub dials. Everything here survives a cut: what was not answered is sent again, and receivers are idempotent.
 */
import type { Socket } from 'node:net'
import type { JsonObject, JsonValue } from '@weir/lib/json'

/** A device-to-cloud message as the edge hub relays it. */
export interface UpstreamMessage {
  /** Names the message in the edge hub's store, and no other store: sent again, it is stored once. */
  readonly storeId?: string
  readonly moduleId: string
  /** Application properties. */
  readonly properties: Readonly<Record<string, string>>
  /** `messageId`, `contentType`, `contentEncoding`, `outputName`, … as IoT Hub names them. */
  readonly systemProperties: Readonly<Record<string, string>>
  readonly bodyBase64: string
  /** When the edge hub took it, Unix milliseconds. */
  readonly enqueuedMs: number
}

export interface ModuleIdentity {
  readonly moduleId: string
  readonly generationId: string
  /** Symmetric key of the module, base64. */
  readonly primaryKey: string
}

export interface TwinState {
  readonly desired: JsonObject
  readonly desiredVersion: number
  readonly reported: JsonObject
  readonly reportedVersion: number
}

export type FromEdgeHub =
  | { type: 'hello'; deviceId: string; secret: string }
  | { type: 'messages'; id: number; messages: readonly UpstreamMessage[] }
  | { type: 'reported'; id: number; moduleId: string; patch: JsonObject }
  | { type: 'methodResult'; id: number; status: number; payload: JsonValue }
  | { type: 'methodFailed'; id: number; status: 404 | 504; message: string }

export type FromCloud =
  /** Sent after `hello` and whenever the set changes: who may connect, and the twins, `$edgeHub`'s (with the routes) among them. */
  | { type: 'welcome'; identities: readonly ModuleIdentity[]; twins: Readonly<Record<string, TwinState>> }
  | { type: 'stored'; id: number }
  /** The stand-in does not take the batch now (throttled, a limit): try again after `retryAfterMs`; nothing of it was stored. */
  | { type: 'throttled'; id: number; retryAfterMs: number }
  | { type: 'reportedResult'; id: number; status: 204 | 400; version: number }
  | { type: 'desiredPatch'; moduleId: string; patch: JsonObject; version: number }
  | {
      type: 'method'
      id: number
      moduleId: string
      name: string
      payload: JsonValue
      responseTimeoutMs: number
      connectTimeoutMs: number
    }

/** Calls `receive` for each frame that arrives on `socket`; a frame that is no JSON destroys the socket. */
export function readFrames<Frame>(socket: Socket, receive: (frame: Frame) => void): void {
  // Pieces of a frame that has not ended yet; joined once, so that a large frame costs no more than its length.
  let pieces: string[] = []
  socket.setEncoding('utf8')
  socket.on('data', (chunk: string) => {
    const lines = chunk.split('\n')
    const last = lines.pop() ?? ''
    for (const line of lines) {
      const text = pieces.join('') + line
      pieces = []
      let frame: Frame
      try {
        frame = JSON.parse(text) as Frame
      } catch (error) {
        socket.destroy(new Error('upstream link: a frame is no JSON', { cause: error }))
        return
      }
      receive(frame)
    }
    pieces.push(last)
  })
}

export function writeFrame<Frame>(socket: Socket, frame: Frame): boolean {
  return socket.write(`${JSON.stringify(frame)}\n`)
}
