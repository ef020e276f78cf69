/**
 * The accounts of what arrived at the hub stand-in: traffic as IoT Hub meters it, what came twice, what is missing,
 * rows in windows, alerts. Pure: fed with messages, asked for a report. Memory stays below about 40 MB however long it
 * runs: identities are remembered for the last 50,000 messages, records and windows at least (see RecentMap).
 */
import { isJsonObject, type JsonObject, type JsonValue } from '@weir/lib/json'
import { alertSchema, recordIdentity } from '@weir/lib/messages'
import { addTraffic, meteredBytes, noTraffic, type Traffic } from '@weir/lib/meter'
import { z } from 'zod'
import { type CloudMessage, messageTypeOf, parseBody } from './cloud-message.ts'
import { RecentMap, RecentSet } from './recent-map.ts'
import { Sequences, type SequencesReport } from './sequences.ts'

const identitiesMax = 50_000
const alertsMax = 1000
const duplicatesShownMax = 20
const receiptsMax = 31
const namesMax = 200
const nameCharactersMax = 100
/** An alert is a few hundred bytes; what is longer is none of ours. */
const alertBytesMax = 16 * 1024
const readTypes = new Set(['aggregate', 'alert', 'gap', 'receipt'])

const recordSchema = z.object({
  deviceId: z.string().max(nameCharactersMax),
  window: z.string().max(nameCharactersMax),
  windowStart: z.string().max(nameCharactersMax),
  revision: z.int().min(0),
  sampleCount: z.int().min(0),
  badCount: z.int().min(0).default(0),
})
const alertFields = z.object(
  alertSchema.pick({
    alertId: true,
    alertType: true,
    severity: true,
    state: true,
    deviceId: true,
    signal: true,
    timestamp: true,
    explanation: true,
  }).shape,
)

/** `timestamp` is the time of the row that changed the state. */
export interface ReceivedAlert extends z.infer<typeof alertFields> {
  /** When the edge hub and when the stand-in took it, Unix milliseconds. */
  readonly edgeEnqueuedMs: number
  readonly enqueuedMs: number
}

/** Sums over the newest revision of each window that arrived. */
export interface WindowSums {
  windows: number
  /** Rows counted into windows (`sampleCount`). */
  rows: number
  badValues: number
}

export interface ReceivedReport {
  readonly sent: Traffic
  readonly byType: Readonly<Record<string, Traffic>>
  readonly byModule: Readonly<Record<string, Traffic>>
  /** Messages whose `messageId` was here before. They are metered, and counted nowhere else. */
  readonly redelivered: number
  /** Identities held twice under different message ids: window records, and alerts by id, state and timestamp. */
  readonly duplicated: number
  /** The first of them. */
  readonly duplicates: readonly string[]
  /** By label of the window: `15s`, `1m`, … */
  readonly windows: Readonly<Record<string, WindowSums>>
  readonly sequences: SequencesReport
  readonly alerts: {
    /** Different alerts that became active. */
    readonly raised: number
    /** The last 1000 that arrived, oldest first, repeats left out. */
    readonly list: readonly ReceivedAlert[]
  }
  /** By kind: how many arrived, and the messages they name as missing or given up. */
  readonly gaps: Readonly<Record<string, { count: number; messages: number }>>
  /** The bodies of the last 31. */
  readonly receipts: readonly JsonValue[]
  /** Messages that do not follow their contract, by reason. */
  readonly malformed: Readonly<Record<string, number>>
}

export class Received {
  readonly #sent = noTraffic()
  readonly #byType = new Map<string, Traffic>()
  readonly #byModule = new Map<string, Traffic>()
  readonly #messageIds = new RecentSet(identitiesMax)
  readonly #identities = new RecentSet(identitiesMax)
  readonly #windowsSeen = new RecentMap<{ revision: number; rows: number; badValues: number }>(identitiesMax)
  readonly #windows = new Map<string, WindowSums>()
  readonly #alertsRaised = new RecentSet(identitiesMax)
  readonly #alerts: ReceivedAlert[] = []
  readonly #sequences = new Sequences()
  readonly #gaps = new Map<string, { count: number; messages: number }>()
  readonly #receipts: JsonValue[] = []
  readonly #malformed = new Map<string, number>()
  readonly #duplicates: string[] = []
  #redelivered = 0
  #duplicated = 0
  #raised = 0

