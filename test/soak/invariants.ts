/**
 * What must hold of a run, whatever died in it: pure functions over what reached the hub stand-in. Each gives the
 * problems it found as sentences, none where all is well.
 */
import { windowLabel } from '@weir/aggregator/window'
import { type AggregateRecord, type Alert, recordIdentity, type Telemetry } from '@weir/lib/messages'
import type { CloudMessage } from '@weir/simulator/cloud/cloud-message'

export type Arrived = Pick<CloudMessage, 'moduleId' | 'properties' | 'systemProperties' | 'body'>

/** A row of `telemetry` that the edge hub acknowledged. */
export interface TakenRow {
  readonly deviceId: string
  readonly timestampMs: number
  /** Has at least one good value. */
  readonly isGood: boolean
}

/** The aggregator's own account of the rows that are in no record. */
export interface RowsElsewhere {
  readonly late: number
  readonly bad: number
  readonly refused: number
  /** In open windows, and in records that have not left. */
  readonly kept: number
}

/** A rule of the detector: `high`, and how far a value must come back. */
export interface HighLimit {
  readonly signal: string
  readonly high: number
  readonly deadband: number
}

/** A signal passed its limit, or came back. */
export interface Crossing {
  readonly deviceId: string
  readonly signal: string
  readonly state: 'active' | 'normal'
  readonly timestamp: string
}

/** Without the messages whose `messageId` was there before: receivers drop those. */
export function distinctMessages<Message extends Arrived>(messages: readonly Message[]): Message[] {
  const seen = new Set<string>()
  return messages.filter(({ systemProperties: { messageId } }) => {
    if (messageId === undefined) return true
    if (seen.has(messageId)) return false
    seen.add(messageId)
    return true
  })
}

export function rowsOf(telemetry: readonly Telemetry[]): TakenRow[] {
  return telemetry.flatMap(({ deviceId, part = 1, readings }) =>
    part > 1
      ? []
      : readings.map(({ timestamp, values }) => ({
          deviceId,
          timestampMs: Date.parse(timestamp),
          isGood: Object.keys(values).length > 0,
        })),
  )
}

function windowName(deviceId: string, startMs: number): string {
  return `${deviceId} ${new Date(startMs).toISOString()}`
}

/** Each window of `lengthMs` that holds a good row has a record, and no record holds rows that nobody sent. */
export function windowProblems(
  rows: readonly TakenRow[],
  records: readonly AggregateRecord[],
  lengthMs: number,
): string[] {
  const expected = new Map<string, number>()
  for (const { deviceId, timestampMs, isGood } of rows) {
    const name = windowName(deviceId, Math.floor(timestampMs / lengthMs) * lengthMs)
    expected.set(name, (expected.get(name) ?? 0) + (isGood ? 1 : 0))
  }
  const label = windowLabel(lengthMs)
  const counted = new Map<string, number>()
  for (const { deviceId, window, windowStart, sampleCount } of records) {
    if (window === label) counted.set(windowName(deviceId, Date.parse(windowStart)), sampleCount)
  }
  const missing = [...expected].filter(([name, good]) => good > 0 && !counted.has(name))
  const overfull = [...counted].filter(([name, samples]) => samples > (expected.get(name) ?? 0))
  return [
    ...missing.map(([name, good]) => `window ${name}: missing; ${good} rows belong to it`),
    ...overfull.map(
      ([name, samples]) => `window ${name}: counts ${samples} rows, ${expected.get(name) ?? 0} were sent`,
    ),
  ]
}

/** No record has the identity of another. Give it the records of distinct messages. */
export function doubledRecordProblems(records: readonly AggregateRecord[]): string[] {
  const times = Map.groupBy(records, recordIdentity)
  return [...times]
    .filter(([, same]) => same.length > 1)
    .map(([identity, same]) => `record ${identity}: came ${same.length} times, in different messages`)
}

