/**
 * Reader and writer of `telemetry` messages. The reader is tolerant where the schema of messages.ts is strict: it keeps the
 * good rows and values of a message and counts the rest by reason. Whatever the schema takes, it reads whole.
 */
import { errorText } from './errors.ts'
import { asObject, isJsonObject, type JsonObject, type JsonValue } from './json.ts'
import { believableTimestampMsMax, believableTimestampMsMin, idPattern, messageBytesMax } from './limits.ts'
import { type QualityReason, qualityReasons, type Row, type SignalValue, schemaVersion } from './messages.ts'
import { parseTimestamp } from './timestamp.ts'

/** Why a message, a row or a value is kept out. */
export type TelemetryFault =
  | 'malformedJson'
  | 'unknownSchema'
  | 'missingField'
  | 'wrongType'
  | 'badTimestamp'
  | 'notFinite'
  | 'badName'
  | 'tooLarge'

export interface BadSignal {
  readonly signal: string
  readonly reason: QualityReason
  /** What the device gave all the same. */
  readonly value: SignalValue | undefined
}

export interface DecodedRow {
  readonly timestampMs: number
  /** Signals with a good value, and the values in the same order. Rows may share one list of names. */
  readonly signals: readonly string[]
  readonly values: readonly SignalValue[]
  readonly bad: readonly BadSignal[]
}

export interface DecodedTelemetry {
  readonly deviceId: string
  readonly deviceType: string | undefined
  readonly location: string | undefined
  readonly clockTrusted: boolean
  readonly part: number | undefined
  /** Unit by signal; undefined where the message names none. */
  readonly units?: Readonly<Record<string, string>> | undefined
  readonly rows: readonly DecodedRow[]
}

export interface KeptOut {
  readonly reason: TelemetryFault
  /** Rows or values kept out for this reason. */
  readonly count: number
  /** The first of them, in words. */
  readonly detail: string
}

/** A message read as far as it could be, or the reason why nothing of it could. */
export type TelemetryReading =
  | {
      readonly telemetry: DecodedTelemetry
      readonly keptOut: readonly KeptOut[]
      /** Rows of the message that are not in `telemetry`. */
      readonly rowsKeptOut: number
    }
  | { readonly reason: TelemetryFault; readonly detail: string }

const stringCharsMax = 4096
const labelCharsMax = 128
const noBad: readonly BadSignal[] = []
const noneKeptOut: readonly KeptOut[] = []

/** What is kept out of one message; most have nothing, so the map is made late. */
class Tally {
  #entries: Map<TelemetryFault, { count: number; detail: string }> | undefined

  /** `detail` is made into words only for the first of a reason. */
  add(reason: TelemetryFault, detail: () => string): void {
    this.#entries ??= new Map()
    const entry = this.#entries.get(reason)
    if (entry === undefined) this.#entries.set(reason, { count: 1, detail: detail() })
    else entry.count += 1
  }

