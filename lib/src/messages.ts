/**
 * The messages that modules exchange: declared here once. The schemas are the contract (strict; `docs/messages.md` is
 * generated from them); `telemetry.ts` holds the tolerant reader of the hot path, held to the schema by a property test.
 */
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { idPattern } from './limits.ts'

export const schemaVersion = 1

export const messageTypes = [
  'telemetry',
  'event',
  'aggregate',
  'raw',
  'gap',
  'receipt',
  'anomaly',
  'capture',
  'alert',
  'label',
] as const
export type MessageType = (typeof messageTypes)[number]

/** Why a value is not good. Closed list; a signal named in a row's `quality` is never counted into a window. */
export const qualityReasons = {
  linkDown: 'The link to the device is closed or cannot be opened.',
  noAnswer: 'The device did not answer in time.',
  deviceError: 'The device answered with an exception or a bad status.',
  notFound: 'The address or node does not exist on the device.',
  checkFailed: 'An answer failed its check (CRC, length, order).',
  invalidValue: 'The device marks the value as invalid (NaN, 0x8000, 0xFFFF …).',
  outOfRange: 'The value is outside what is possible for the signal.',
  uncertain: 'The device itself calls the value uncertain.',
  stale: 'The value is older than it may be.',
} as const
export type QualityReason = keyof typeof qualityReasons

const id = z.string().regex(idPattern, 'must match ^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$')
const timestamp = z.iso.datetime({ precision: 3 }).meta({ description: 'ISO 8601, UTC, with milliseconds.' })
const version = z.literal(schemaVersion).meta({ description: 'Version of this contract.' })
const source = {
  deviceId: id.meta({ description: 'The device that was read.' }),
  deviceType: z.string().max(128).optional().meta({ description: 'Kind of device, from the configuration.' }),
  location: z.string().max(128).optional().meta({ description: 'Where the device stands, from the configuration.' }),
}
export const signalValue = z.union([z.number(), z.string().max(4096), z.boolean()])
export type SignalValue = number | string | boolean
const quality = z.enum(Object.keys(qualityReasons) as [QualityReason, ...QualityReason[]])

export const rowSchema = z.strictObject({
  timestamp,
  values: z.record(id, signalValue).meta({ description: 'Value by signal.' }),
  quality: z.record(id, quality).optional().meta({ description: 'Reason by signal that is not good.' }),
})
export type Row = z.infer<typeof rowSchema>

export const telemetrySchema = z
  .strictObject({
    schemaVersion: version,
    ...source,
    clockTrusted: z
      .boolean()
      .optional()
      .meta({ description: 'false: stamped before the system clock could be believed. Absent: true.' }),
    units: z
      .record(id, z.string().max(32))
      .optional()
      .meta({ description: 'Unit by signal; sent with the first message about a device and every ten minutes.' }),
    part: z
      .int()
      .min(1)
      .optional()
      .meta({ description: 'Number of this part, from 1, where rows too wide for one message were split by columns.' }),
    readings: z.array(rowSchema).min(1).meta({ description: 'Rows in the order in which they were read.' }),
  })
  .meta({ description: 'What a reader read: rows of one device.' })
export type Telemetry = z.infer<typeof telemetrySchema>

export const eventKinds = [
  'linkUp',
  'linkDown',
  'unitUp',
  'unitDown',
  'blockHealed',
  'registerForbidden',
  'writeDone',
  'writeRefused',
  'overrun',
] as const
export const eventSchema = z
  .strictObject({
    schemaVersion: version,
    kind: z.enum(eventKinds),
    timestamp,
    link: id.optional().meta({ description: 'The link concerned.' }),
    deviceId: id.optional().meta({ description: 'The device concerned.' }),
    signal: id.optional().meta({ description: 'The signal concerned.' }),
    by: z.string().max(256).optional().meta({ description: 'Who claims to have asked, for writes.' }),
    detail: z.string().max(2048).meta({ description: 'One sentence in plain words.' }),
  })
  .meta({ description: 'Link and unit state, blocks healed, writes done.' })
export type ReaderEvent = z.infer<typeof eventSchema>

