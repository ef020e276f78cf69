import { messageTypes } from '@weir/lib/messages'
import { z } from 'zod'
import type { DecidedMessage } from './batch.ts'

const count = z.int().min(0)
const savedMessageSchema = z.strictObject({
  number: count,
  output: z.string(),
  messageType: z.enum(messageTypes),
  messageId: z.string(),
  /** JSON text. */
  body: z.string(),
  properties: z.record(z.string(), z.string()),
  records: count,
  accounted: count,
})
export const savedDeliverySchema = z.strictObject({
  decided: count,
  undelivered: z.array(savedMessageSchema),
  rows: z.array(count),
})
export type SavedDelivery = z.infer<typeof savedDeliverySchema>

/** A message and its number, from 1 in the order of decision. */
export interface NumberedMessage {
  readonly number: number
  readonly message: DecidedMessage
}

/**
 * What became of the messages that were decided: whether the host's queue has them for good, and, since that queue is
 * first in, first out, whether the hub has.
 */
export class Delivery {
  #decided: number
  #undelivered: NumberedMessage[]
  /** Rows that the last messages decided answer for, oldest first; those the hub has are taken out now and then. */
  #rows: number[]

  constructor(saved: SavedDelivery = { decided: 0, undelivered: [], rows: [] }) {
    this.#decided = saved.decided
    this.#rows = [...saved.rows]
    this.#undelivered = saved.undelivered.map(({ number, body, records, accounted, ...outgoing }) => ({
      number,
      message: { outgoing: { ...outgoing, body: Buffer.from(body) }, records, accounted, leftOut: 0 },
    }))
  }

  /** How many messages were decided. */
  get decided(): number {
    return this.#decided
  }

  /** Messages of which it is not certain that the host's queue keeps them: after a restart they go again. */
  get undelivered(): readonly NumberedMessage[] {
    return this.#undelivered
  }

  decide(message: DecidedMessage): void {
    this.#decided += 1
    this.#undelivered.push({ number: this.#decided, message })
    this.#rows.push(message.accounted)
  }

  /** The host's queue keeps every message up to number `through`, and holds `queued` that the hub has not taken. */
  delivered(through: number, queued: number): void {
    this.#undelivered = this.#undelivered.filter(({ number }) => number > through)
    this.#rows = this.#rows.slice(Math.max(0, this.#rows.length - queued))
  }

  /** Rows in the last `queued` messages. */
  rowsUnsent(queued: number): number {
    return this.#rows.slice(Math.max(0, this.#rows.length - queued)).reduce((sum, rows) => sum + rows, 0)
  }

  save(): SavedDelivery {
    const undelivered = this.#undelivered.map(({ number, message }) => {
      const { output, messageType, messageId, body, properties } = message.outgoing
      const { records, accounted } = message
      return {
        number,
        output,
        messageType,
        messageId,
        body: body.toString(),
        properties: { ...properties },
        records,
        accounted,
      }
    })
    return { decided: this.#decided, undelivered, rows: [...this.#rows] }
  }
}