/** Every row is in a record of the window of `lengthMs`, or the aggregator says where it is. */
export function rowProblems(
  rows: readonly TakenRow[],
  records: readonly AggregateRecord[],
  lengthMs: number,
  { late, bad, refused, kept }: RowsElsewhere,
): string[] {
  const label = windowLabel(lengthMs)
  const counted = records.reduce((sum, { window, sampleCount }) => sum + (window === label ? sampleCount : 0), 0)
  const found = counted + late + bad + refused + kept
  if (found === rows.length) return []
  const account = `${counted} in windows, ${late} late, ${bad} bad, ${refused} refused, ${kept} kept`
  return [`rows: the edge hub took ${rows.length}, ${found} are accounted for: ${account}`]
}

/**
 * The crossings in `telemetry`, taken in its order; rows of a device that are not newer than those before are passed
 * over, as the detector does.
 */
export function crossingsOf(telemetry: readonly Telemetry[], { signal, high, deadband }: HighLimit): Crossing[] {
  const crossings: Crossing[] = []
  const devices = new Map<string, { isActive: boolean; newest: string }>()
  for (const { deviceId, readings } of telemetry) {
    const device = devices.get(deviceId) ?? { isActive: false, newest: '' }
    devices.set(deviceId, device)
    for (const { timestamp, values } of readings) {
      const value = values[signal]
      if (typeof value !== 'number' || timestamp <= device.newest) continue
      device.newest = timestamp
      const isActive = value > high || (device.isActive && value > high - deadband)
      if (isActive !== device.isActive) {
        crossings.push({ deviceId, signal, state: isActive ? 'active' : 'normal', timestamp })
      }
      device.isActive = isActive
    }
  }
  return crossings
}

function crossingName({ deviceId, signal, state, timestamp }: Omit<Crossing, 'signal'> & { signal?: unknown }): string {
  return `${deviceId} ${signal} ${state} at ${timestamp}`
}

/** Each crossing has its alert, and there is no other. `alerts`: those of the rule, of distinct messages. */
export function missingAlertProblems(crossings: readonly Crossing[], alerts: readonly Alert[]): string[] {
  const expected = new Set(crossings.map(crossingName))
  const raised = new Set(alerts.map(crossingName))
  return [
    ...[...expected].filter((name) => !raised.has(name)).map((name) => `alert ${name}: missing`),
    ...[...raised]
      .filter((name) => !expected.has(name))
      .map((name) => `alert ${name}: nothing crossed its limit there`),
  ]
}

/** No state of an alert comes twice, and no crossing under two names. Give it the alerts of distinct messages. */
export function doubledAlertProblems(alerts: readonly Alert[]): string[] {
  const named = Map.groupBy(alerts, ({ alertId, state }) => `alert ${alertId} ${state}`)
  const placed = Map.groupBy(alerts, (alert) => `alert ${crossingName(alert)}`)
  return [...named, ...placed]
    .filter(([, same]) => same.length > 1)
    .map(([name, same]) => `${name}: raised ${same.length} times`)
}

/**
 * No number of a session is missing, but for those that may have died with the sender: the last `tailMax` before its
 * highest. Numbers count from 1 by module, output and session.
 */
export function sequenceProblems(messages: readonly Arrived[], tailMax: number): string[] {
  const sessions = Map.groupBy(messages, ({ moduleId, properties, systemProperties }) =>
    [moduleId, systemProperties['outputName'], properties['session']].join(' '),
  )
  return [...sessions].flatMap(([name, of]) => {
    const seen = new Set(of.map(({ properties }) => Number(properties['sequence'])))
    const last = Math.max(...seen)
    const missing: number[] = []
    for (let number = 1; number < last - tailMax; number++) if (!seen.has(number)) missing.push(number)
    return missing.length === 0 ? [] : [`session ${name}: ${missing.join(', ')} of ${last} missing`]
  })
}