export const aggregateFunctions = ['avg', 'min', 'max', 'std', 'last', 'peak', 'count'] as const
export type AggregateFunction = (typeof aggregateFunctions)[number]

export const aggregateRecordSchema = z
  .object({
    schemaVersion: version,
    ...source,
    window: z.string().meta({ description: 'Length of the window: `15s`, `1m`, `15m`, `1h`.' }),
    windowStart: timestamp.meta({ description: 'First instant of the window (included).' }),
    windowEnd: timestamp.meta({ description: 'End of the window (excluded).' }),
    revision: z.int().min(0).meta({ description: '0 for the first record of a window, counting up with corrections.' }),
    sampleCount: z.int().min(0).meta({ description: 'Rows with at least one good value.' }),
    badCount: z.int().min(0).meta({ description: 'Values that were not good.' }),
    clockTrusted: z.boolean().meta({ description: 'false where any row was stamped by an unbelievable clock.' }),
  })
  .catchall(signalValue)
  .meta({
    description:
      'A window of one device; `<function>_<signal>` holds the figures. `std_` is the sample standard deviation, absent below two values.',
  })
export type AggregateRecord = z.infer<typeof aggregateRecordSchema>
export const aggregateSchema = z.array(aggregateRecordSchema).min(1)

export const severities = ['info', 'warning', 'high', 'critical'] as const
export type Severity = (typeof severities)[number]

export const anomalySchema = z
  .strictObject({
    schemaVersion: version,
    anomalyId: z.string().meta({ description: 'Names the finding: the same for its return to normal.' }),
    ...source,
    signal: id,
    rule: id.meta({ description: 'The rule that found it.' }),
    detector: z.string().meta({ description: 'Kind of rule: `limits`, …' }),
    alertType: z.string().meta({ description: '`HIGH_TEMPERATURE`, …' }),
    severity: z.enum(severities),
    state: z.enum(['active', 'normal']),
    value: signalValue,
    unit: z.string().optional(),
    expected: z
      .strictObject({ low: z.number().optional(), high: z.number().optional() })
      .meta({ description: 'The band that was expected.' }),
    timestamp: timestamp.meta({ description: 'Time of the row that changed the state.' }),
    lastGood: z
      .strictObject({ value: signalValue, timestamp })
      .optional()
      .meta({ description: 'The last value inside the band, and when.' }),
    explanation: z.string().meta({ description: 'One sentence in plain words.' }),
  })
  .meta({ description: 'A finding of the detector.' })
export type Anomaly = z.infer<typeof anomalySchema>

export const alertSchema = z
  .strictObject({
    schemaVersion: version,
    alert: z.literal('anomaly').meta({ description: "Constant, for `$body.alert = 'anomaly'` in IoT Hub routes." }),
    alertId: z.string().meta({ description: 'Stable: the same over restarts and over the states of one alarm.' }),
    alertType: z.string(),
    severity: z.enum(severities),
    state: z.enum(['active', 'normal']),
    ...source,
    signal: id.optional().meta({ description: 'Absent where the alert is about the device as a whole.' }),
    value: signalValue.optional(),
    unit: z.string().optional(),
    timestamp,
    explanation: z.string(),
  })
  .meta({ description: 'An alarm on its way to people.' })
export type Alert = z.infer<typeof alertSchema>

export const rawSchema = z
  .strictObject({
    schemaVersion: version,
    ...source,
    captureId: z.string().meta({ description: 'Names the capture; its messages share it.' }),
    reason: z.string().max(256).meta({ description: 'Why the rows were captured.' }),
    readings: z.array(rowSchema).min(1).meta({ description: 'The rows as they were read.' }),
  })
  .meta({ description: 'Captured rows at full rate.' })
export type Raw = z.infer<typeof rawSchema>

export const gapKinds = ['deviceOffline', 'linkDown', 'messagesMissing', 'clockUntrusted', 'givenUp'] as const
export const gapSchema = z
  .strictObject({
    schemaVersion: version,
    kind: z.enum(gapKinds),
    deviceId: id.optional().meta({ description: 'The device concerned; absent where it is not known which.' }),
    signal: id.optional().meta({ description: 'The signal concerned; absent: all of the device.' }),
    from: timestamp.meta({ description: 'First instant without data.' }),
    to: timestamp.meta({ description: 'First instant with data again.' }),
    messages: z
      .int()
      .min(0)
      .optional()
      .meta({ description: 'Messages missing or given up, where they can be counted.' }),
    detail: z.string().max(2048).meta({ description: 'One sentence in plain words.' }),
  })
  .meta({ description: 'An interval without data, and why.' })
