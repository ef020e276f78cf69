import { isJsonObject } from '@weir/lib/json'
import { addTraffic, meteredBytes, noTraffic, type Traffic } from '@weir/lib/meter'
import { elementSpans } from './json-spans.ts'
import type { HubMessage } from './message.ts'

/** A module that sends a message again, because it missed the acknowledgement, is counted once for so many messages. */
const messageIdsMax = 20_000

export interface TelemetryCounts {
  rows: number
  values: number
  /** Each row sent to the hub alone: in the same envelope, with the same properties. */
  readonly perRow: Traffic
  /** The messages as they are. */
  readonly perMessage: Traffic
}

/**
 * Counts what the readers published, and what it would be upstream without Weir. A row that was split by columns into
 * parts is one row, and as many messages as parts: no hub message could hold it whole.
 */
export class TelemetryMeter {
  readonly counts: TelemetryCounts = { rows: 0, values: 0, perRow: noTraffic(), perMessage: noTraffic() }
  #recentIds = new Set<string>()
  #olderIds = new Set<string>()

  /** Takes a message that the edge hub stored; only `telemetry` counts, and what is malformed does not. */
  take(message: HubMessage): void {
    if (message.kind !== 'message' || message.properties['messageType'] !== 'telemetry') return
    if (this.#again(message)) return
    const rows = telemetryRows(message.body)
    if (rows === undefined) return
    const { counts } = this
    if (rows.part <= 1) counts.rows += rows.bytes.length
    counts.values += rows.values
    const { properties, systemProperties } = message
    addTraffic(counts.perMessage, meteredBytes(message.body.length, properties, systemProperties))
    const overhead = meteredBytes(rows.envelopeBytes, properties, systemProperties)
    for (const bytes of rows.bytes) addTraffic(counts.perRow, overhead + bytes)
  }

  #again({ moduleId, systemProperties }: HubMessage): boolean {
    const messageId = systemProperties['messageId']
    if (messageId === undefined) return false
    const key = `${moduleId}/${messageId}`
    if (this.#recentIds.has(key) || this.#olderIds.has(key)) return true
    if (this.#recentIds.size >= messageIdsMax) {
      this.#olderIds = this.#recentIds
      this.#recentIds = new Set()
    }
    this.#recentIds.add(key)
    return false
  }
}

interface TelemetryRows {
  readonly part: number
  readonly values: number
  /** Size of each row as it stands in the body. */
  readonly bytes: readonly number[]
  /** Size of the body with no row in it. */
  readonly envelopeBytes: number
}

function telemetryRows(body: Buffer): TelemetryRows | undefined {
  const telemetry = parseObject(body)
  const readings: unknown = telemetry?.['readings']
  if (!Array.isArray(readings) || readings.length === 0) return undefined
  const spans = elementSpans(body, 'readings')
  const first = spans[0]
  const last = spans.at(-1)
  if (first === undefined || last === undefined || spans.length !== readings.length) return undefined
  let values = 0
  for (const row of readings) {
    if (!isJsonObject(row) || !isJsonObject(row['values'])) return undefined
    values += Object.keys(row['values']).length
  }
  return {
    part: typeof telemetry?.['part'] === 'number' ? telemetry['part'] : 1,
    values,
    bytes: spans.map(({ start, end }) => end - start),
    envelopeBytes: body.length - (last.end - first.start),
  }
}

function parseObject(body: Buffer): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'))
    return isJsonObject(value) ? value : undefined
  } catch {
    return undefined
  }
}
