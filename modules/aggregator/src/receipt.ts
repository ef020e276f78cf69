/** The account of traffic: what would have been sent, and what was, as IoT Hub meters it. */
import { contentId, type Receipt, schemaVersion } from '@weir/lib/messages'
import { addTraffic, billedBlocks, meteredBytes, noTraffic, saving, type Traffic } from '@weir/lib/meter'
import type { Outgoing } from '@weir/lib/module'
import { systemProperties } from '@weir/lib/outbox'
import { z } from 'zod'

/** What the host adds to each message beside its own type: a session of 8 characters, and a number that grows. */
const hostProperties = { schemaVersion: String(schemaVersion), session: 'abcdefgh', sequence: '100000' }

/** Bytes of a message of this module as IoT Hub will meter them. */
export function outgoingBytes(outgoing: Outgoing, fixed: Readonly<Record<string, string>>): number {
  const properties = { ...fixed, ...outgoing.properties, messageType: outgoing.messageType, ...hostProperties }
  return meteredBytes(outgoing.body.length, properties, { ...systemProperties, messageId: outgoing.messageId })
}

/** Sizes of a `telemetry` message, in bytes. */
export interface ArrivalBytes {
  readonly body: number
  /** The body without its rows. */
  readonly envelope: number
  /** All properties, as IoT Hub meters them. */
  readonly properties: number
}

/**
 * Adds what `rows` rows would have been as a message each: every one with the envelope and the properties of the message
 * that brought them. Bytes are exact for JSON without white space; blocks count rows of one message as equally long.
 */
export function addPerRow(traffic: Traffic, arrival: ArrivalBytes, rows: number): void {
  if (rows === 0) return
  const commas = rows - 1
  const rowBytes = Math.max(0, arrival.body - arrival.envelope - commas)
  const bytes = rowBytes + rows * (arrival.envelope + arrival.properties)
  traffic.messages += rows
  traffic.bytes += bytes
  traffic.blocks += rows * billedBlocks(Math.ceil(bytes / rows))
}

const count = z.int().min(0)
const trafficSchema = z.strictObject({ messages: count, bytes: count, blocks: count })
const countsSchema = z.strictObject({
  /** Rows and values taken in `telemetry` messages, and those messages. */
  rows: count,
  values: count,
  messages: count,
  records: count,
  /** Baseline 1: each row as a message of its own. */
  perRow: trafficSchema,
  /** Baseline 2: the messages of the readers as they came. */
  perMessage: trafficSchema,
  /** Records and receipts. */
  sent: trafficSchema,
})
export type ReceiptCounts = z.infer<typeof countsSchema>
type ReadonlyCounts = { readonly [Name in keyof ReceiptCounts]: Readonly<ReceiptCounts[Name]> }

export const savedReceiptSchema = z.strictObject({
  total: countsSchema,
  period: countsSchema,
  /** Wall clock when the period began; null before the first tick. */
  periodStartMs: z.number().nullable(),
  /** The same in processing time. */
  periodSinceMs: z.number(),
})
export type SavedReceipt = z.infer<typeof savedReceiptSchema>

function noCounts(): ReceiptCounts {
  return {
    rows: 0,
    values: 0,
    messages: 0,
    records: 0,
    perRow: noTraffic(),
    perMessage: noTraffic(),
    sent: noTraffic(),
  }
}

/** What stands beside the figures. */
export interface Settings {
  /** Lengths of the windows in force: `15s`, `1m`. */
  readonly windows: readonly string[]
  /** Unit by signal, by device. */
  readonly units: Iterable<readonly [deviceId: string, units: Readonly<Record<string, string>>]>
}

const unitBytesMax = 128 * 1024

/** The devices whose units fit into a message; which those are stays the same as long as the devices do. */
function unitsThatFit(units: Settings['units']): Receipt['units'] {
  const fitting: [string, Readonly<Record<string, string>>][] = []
  let bytes = 0
  for (const [deviceId, named] of units) {
    bytes += Buffer.byteLength(JSON.stringify([deviceId, named]))
    if (bytes > unitBytesMax) break
    fitting.push([deviceId, named])
  }
  return Object.fromEntries(fitting)
}

const dayMs = 86_400_000
/** A clock that is set, or set back over midnight, must not make a receipt of minutes. */
const periodMsMin = 3_600_000

/** Counts by period and since the beginning; a period ends with the UTC day. */
export class ReceiptLedger {
  #saved: SavedReceipt

  constructor(saved: SavedReceipt = { total: noCounts(), period: noCounts(), periodStartMs: null, periodSinceMs: 0 }) {
    this.#saved = structuredClone(saved)
  }

  /** Goes on counting while it is looked at. */
  get total(): ReadonlyCounts {
    return this.#saved.total
  }

  took(arrival: ArrivalBytes, rows: number, values: number): void {
    for (const counts of [this.#saved.total, this.#saved.period]) {
      counts.messages += 1
      counts.rows += rows
      counts.values += values
      addTraffic(counts.perMessage, arrival.body + arrival.properties)
      addPerRow(counts.perRow, arrival, rows)
    }
  }

  sent(bytes: number, records: number): void {
    for (const counts of [this.#saved.total, this.#saved.period]) {
      counts.records += records
      addTraffic(counts.sent, bytes)
    }
  }

  /** The receipt of the period up to now. */
  current(wallMs: number, { windows, units }: Settings): Receipt {
    const { period, periodStartMs } = structuredClone(this.#saved)
    const { rows, values, messages, records } = period
    return {
      schemaVersion,
      periodStart: new Date(periodStartMs ?? wallMs).toISOString(),
      periodEnd: new Date(wallMs).toISOString(),
      windows: [...windows],
      units: unitsThatFit(units),
      rows,
      values,
      messages,
      records,
      perRow: saving(period.perRow, period.sent),
      perMessage: saving(period.perMessage, period.sent),
    }
  }

  /** true: `tick` would begin or end a period. */
  isDue(processingMs: number, wallMs: number): boolean {
    const { periodStartMs, periodSinceMs } = this.#saved
    if (periodStartMs === null) return true
    const sameDay = Math.floor(wallMs / dayMs) === Math.floor(periodStartMs / dayMs)
    return !sameDay && processingMs - periodSinceMs >= periodMsMin
  }

  /** Lets time pass; gives the receipt of the day that has ended, if one has, and begins the next. */
  tick(processingMs: number, wallMs: number, settings: () => Settings): Receipt | undefined {
    if (!this.isDue(processingMs, wallMs)) return undefined
    if (this.#saved.periodStartMs === null) {
      this.#saved.periodStartMs = wallMs
      this.#saved.periodSinceMs = processingMs
      return undefined
    }
    const receipt = this.current(wallMs, settings())
    this.#saved = { ...this.#saved, period: noCounts(), periodStartMs: wallMs, periodSinceMs: processingMs }
    return receipt
  }

  save(): SavedReceipt {
    return structuredClone(this.#saved)
  }
}

export function receiptMessage(receipt: Receipt): Outgoing {
  const body = Buffer.from(JSON.stringify(receipt))
  return { output: 'receipts', messageType: 'receipt', messageId: contentId('receipt', body), body, properties: {} }
}