export type Gap = z.infer<typeof gapSchema>

export const captureSchema = z
  .strictObject({
    schemaVersion: version,
    captureId: z.string().meta({ description: 'Names the request; asking twice captures once.' }),
    deviceId: id,
    signals: z.array(id).min(1).optional().meta({ description: 'Signals wanted; absent: all of the device.' }),
    from: timestamp,
    to: timestamp,
    reason: z.string().max(256),
  })
  .meta({ description: 'A request for full-rate rows of a device.' })
export type Capture = z.infer<typeof captureSchema>

export const labelSchema = z
  .strictObject({
    schemaVersion: version,
    anomalyId: z.string(),
    deviceId: id,
    signal: id,
    verdict: z.enum(['falseAlarm', 'confirmed']),
    note: z.string().max(2048).optional(),
    by: z.string().max(256).meta({ description: 'Who says so, as claimed.' }),
    timestamp,
  })
  .meta({ description: "A technician's verdict on an alert." })
export type Label = z.infer<typeof labelSchema>

const trafficSchema = z.strictObject({
  messages: z.number(),
  bytes: z.number().meta({ description: 'As IoT Hub meters them: body, property names and values.' }),
  blocks: z.number().meta({ description: 'Billed blocks of 4 KiB.' }),
})
const savingSchema = z.strictObject({
  raw: trafficSchema.meta({ description: 'What would have been sent.' }),
  sent: trafficSchema.meta({ description: 'What was sent.' }),
  savedPct: trafficSchema.meta({ description: 'Per cent of `raw` that was not sent.' }),
})

export const receiptSchema = z
  .strictObject({
    schemaVersion: version,
    periodStart: timestamp.meta({ description: 'First instant of the period, by the clock of the gateway.' }),
    periodEnd: timestamp.meta({ description: 'End of the period.' }),
    windows: z.array(z.string()).meta({ description: 'Lengths of the windows in force at the end: `15s`, `1m`, …' }),
    units: z
      .record(id, z.record(id, z.string()))
      .meta({ description: 'Unit by signal, by device, as the readers name them.' }),
    rows: z.int().min(0).meta({ description: 'Rows that the readers sent.' }),
    values: z.int().min(0).meta({ description: 'Values in those rows.' }),
    messages: z.int().min(0).meta({ description: 'Messages that brought them.' }),
    records: z.int().min(0).meta({ description: 'Window records sent.' }),
    perRow: savingSchema.meta({ description: 'Against one hub message per row.' }),
    perMessage: savingSchema.meta({ description: "Against the readers' own messages sent upstream as they are." }),
  })
  .meta({ description: 'What the aggregator saved, once a day.' })
export type Receipt = z.infer<typeof receiptSchema>

/**
 * `messageId` that names the content: equal content gives an equal id on every try and after every restart.
 * @returns 22 characters of base64url (132 bits of SHA-256).
 */
export function contentId(messageType: MessageType, identity: string | Uint8Array): string {
  return createHash('sha256').update(messageType).update('\n').update(identity).digest('base64url').slice(0, 22)
}

/** Identity of a window record, as receivers and the hub stand-in compare it. */
export function recordIdentity(
  record: Pick<AggregateRecord, 'deviceId' | 'window' | 'windowStart' | 'revision'>,
): string {
  return `${record.deviceId}|${record.window}|${record.windowStart}|${record.revision}`
}

/** Application properties of a message that is wholly about one device. */
export function sourceProperties(source: {
  readonly deviceId: string
  readonly deviceType?: string | undefined
  readonly location?: string | undefined
}): Record<string, string> {
  return {
    deviceId: source.deviceId,
    ...(source.deviceType === undefined ? {} : { deviceType: source.deviceType }),
    ...(source.location === undefined ? {} : { location: source.location }),
  }
}