  add(message: CloudMessage): void {
    const messageType = messageTypeOf(message)
    const bytes = meteredBytes(message.body.length, message.properties, message.systemProperties)
    addTraffic(this.#sent, bytes)
    addTraffic(entry(this.#byType, messageType, noTraffic), bytes)
    addTraffic(entry(this.#byModule, message.moduleId, noTraffic), bytes)
    this.#addSequence(message)
    const messageId = message.systemProperties['messageId']
    if (messageId === undefined) this.#count('messageId missing')
    else if (!this.#messageIds.add(messageId)) {
      this.#redelivered++
      return
    }
    const problem = this.#addBody(messageType, message)
    if (problem !== undefined) this.#count(`${messageType}: ${problem}`)
  }

  report(): ReceivedReport {
    return {
      sent: { ...this.#sent },
      byType: plain(this.#byType),
      byModule: plain(this.#byModule),
      redelivered: this.#redelivered,
      duplicated: this.#duplicated,
      duplicates: [...this.#duplicates],
      windows: plain(this.#windows),
      sequences: this.#sequences.report(),
      alerts: { raised: this.#raised, list: [...this.#alerts] },
      gaps: plain(this.#gaps),
      receipts: [...this.#receipts],
      malformed: Object.fromEntries(this.#malformed),
    }
  }

  #addSequence({ moduleId, properties, systemProperties }: CloudMessage): void {
    const { session, sequence } = properties
    if (session === undefined || sequence === undefined) return
    const number = Number(sequence)
    if (!Number.isSafeInteger(number) || number < 1) this.#count('sequence is no whole number from 1')
    else {
      const output = systemProperties['outputName'] ?? ''
      this.#sequences.add(moduleId, output.slice(0, nameCharactersMax), session.slice(0, nameCharactersMax), number)
    }
  }

  /** Returns what is wrong with the body. */
  #addBody(messageType: string, message: CloudMessage): string | undefined {
    if (!readTypes.has(messageType)) return undefined
    const body = parseBody(message)
    if ('problem' in body) return 'body is no JSON'
    if (messageType === 'aggregate') return this.#addRecords(body.value)
    if (!isJsonObject(body.value)) return 'body is no object'
    if (messageType === 'alert') return this.#addAlert(body.value, message)
    if (messageType === 'gap') return this.#addGap(body.value)
    keepLast(this.#receipts, body.value, receiptsMax)
    return undefined
  }

  #addRecords(body: JsonValue): string | undefined {
    if (!Array.isArray(body)) return 'body is no array'
    const records = body.map((value) => recordSchema.safeParse(value))
    for (const record of records) if (record.success) this.#addRecord(record.data)
    return records.every((record) => record.success) ? undefined : 'a record is malformed'
  }

  #addRecord(record: z.infer<typeof recordSchema>): void {
    if (!this.#isNew(`aggregate ${recordIdentity(record)}`)) return
    const key = `${record.deviceId}|${record.window}|${record.windowStart}`
    const before = this.#windowsSeen.get(key)
    if (before !== undefined && before.revision > record.revision) return
    this.#windowsSeen.set(key, { revision: record.revision, rows: record.sampleCount, badValues: record.badCount })
    const sums = entry(this.#windows, record.window, () => ({ windows: 0, rows: 0, badValues: 0 }))
    if (before === undefined) sums.windows++
    sums.rows += record.sampleCount - (before?.rows ?? 0)
    sums.badValues += record.badCount - (before?.badValues ?? 0)
  }

  #addAlert(body: JsonObject, { body: { length }, edgeEnqueuedMs, enqueuedMs }: CloudMessage): string | undefined {
    if (length > alertBytesMax) return `body exceeds ${alertBytesMax} bytes`
    const alert = alertFields.safeParse(body)
    if (!alert.success) return 'body is malformed'
    const { alertId, state, timestamp } = alert.data
    if (!this.#isNew(`alert ${alertId}|${state}|${timestamp}`)) return undefined
    if (state === 'active' && this.#alertsRaised.add(alertId)) this.#raised++
    keepLast(this.#alerts, { ...alert.data, edgeEnqueuedMs, enqueuedMs }, alertsMax)
    return undefined
  }

  #addGap({ kind, messages }: JsonObject): string | undefined {
    if (typeof kind !== 'string') return 'kind is missing'
    const sums = entry(this.#gaps, kind, () => ({ count: 0, messages: 0 }))
    sums.count++
    if (typeof messages === 'number') sums.messages += messages
    return undefined
  }

  #isNew(identity: string): boolean {
    if (this.#identities.add(identity)) return true
    this.#duplicated++
    if (this.#duplicates.length < duplicatesShownMax) this.#duplicates.push(identity)
    return false
  }

  #count(reason: string): void {
    this.#malformed.set(reason, (this.#malformed.get(reason) ?? 0) + 1)
  }
}

/** The map takes 200 names; further ones share `other`. */
function entry<Value>(map: Map<string, Value>, longName: string, make: () => Value): Value {
  const name = longName.slice(0, nameCharactersMax)
  const key = map.has(name) || map.size < namesMax ? name : 'other'
  const value = map.get(key) ?? make()
  map.set(key, value)
  return value
}

function keepLast<Item>(list: Item[], item: Item, max: number): void {
  list.push(item)
  if (list.length > max) list.shift()
}

function plain<Value extends object>(map: ReadonlyMap<string, Value>): Record<string, Value> {
  return Object.fromEntries([...map].map(([name, value]) => [name, { ...value }]))
}
