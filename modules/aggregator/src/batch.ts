import { messageBytesMax } from '@weir/lib/limits'
import { type AggregateRecord, contentId, recordIdentity, type SignalValue } from '@weir/lib/messages'
import type { Outgoing } from '@weir/lib/module'
import { z } from 'zod'
import { type RecordText, recordText } from './record.ts'
import type { ClosedWindow } from './window-core.ts'

/** Room for properties in a message: the host's own, and 16 fixed ones of 64 and 256 characters of up to 4 bytes. */
const propertyBytesMax = 24 * 1024
/** Longest body. */
export const bodyBytesMax = messageBytesMax - propertyBytesMax
const bracketBytes = 2

export interface BatchLimits {
  readonly maxDelayMs: number
  readonly recordsMax: number
}

/** A message whose content is decided. */
export interface DecidedMessage {
  readonly outgoing: Outgoing
  readonly records: number
  /** Rows that its records answer for. */
  readonly accounted: number
  /** Figures that did not fit. */
  readonly leftOut: number
}

interface Waiting extends ClosedWindow {
  readonly text: RecordText
}

const signalValue = z.union([z.number(), z.string(), z.boolean()])
export const savedBatchSchema = z.strictObject({
  /** When the oldest record began to wait, in processing time; 0 while none waits. */
  sinceMs: z.number(),
  waiting: z.array(z.strictObject({ record: z.record(z.string(), signalValue), accounted: z.int().min(0) })),
})
export type SavedBatch = z.infer<typeof savedBatchSchema>

/** Lets records wait for others to share a message with. A pure state machine in processing time. */
export class Batch {
  #limits: BatchLimits
  #waiting: Waiting[] = []
  #bytes = 0
  #sinceMs = 0

  constructor(limits: BatchLimits) {
    this.#limits = limits
  }

  /** Rows that the waiting records answer for. */
  get accounted(): number {
    return this.#waiting.reduce((sum, { accounted }) => sum + accounted, 0)
  }

  /** When the waiting records must leave, in processing time; undefined while none waits. */
  get dueMs(): number | undefined {
    return this.#waiting.length === 0 ? undefined : this.#sinceMs + this.#limits.maxDelayMs
  }

  configure(limits: BatchLimits): void {
    this.#limits = limits
  }

  /** Takes records, and gives the messages that are full or due. */
  add(closed: readonly ClosedWindow[], processingMs: number): DecidedMessage[] {
    const messages: DecidedMessage[] = []
    for (const each of closed) {
      const text = recordText(each.record, bodyBytesMax - bracketBytes)
      const full = this.#waiting.length >= this.#limits.recordsMax || this.#bytes + text.bytes > bodyBytesMax
      if (full && this.#waiting.length > 0) messages.push(this.#decide())
      this.#push({ ...each, text }, processingMs)
    }
    return [...messages, ...this.due(processingMs)]
  }

  /** The message of the records that have waited long enough, if any. */
  due(processingMs: number): DecidedMessage[] {
    const { dueMs } = this
    return dueMs === undefined || processingMs < dueMs ? [] : [this.#decide()]
  }

  save(): SavedBatch {
    const waiting = this.#waiting.map(({ record, accounted }) => ({ record: { ...record }, accounted }))
    return { sinceMs: waiting.length === 0 ? 0 : this.#sinceMs, waiting }
  }

  static restore(limits: BatchLimits, saved: SavedBatch): Batch {
    const batch = new Batch(limits)
    for (const { record, accounted } of saved.waiting) {
      const known = record as Record<string, SignalValue> as AggregateRecord
      batch.#push({ record: known, accounted, text: recordText(known, bodyBytesMax - bracketBytes) }, saved.sinceMs)
    }
    return batch
  }

  #push(waiting: Waiting, processingMs: number): void {
    if (this.#waiting.length === 0) {
      this.#sinceMs = processingMs
      this.#bytes = bracketBytes
    }
    this.#waiting.push(waiting)
    this.#bytes += waiting.text.bytes + 1
  }

  #decide(): DecidedMessage {
    const decided = messageOf(this.#waiting)
    this.#waiting = []
    this.#bytes = 0
    return decided
  }
}

function messageOf(waiting: readonly Waiting[]): DecidedMessage {
  const identities = waiting.map(({ record }) => recordIdentity(record)).sort()
  return {
    outgoing: {
      output: 'aggregates',
      messageType: 'aggregate',
      messageId: contentId('aggregate', identities.join('\n')),
      body: Buffer.from(`[${waiting.map(({ text }) => text.json).join(',')}]`),
      properties: sharedProperties(waiting),
    },
    records: waiting.length,
    accounted: waiting.reduce((sum, { accounted }) => sum + accounted, 0),
    leftOut: waiting.reduce((sum, { text }) => sum + text.leftOut, 0),
  }
}

/** What all records have in common, so that a route can go by it without reading the body. */
function sharedProperties(waiting: readonly Waiting[]): Record<string, string> {
  const properties: Record<string, string> = {}
  for (const name of ['deviceId', 'deviceType', 'location'] as const) {
    const value = waiting[0]?.record[name]
    if (value !== undefined && waiting.every(({ record }) => record[name] === value)) properties[name] = value
  }
  return properties
}
