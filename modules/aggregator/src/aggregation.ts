import type { Receipt } from '@weir/lib/messages'
import type { DecodedTelemetry } from '@weir/lib/telemetry'
import { z } from 'zod'
import { Batch, type DecidedMessage, savedBatchSchema } from './batch.ts'
import { Delivery, type NumberedMessage, savedDeliverySchema } from './delivery.ts'
import {
  type ArrivalBytes,
  outgoingBytes,
  ReceiptLedger,
  receiptMessage,
  type Settings,
  savedReceiptSchema,
} from './receipt.ts'
import { RecentMessages, savedRecentSchema } from './recent.ts'
import { type AggregationConfig, savedConfigSchema, savedWindowsSchema } from './saved.ts'
import { windowLabel } from './window.ts'
import { type ClosedWindow, type Moment, type Refusal, WindowCore } from './window-core.ts'

/** A decoded `telemetry` message. */
export interface Arrival {
  readonly telemetry: DecodedTelemetry
  /** Rows of the message that the decoder kept out. */
  readonly rowsKeptOut: number
  /** Names the run of the sender. */
  readonly session: string
  /** Absent: a repeat of the message cannot be told from a new one. */
  readonly messageId: string | undefined
  readonly bytes: ArrivalBytes
}

export interface Decision {
  /** To be sent, in this order; what they hold is decided. */
  readonly messages: readonly DecidedMessage[]
  readonly refusals: readonly Refusal[]
  /** true: the message had come before and was not counted. */
  readonly duplicate: boolean
}

export const savedAggregationSchema = z.strictObject({
  config: savedConfigSchema,
  /** Processing time of the last input. */
  processingMs: z.number(),
  windows: savedWindowsSchema,
  batch: savedBatchSchema,
  recent: savedRecentSchema,
  receipt: savedReceiptSchema,
  repeats: z.strictObject({ messages: z.int().min(0), rows: z.int().min(0) }),
  delivery: savedDeliverySchema,
})
export type SavedAggregation = z.infer<typeof savedAggregationSchema>

/**
 * All that the aggregator decides: messages and time in, messages out. A deterministic state machine: the same inputs in
 * the same order decide the same messages with the same ids, whether or not `save` and `restore` came in between.
 */
export class Aggregation {
  #config: AggregationConfig
  readonly core: WindowCore
  readonly #batch: Batch
  readonly #recent: RecentMessages
  readonly #receipt: ReceiptLedger
  readonly #delivery: Delivery
  /** Messages, and their rows, that came again. */
  readonly repeats = { messages: 0, rows: 0 }
  #processingMs = 0

  /** @param saved Was saved under `config`. */
  constructor(config: AggregationConfig, saved?: SavedAggregation) {
    this.#config = config
    this.core = saved === undefined ? new WindowCore(config) : WindowCore.restore(config, saved.windows)
    this.#batch = saved === undefined ? new Batch(config.batch) : Batch.restore(config.batch, saved.batch)
    this.#recent = new RecentMessages(saved?.recent)
    this.#receipt = new ReceiptLedger(saved?.receipt)
    this.#delivery = new Delivery(saved?.delivery)
    if (saved === undefined) return
    Object.assign(this.repeats, saved.repeats)
    this.#processingMs = saved.processingMs
  }

  static restore(saved: SavedAggregation): Aggregation {
    return new Aggregation(saved.config, saved)
  }

  get config(): AggregationConfig {
    return this.#config
  }

  /** Processing time of the last input. */
  get processingMs(): number {
    return this.#processingMs
  }

  /** When waiting records must leave, in processing time: a tick is due then. */
  get dueMs(): number | undefined {
    return this.#batch.dueMs
  }

  /** Rows in records that wait for their message. */
  get rowsWaiting(): number {
    return this.#batch.accounted
  }

  get receipt(): ReceiptLedger {
    return this.#receipt
  }

  get messagesDecided(): number {
    return this.#delivery.decided
  }

  /** Messages decided of which `delivered` has not been called yet, oldest first. */
  get undelivered(): readonly NumberedMessage[] {
    return this.#delivery.undelivered
  }

  /** Rows in the last `queued` messages decided. */
  rowsUnsent(queued: number): number {
    return this.#delivery.rowsUnsent(queued)
  }

  /** What was taken, sent and saved in the day at hand. */
  receiptNow(wallMs: number): Receipt {
    return this.#receipt.current(wallMs, this.#settings())
  }

  telemetry(arrival: Arrival, now: Moment): Decision {
    const { telemetry, rowsKeptOut, messageId, session } = arrival
    this.#processingMs = now.processingMs
    if (messageId !== undefined && !this.#recent.add(session, messageId)) {
      this.repeats.messages += 1
      this.repeats.rows += telemetry.rows.length + rowsKeptOut
      return { messages: [], refusals: [], duplicate: true }
    }
    const rowsBefore = this.core.rows.taken
    const valuesBefore = this.core.values.taken
    this.core.refuseRows(rowsKeptOut)
    const { closed, refusals } = this.core.take(telemetry, now)
    const rows = this.core.rows.taken - rowsBefore
    this.#receipt.took(arrival.bytes, rows, this.core.values.taken - valuesBefore)
    return { messages: this.#decide(closed), refusals, duplicate: false }
  }

  /** true: `tick` would do something. Otherwise it changes nothing, and need not be called. */
  isDue(now: Moment): boolean {
    const { dueMs } = this
    if (dueMs !== undefined && now.processingMs >= dueMs) return true
    return this.#receipt.isDue(now.processingMs, now.wallMs) || this.core.isDue(now)
  }

  /** Lets time pass: idle devices close windows, waiting records leave, a day ends. To be called every second or so. */
  tick(now: Moment): Decision {
    this.#processingMs = now.processingMs
    const { closed, refusals } = this.core.tick(now)
    const messages = this.#decide(closed)
    const receipt = this.#receipt.tick(now.processingMs, now.wallMs, () => this.#settings())
    if (receipt !== undefined) {
      messages.push(this.#sent({ outgoing: receiptMessage(receipt), records: 0, accounted: 0, leftOut: 0 }))
    }
    return { messages, refusals, duplicate: false }
  }

  /** Windows that are open are finished under the old configuration. */
  configure(config: AggregationConfig): void {
    this.#config = config
    this.core.configure(config)
    this.#batch.configure(config.batch)
  }

  /** The host's queue keeps every message up to number `through`, and holds `queued` that the hub has not taken. */
  delivered(through: number, queued: number): void {
    this.#delivery.delivered(through, queued)
  }

  save(): SavedAggregation {
    return {
      config: this.#config,
      processingMs: this.#processingMs,
      windows: this.core.save(),
      batch: this.#batch.save(),
      recent: this.#recent.save(),
      receipt: this.#receipt.save(),
      repeats: { ...this.repeats },
      delivery: this.#delivery.save(),
    }
  }

  #settings(): Settings {
    const lengths = Object.values(this.#config.windows).map(({ lengthMs }) => lengthMs)
    return { windows: lengths.sort((a, b) => a - b).map(windowLabel), units: this.core.units() }
  }

  #decide(closed: readonly ClosedWindow[]): DecidedMessage[] {
    return this.#batch.add(closed, this.#processingMs).map((message) => this.#sent(message))
  }

  #sent(message: DecidedMessage): DecidedMessage {
    this.#delivery.decide(message)
    this.#receipt.sent(outgoingBytes(message.outgoing, this.#config.properties), message.records)
    return message
  }
}
