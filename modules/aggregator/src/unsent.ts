import { messageTypes } from '@weir/lib/messages'
import { z } from 'zod'
import type { DecidedMessage } from './batch.ts'

const savedMessageSchema = z.strictObject({
  output: z.string(),
  messageType: z.enum(messageTypes),
  messageId: z.string(),
  /** JSON text. */
  body: z.string(),
  properties: z.record(z.string(), z.string()),
  records: z.int().min(0),
  accounted: z.int().min(0),
})
export const savedUnsentSchema = z.array(savedMessageSchema)
export type SavedUnsent = z.infer<typeof savedUnsentSchema>

/**
 * Messages that were handed to the host and that the hub may not have taken. The host's queue is first in, first out, so
 * what it still holds is what was published last.
 */
export class UnsentMessages {
  #messages: DecidedMessage[] = []

  add(message: DecidedMessage): void {
    this.#messages.push(message)
  }

  /** Forgets what the hub has taken. @param queued Messages that the host still holds. */
  settle(queued: number): void {
    const sent = this.#messages.length - queued
    if (sent > 0) this.#messages = this.#messages.slice(sent)
  }

  /** Rows that the records in these messages answer for. */
  get rows(): number {
    return this.#messages.reduce((sum, { accounted }) => sum + accounted, 0)
  }

  save(): SavedUnsent {
    return this.#messages.map(({ outgoing, records, accounted }) => {
      const { output, messageType, messageId, body, properties } = outgoing
      return {
        output,
        messageType,
        messageId,
        body: body.toString(),
        properties: { ...properties },
        records,
        accounted,
      }
    })
  }
}

/** The messages as they were decided: sent again, each has the id that it had. */
export function restoreUnsent(saved: SavedUnsent): DecidedMessage[] {
  return saved.map(({ body, records, accounted, ...outgoing }) => ({
    outgoing: { ...outgoing, body: Buffer.from(body) },
    records,
    accounted,
    leftOut: 0,
  }))
}
