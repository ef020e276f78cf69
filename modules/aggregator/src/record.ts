import { type AggregateFunction, type AggregateRecord, type SignalValue, schemaVersion } from '@weir/lib/messages'
import type { AggregationRule } from './config.ts'
import type { Figures } from './statistics.ts'
import { type OpenWindow, windowLabel } from './window.ts'

/** Digits of `avg` and `std` where no decimals are set: more would only say how the rounding fell. */
const significantDigits = 9

/** Who a record is about. */
export interface Source {
  readonly deviceId: string
  readonly deviceType: string | undefined
  readonly location: string | undefined
}

/**
 * The record of a window as it goes upstream (`aggregateRecordSchema`).
 * @param signals Names by the numbers that the window's statistics use.
 * @param ruleFor Rule for a signal's number; a signal without one leaves no figures.
 */
export function makeRecord(
  source: Source,
  window: OpenWindow,
  signals: readonly string[],
  ruleFor: (signal: number) => AggregationRule | undefined,
): AggregateRecord {
  const record: AggregateRecord = {
    schemaVersion,
    deviceId: source.deviceId,
    ...(source.deviceType === undefined ? {} : { deviceType: source.deviceType }),
    ...(source.location === undefined ? {} : { location: source.location }),
    window: windowLabel(window.lengthMs),
    windowStart: new Date(window.startMs).toISOString(),
    windowEnd: new Date(window.endMs).toISOString(),
    revision: 0,
    sampleCount: window.samples,
    badCount: window.badValues,
    clockTrusted: window.clockTrusted,
  }
  signals.forEach((name, signal) => {
    const figures = window.statistics.figures(signal)
    const rule = figures === undefined ? undefined : ruleFor(signal)
    if (figures === undefined || rule === undefined) return
    for (const each of rule.functions) {
      const value = figure(figures, each, rule.decimals)
      if (value !== undefined) record[`${each}_${name}`] = value
    }
  })
  return record
}

function figure(figures: Figures, which: AggregateFunction, decimals: number | undefined): SignalValue | undefined {
  const value = figures[which]
  if (which === 'count' || typeof value !== 'number') return value
  // toFixed rounds the exact binary value, which scaling by a power of ten does not; it can answer "-0".
  if (decimals !== undefined) return Number(value.toFixed(decimals)) + 0
  return which === 'avg' || which === 'std' ? Number(value.toPrecision(significantDigits)) : value
}

/** A record on its way, as the text that will be sent. */
export interface RecordText {
  readonly json: string
  readonly bytes: number
  /** Figures left out because the record would not fit into a message. */
  readonly leftOut: number
}

/** @param bytesMax Longest text; figures that would exceed it are left out. */
export function recordText(record: AggregateRecord, bytesMax: number): RecordText {
  const json = JSON.stringify(record)
  const bytes = Buffer.byteLength(json)
  if (bytes <= bytesMax) return { json, bytes, leftOut: 0 }
  const kept: [string, SignalValue | undefined][] = []
  let keptBytes = 2
  let leftOut = 0
  for (const entry of Object.entries(record)) {
    const entryBytes = Buffer.byteLength(JSON.stringify(Object.fromEntries([entry]))) - 1
    const fits = keptBytes + entryBytes <= bytesMax
    if (fits) {
      kept.push(entry)
      keptBytes += entryBytes
    } else leftOut += 1
  }
  const shorter = JSON.stringify(Object.fromEntries(kept))
  return { json: shorter, bytes: Buffer.byteLength(shorter), leftOut }
}
