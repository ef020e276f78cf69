import type { OutputMessage } from './hub.ts'
import { asObject } from './json.ts'
import { contentId, type Gap, schemaVersion } from './messages.ts'
import type { Outgoing } from './module.ts'

/** Why a message was given up. */
export type GiveUpReason = 'queueFull' | 'messageTooLarge' | 'sendRefused'

interface Span {
  readonly fromMs: number
  readonly toMs: number
}

interface Entry {
  deviceId: string | undefined
  output: string
  reason: GiveUpReason
  fromMs: number
  toMs: number
  messages: number
}

/** Entries kept apart; what goes beyond is counted together, without a device. */
const entriesMax = 200

/** The time that the rows of a message cover; of a message without rows the moment at which it was given up. */
function spanOf({ body }: OutputMessage, nowMs: number): Span {
  const now = { fromMs: nowMs, toMs: nowMs }
  try {
    const readings = asObject(JSON.parse(body.toString('utf8')))?.['readings']
    if (!Array.isArray(readings)) return now
    const fromMs = Date.parse(String(asObject(readings[0])?.['timestamp']))
    const toMs = Date.parse(String(asObject(readings.at(-1))?.['timestamp']))
    return Number.isFinite(fromMs) && Number.isFinite(toMs) ? { fromMs, toMs } : now
  } catch {
    return now
  }
}

/** Counts the messages that a limit forced out, so that they can be named upstream in `gap` messages. */
export class GivenUp {
  readonly #entries = new Map<string, Entry>()

  get isEmpty(): boolean {
    return this.#entries.size === 0
  }

  add(message: OutputMessage, reason: GiveUpReason, nowMs: number): void {
    const named = message.properties['deviceId']
    const isFull = this.#entries.size >= entriesMax
    const nameKey = `${reason}|${message.output}|${named ?? ''}`
    const deviceId = isFull && !this.#entries.has(nameKey) ? undefined : named
    const key = `${reason}|${message.output}|${deviceId ?? ''}`
    const { fromMs, toMs } = spanOf(message, nowMs)
    const entry = this.#entries.get(key)
    if (entry === undefined) {
      this.#entries.set(key, { deviceId, output: message.output, reason, fromMs, toMs, messages: 1 })
      return
    }
    entry.messages += 1
    entry.fromMs = Math.min(entry.fromMs, fromMs)
    entry.toMs = Math.max(entry.toMs, toMs)
  }

  /** The messages that name what was counted; counting begins anew. */
  take(module: string): Outgoing[] {
    const entries = [...this.#entries.values()]
    this.#entries.clear()
    return entries.map(({ deviceId, output, reason, fromMs, toMs, messages }) => {
      const gap: Gap = {
        schemaVersion,
        kind: 'givenUp',
        ...(deviceId === undefined ? {} : { deviceId }),
        from: new Date(fromMs).toISOString(),
        to: new Date(toMs).toISOString(),
        messages,
        detail: `${module}: ${messages} ${messages === 1 ? 'message' : 'messages'} of output ${output} given up: ${reason}`,
      }
      const body = Buffer.from(JSON.stringify(gap))
      return {
        output: 'gaps',
        messageType: 'gap',
        messageId: contentId('gap', body),
        body,
        properties: deviceId === undefined ? {} : { deviceId },
      }
    })
  }
}