  list(): readonly KeptOut[] {
    if (this.#entries === undefined) return noneKeptOut
    return [...this.#entries].map(([reason, entry]) => ({ reason, ...entry }))
  }
}

/** Reads the body of a `telemetry` message. Never throws. */
export function decodeTelemetry(body: Buffer): TelemetryReading {
  if (body.length > messageBytesMax) {
    return { reason: 'tooLarge', detail: `body: ${body.length} bytes exceed ${messageBytesMax}` }
  }
  let value: unknown
  try {
    value = JSON.parse(body.toString('utf8'))
  } catch (error) {
    return { reason: 'malformedJson', detail: `body: ${errorText(error)}` }
  }
  return readTelemetry(value)
}

/** Reads the parsed body of a `telemetry` message. Never throws. */
export function readTelemetry(value: unknown): TelemetryReading {
  if (!isJsonObject(value)) return { reason: 'wrongType', detail: 'body: must be an object' }
  const version = value['schemaVersion']
  if (version === undefined) return { reason: 'missingField', detail: 'schemaVersion: missing' }
  if (version !== schemaVersion) {
    return { reason: 'unknownSchema', detail: `schemaVersion: ${show(version)} is not ${schemaVersion}` }
  }
  const deviceId = value['deviceId']
  if (deviceId === undefined) return { reason: 'missingField', detail: 'deviceId: missing' }
  if (typeof deviceId !== 'string' || !idPattern.test(deviceId)) {
    return { reason: 'badName', detail: `deviceId: ${show(deviceId)} must match ${idPattern.source}` }
  }
  const readings = value['readings']
  if (readings === undefined) return { reason: 'missingField', detail: `${deviceId}: readings: missing` }
  if (!Array.isArray(readings)) return { reason: 'wrongType', detail: `${deviceId}: readings: must be a list` }
  const tally = new Tally()
  const clockTrusted = value['clockTrusted'] !== false
  // A clock that was never set counts from 1970; a reader that knows it says so, and its rows are kept.
  const rows = readRows(readings, deviceId, clockTrusted ? believableTimestampMsMin : 0, tally)
  const telemetry = {
    deviceId,
    deviceType: readLabel(value, 'deviceType', tally),
    location: readLabel(value, 'location', tally),
    clockTrusted,
    part: typeof value['part'] === 'number' ? value['part'] : undefined,
    units: readUnits(value['units'], tally),
    rows,
  }
  return { telemetry, keptOut: tally.list(), rowsKeptOut: readings.length - rows.length }
}

function readLabel(value: JsonObject, key: string, tally: Tally): string | undefined {
  const label = value[key]
  if (label === undefined) return undefined
  if (typeof label === 'string' && label.length <= labelCharsMax) return label
  tally.add(typeof label === 'string' ? 'tooLarge' : 'wrongType', () => `${key}: ${show(label)}`)
  return undefined
}

function readUnits(value: JsonValue | undefined, tally: Tally): Readonly<Record<string, string>> | undefined {
  if (value === undefined) return undefined
  const good = Object.entries(asObject(value) ?? {}).filter((entry): entry is [string, string] => {
    const [signal, unit] = entry
    const fault = idPattern.test(signal) ? (typeof unit === 'string' ? undefined : 'wrongType') : 'badName'
    if (fault !== undefined) tally.add(fault, () => `unit of ${show(signal)}: ${show(unit)}`)
    return fault === undefined
  })
  return Object.fromEntries(good)
}

function readRows(readings: readonly unknown[], deviceId: string, timestampMsMin: number, tally: Tally): DecodedRow[] {
  const rows: DecodedRow[] = []
  let checked: readonly string[] = []
  for (const reading of readings) {
    if (!isJsonObject(reading)) {
      tally.add('wrongType', () => `${deviceId}: a row is ${show(reading)}, not an object`)
      continue
    }
    const timestampMs = readTimestamp(reading['timestamp'], deviceId, timestampMsMin, tally)
    const values = reading['values']
    if (timestampMs === undefined) continue
    if (!isJsonObject(values)) {
      tally.add(values === undefined ? 'missingField' : 'wrongType', () => `${deviceId}: values: ${show(values)}`)
      continue
    }
    let signals: readonly string[] = Object.keys(values)
    // Rows of a device mostly have the same signals: names found good once are not looked at again, and are shared.
    if (sameNames(signals, checked)) signals = checked
    else if (signals.every((signal) => idPattern.test(signal))) checked = signals
    const row =
      signals === checked && reading['quality'] === undefined ? readGoodRow(timestampMs, signals, values) : undefined
    rows.push(row ?? readMixedRow(timestampMs, values, reading['quality'], deviceId, tally))
  }
  return rows
}

function sameNames(a: readonly string[], b: readonly string[]): boolean {
  if (a.length !== b.length) return false
  for (let index = 0; index < a.length; index++) if (a[index] !== b[index]) return false
  return true
}

/** A row without anything bad in it; undefined where there is. */
function readGoodRow(timestampMs: number, signals: readonly string[], values: JsonObject): DecodedRow | undefined {
  const good: SignalValue[] = []
  for (const signal of signals) {
    const value = values[signal]
    if (typeof value === 'number' ? !Number.isFinite(value) : !isOtherValue(value)) return undefined
    good.push(value as SignalValue)
  }
  return { timestampMs, signals, values: good, bad: noBad }
}

function isOtherValue(value: JsonValue | undefined): boolean {
  return typeof value === 'boolean' || (typeof value === 'string' && value.length <= stringCharsMax)
}

function readMixedRow(
  timestampMs: number,
  values: JsonObject,
  quality: JsonValue | undefined,
  deviceId: string,
  tally: Tally,
): DecodedRow {
  const reasons = new Map(Object.entries(asObject(quality) ?? {}))
  if (quality !== undefined && !isJsonObject(quality)) {
    tally.add('wrongType', () => `${deviceId}: quality: ${show(quality)} is not an object`)
  }
  const signals: string[] = []
  const good: SignalValue[] = []
  const given = new Map<string, SignalValue>()
  for (const [signal, value] of Object.entries(values)) {
    const fault = idPattern.test(signal) ? valueFault(value) : 'badName'
    if (fault !== undefined) tally.add(fault, () => `${deviceId}/${show(signal)}: ${show(value)}`)
    else if (reasons.has(signal)) given.set(signal, value as SignalValue)
    else {
      signals.push(signal)
      good.push(value as SignalValue)
    }
  }
  const bad: BadSignal[] = []
  for (const [signal, reason] of reasons) {
    if (!idPattern.test(signal)) tally.add('badName', () => `${deviceId}: quality of ${show(signal)}`)
    else bad.push({ signal, reason: readReason(reason, `${deviceId}/${signal}`, tally), value: given.get(signal) })
  }
  return { timestampMs, signals, values: good, bad }
}

/** A reason outside the list still says that the value is not good. */
function readReason(reason: JsonValue, place: string, tally: Tally): QualityReason {
  if (typeof reason === 'string' && Object.hasOwn(qualityReasons, reason)) return reason as QualityReason
  tally.add('wrongType', () => `${place}: quality ${show(reason)} is not in the list`)
  return 'uncertain'
}

function valueFault(value: JsonValue): TelemetryFault | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? undefined : 'notFinite'
  if (isOtherValue(value)) return undefined
  return typeof value === 'string' ? 'tooLarge' : 'wrongType'
}

function readTimestamp(
  value: JsonValue | undefined,
  deviceId: string,
  timestampMsMin: number,
  tally: Tally,
): number | undefined {
  if (value === undefined) {
    tally.add('missingField', () => `${deviceId}: timestamp: missing`)
    return undefined
  }
  const timestampMs = typeof value === 'string' ? parseTimestamp(value) : Number.NaN
  if (timestampMs >= timestampMsMin && timestampMs < believableTimestampMsMax) return timestampMs
  tally.add('badTimestamp', () => `${deviceId}: timestamp: ${show(value)} is no UTC time from 2024 to 2099`)
  return undefined
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? 'missing'
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}

/** What the rows of a message have in common. */
export interface TelemetryHeader {
  readonly deviceId: string
  readonly deviceType?: string | undefined
  readonly location?: string | undefined
  /** false is written, true left out. */
  readonly clockTrusted?: boolean | undefined
  /** Unit by signal. */
  readonly units?: Readonly<Record<string, string>> | undefined
}

export interface TelemetryBody {
  readonly body: Buffer
  readonly rows: number
  /** From 1, where a row too wide for one message was split by columns; goes into the property `part` too. */
  readonly part: number | undefined
}

/** Left free for the properties of a message. */
const propertyBytes = 8 * 1024
export const telemetryBodyBytesMax = messageBytesMax - propertyBytes

/**
 * Bodies of `telemetry` messages with these rows, in their order, each at most `bytesMax` long; a row that is too wide by
 * itself is split by columns into parts. No rows, no bodies.
 */
export function encodeTelemetry(
  header: TelemetryHeader,
  rows: readonly Row[],
  bytesMax = telemetryBodyBytesMax,
): TelemetryBody[] {
  const bodies: TelemetryBody[] = []
  const roomBytes = bytesMax - Buffer.byteLength(frame(header, Number.MAX_SAFE_INTEGER, ''))
  let texts: string[] = []
  let bytes = 0
  const flush = () => {
    if (texts.length > 0)
      bodies.push({ body: frameBody(header, undefined, texts), rows: texts.length, part: undefined })
    texts = []
    bytes = 0
  }
  for (const row of rows) {
    const text = JSON.stringify(row)
    const rowBytes = Buffer.byteLength(text) + 1
    if (bytes + rowBytes > roomBytes) flush()
    if (rowBytes > roomBytes) {
      for (const [index, piece] of splitRow(row, roomBytes).entries()) {
        bodies.push({ body: frameBody(header, index + 1, [JSON.stringify(piece)]), rows: 1, part: index + 1 })
      }
      continue
    }
    texts.push(text)
    bytes += rowBytes
  }
  flush()
  return bodies
}

function frame(header: TelemetryHeader, part: number | undefined, rows: string): string {
  const { deviceId, deviceType, location, clockTrusted, units } = header
  const head = JSON.stringify({
    schemaVersion,
    deviceId,
    deviceType,
    location,
    clockTrusted: clockTrusted === false ? false : undefined,
    part,
    units,
  })
  return `${head.slice(0, -1)},"readings":[${rows}]}`
}

function frameBody(header: TelemetryHeader, part: number | undefined, texts: readonly string[]): Buffer {
  return Buffer.from(frame(header, part, texts.join(',')))
}

/** Splits a row by columns into rows of at most `roomBytes`; a signal's quality goes with its value. */
function splitRow(row: Row, roomBytes: number): Row[] {
  const pieces: Row[] = []
  const emptyBytes = Buffer.byteLength(JSON.stringify({ timestamp: row.timestamp, values: {}, quality: {} }))
  let values = new Map<string, SignalValue>()
  let quality = new Map<string, QualityReason>()
  let bytes = emptyBytes
  const flush = () => {
    const piece = { timestamp: row.timestamp, values: Object.fromEntries(values) }
    pieces.push(quality.size > 0 ? { ...piece, quality: Object.fromEntries(quality) } : piece)
    values = new Map()
    quality = new Map()
    bytes = emptyBytes
  }
  for (const signal of new Set([...Object.keys(row.values), ...Object.keys(row.quality ?? {})])) {
    const value = Object.hasOwn(row.values, signal) ? row.values[signal] : undefined
    const reason = row.quality !== undefined && Object.hasOwn(row.quality, signal) ? row.quality[signal] : undefined
    // Both stand with the name, a colon and a comma.
    const signalBytes = Buffer.byteLength(JSON.stringify([signal, value ?? 0, signal, reason ?? 0]))
    if (bytes + signalBytes > roomBytes && values.size + quality.size > 0) flush()
    if (value !== undefined) values.set(signal, value)
    if (reason !== undefined) quality.set(signal, reason)
    bytes += signalBytes
  }
  flush()
  return pieces
}
