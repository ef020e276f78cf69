import { addTraffic, meteredBytes, noTraffic, type Traffic } from '@weir/lib/meter'
import { JsonScanner } from './json-scanner.ts'
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

const partName = Buffer.from('"part"')
const readingsName = Buffer.from('"readings"')
const valuesName = Buffer.from('"values"')

/** Undefined where the body is no JSON, has no rows, or a row without values. */
function telemetryRows(body: Buffer): TelemetryRows | undefined {
  const scanner = new JsonScanner(body)
  let part = 1
  let rows: RowSpans | undefined
  const isJson = scanner.document(() =>
    scanner.object((start, end) => {
      if (scanner.isName(start, end, readingsName)) {
        rows = readRows(scanner)
        return rows !== undefined
      }
      const valueStart = scanner.at
      if (!scanner.value()) return false
      if (scanner.isName(start, end, partName)) part = Number(body.toString('latin1', valueStart, scanner.at))
      return true
    }),
  )
  if (!isJson || rows === undefined || rows.bytes.length === 0) return undefined
  return { part, values: rows.values, bytes: rows.bytes, envelopeBytes: body.length - (rows.end - rows.start) }
}

interface RowSpans {
  readonly bytes: number[]
  /** From the first byte of the first row to the last of the last. */
  start: number
  end: number
  values: number
}

function readRows(scanner: JsonScanner): RowSpans | undefined {
  const rows: RowSpans = { bytes: [], start: 0, end: 0, values: 0 }
  const isArray = scanner.array(() => {
    const start = scanner.at
    let values = -1
    const isRow = scanner.object((nameStart, nameEnd) => {
      if (!scanner.isName(nameStart, nameEnd, valuesName) || !scanner.isObject) return scanner.value()
      values = 0
      return scanner.object(() => {
        values++
        return scanner.value()
      })
    })
    if (!isRow || values < 0) return false
    if (rows.bytes.length === 0) rows.start = start
    rows.bytes.push(scanner.at - start)
    rows.end = scanner.at
    rows.values += values
    return true
  })
  return isArray ? rows : undefined
}
