import { aggregateSchema, alertSchema, type Telemetry, telemetrySchema } from '@weir/lib/messages'
import { type CloudMessage, messageTypeOf } from '@weir/simulator/cloud/cloud-message'
import type { z } from 'zod'
import {
  crossingsOf,
  distinctMessages,
  doubledAlertProblems,
  doubledRecordProblems,
  type HighLimit,
  missingAlertProblems,
  type RowsElsewhere,
  rowProblems,
  rowsOf,
  sequenceProblems,
  windowProblems,
} from './invariants.ts'

/** The rule of the manifest's detector. */
const highTemperature: HighLimit & { alertType: string } = {
  signal: 'temperature',
  high: 80,
  deadband: 2,
  alertType: 'HIGH_TEMPERATURE',
}

export interface ExamineOptions {
  readonly elsewhere: RowsElsewhere
  readonly windowMs: number
  /** What the edge hub took from the reader, in its order. Default: the `telemetry` among what arrived. */
  readonly telemetry?: readonly Telemetry[]
  /** How many messages may have died with a reader: those in flight, and those not yet sent. */
  readonly readerTailMax: number
}

/** What was found wrong, by guarantee. */
export interface Findings {
  readonly windows: readonly string[]
  readonly doubledRecords: readonly string[]
  readonly rows: readonly string[]
  readonly missingAlerts: readonly string[]
  readonly doubledAlerts: readonly string[]
  readonly sequences: readonly string[]
  /** How much there was to find something in. */
  readonly seen: {
    readonly rows: number
    readonly records: number
    readonly crossings: number
    readonly alerts: number
    readonly redelivered: number
  }
}

function bodies<Schema extends z.ZodType>(
  messages: readonly CloudMessage[],
  messageType: string,
  schema: Schema,
): z.infer<Schema>[] {
  return messages
    .filter((message) => messageTypeOf(message) === messageType)
    .map(({ body }) => schema.parse(JSON.parse(body.toString('utf8'))))
}

/**
 * Holds what arrived against what the edge hub took from the reader.
 * @param arrived All messages at the hub stand-in, in their order.
 */
export function examine(arrived: readonly CloudMessage[], options: ExamineOptions): Findings {
  const { elsewhere, windowMs, readerTailMax } = options
  const messages = distinctMessages(arrived)
  const telemetry = options.telemetry ?? bodies(messages, 'telemetry', telemetrySchema)
  const rows = rowsOf(telemetry)
  const records = bodies(messages, 'aggregate', aggregateSchema).flat()
  const crossings = crossingsOf(telemetry, highTemperature)
  const alerts = bodies(messages, 'alert', alertSchema)
  const ofRule = alerts.filter(({ alertType }) => alertType === highTemperature.alertType)
  const isTelemetry = (message: CloudMessage): boolean => messageTypeOf(message) === 'telemetry'
  // Repeats too: what was sent before by another session counts in both.
  const fromReader = arrived.filter(isTelemetry)
  const fromOthers = arrived.filter((message) => !isTelemetry(message))
  return {
    windows: windowProblems(rows, records, windowMs),
    doubledRecords: doubledRecordProblems(records),
    rows: rowProblems(rows, records, windowMs, elsewhere),
    missingAlerts: missingAlertProblems(crossings, ofRule),
    doubledAlerts: doubledAlertProblems(alerts),
    sequences: [...sequenceProblems(fromReader, readerTailMax), ...sequenceProblems(fromOthers, 0)],
    seen: {
      rows: rows.length,
      records: records.length,
      crossings: crossings.length,
      alerts: alerts.length,
      redelivered: arrived.length - messages.length,
    },
  }
}

export function allProblems({ seen: _, ...byGuarantee }: Findings): string[] {
  return Object.values(byGuarantee).flat()
}
