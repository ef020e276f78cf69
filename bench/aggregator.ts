/** How many values a second one core aggregates: the aggregator's own code, without hub and sending; and with its journal. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ManualClock } from '@weir/lib/clock'
import { parseConfig } from '@weir/lib/config-parse'
import type { InputMessage } from '@weir/lib/hub'
import { nodeFileSystem } from '@weir/lib/journal/file-system'
import { fsyncIntervalMs } from '@weir/lib/limits'
import { createLog } from '@weir/lib/log-stdout'
import { encodeTelemetry } from '@weir/lib/telemetry'
import { Aggregation, type Arrival, type Decision } from '../modules/aggregator/src/aggregation.ts'
import { readArrival } from '../modules/aggregator/src/arrival.ts'
import { type AggregatorConfig, aggregatorConfig } from '../modules/aggregator/src/config.ts'
import { openAggregation } from '../modules/aggregator/src/durable.ts'

const devices = 10
const messagesPerDevice = 60
const rowsPerMessage = 100
const signals = 10
const rowIntervalMs = 10
const windowMs = 15_000
const passesMs = 2_000
const startMs = Date.UTC(2026, 0, 1)
const valuesPerPass = devices * messagesPerDevice * rowsPerMessage * signals

export interface AggregatorFigures {
  /** Values a second, from decoded rows to decided messages. */
  readonly valuesPerS: number
  /** The same from the bytes of the messages. */
  readonly valuesPerSDecodeIncluded: number
  /** Both with the journal on, in the temporary folder, synced every `fsyncIntervalMs` and before each decided message. */
  readonly valuesPerSJournal: number
  readonly valuesPerSJournalDecodeIncluded: number
  /** Journal bytes for a row. */
  readonly journalBytesPerRow: number
  readonly fsyncIntervalMs: number
  readonly rowsPerMessage: number
  readonly signals: number
  readonly devices: number
  readonly windowMs: number
  readonly functions: readonly string[]
}

/** Each figure is the median of passes over the same messages, each pass with an aggregation of its own. */
export async function benchAggregatorCore(): Promise<AggregatorFigures> {
  const functions = ['avg', 'std', 'min', 'max'] as const
  const config = configOf({
    windows: { main: { lengthMs: windowMs, lateArrivalMs: 2_000 } },
    rules: { all: { select: '*', functions } },
  })
  const messages = makeMessages()
  const arrivals = messages.map(arrivalOf)
  return {
    valuesPerS: medianRate(() => pass(plain(config), arrivals, (arrival) => arrival)),
    valuesPerSDecodeIncluded: medianRate(() => pass(plain(config), messages, arrivalOf)),
    valuesPerSJournal: medianRate(() => journalled(config, (taker) => pass(taker, arrivals, (arrival) => arrival))),
    valuesPerSJournalDecodeIncluded: medianRate(() => journalled(config, (taker) => pass(taker, messages, arrivalOf))),
    journalBytesPerRow: journalled(config, (taker) => pass(taker, arrivals, (arrival) => arrival)),
    fsyncIntervalMs,
    rowsPerMessage,
    signals,
    devices,
    windowMs,
    functions,
  }
}

/** An aggregation, with or without a journal. */
interface Taker {
  readonly aggregation: Pick<Aggregation, 'core'>
  /** @param elapsedMs Time since the beginning. */
  take(arrival: Arrival, elapsedMs: number): Decision
}

function plain(config: AggregatorConfig): Taker {
  const aggregation = new Aggregation(config)
  return {
    aggregation,
    take: (arrival, elapsedMs) =>
      aggregation.telemetry(arrival, { processingMs: elapsedMs, wallMs: startMs + elapsedMs }),
  }
}

/** Calls `use` with an aggregation that has its journal in a folder of its own; returns journal bytes for a row. */
function journalled(config: AggregatorConfig, use: (taker: Taker) => void): number {
  const stateFolder = mkdtempSync(join(tmpdir(), 'weir-bench-aggregator-'))
  const clock = new ManualClock(startMs)
  const ignore = () => {}
  const log = createLog('error', clock, ignore)
  const context = { clock, log, reject: ignore, fail: ignore, stateFolder, fsyncIntervalMs }
  try {
    const durable = openAggregation(context, config, { fileSystem: nodeFileSystem })
    use({
      aggregation: durable.aggregation,
      take(arrival, elapsedMs) {
        clock.advance(elapsedMs - clock.monotonicMs())
        return durable.telemetry(arrival)
      },
    })
    const bytesPerRow = durable.journalBytes / durable.aggregation.core.rows.taken
    durable.close()
    return Number(bytesPerRow.toFixed(2))
  } finally {
    rmSync(stateFolder, { recursive: true })
  }
}

function pass<Input>(taker: Taker, inputs: readonly Input[], arrivalFrom: (input: Input) => Arrival): void {
  let records = 0
  inputs.forEach((input, place) => {
    const elapsedMs = (Math.floor(place / devices) + 1) * rowsPerMessage * rowIntervalMs
    for (const message of taker.take(arrivalFrom(input), elapsedMs).messages) records += message.records
  })
  const { taken, late, bad, refused } = taker.aggregation.core.rows
  if (taken * signals !== valuesPerPass || late + bad + refused > 0 || records === 0) {
    throw new Error(`bench: a pass took ${taken} rows, kept out ${late + bad + refused}, made ${records} records`)
  }
}

function medianRate(run: () => void): number {
  const rates: number[] = []
  run()
  const endMs = performance.now() + passesMs
  while (performance.now() < endMs) {
    const beganMs = performance.now()
    run()
    rates.push((valuesPerPass / (performance.now() - beganMs)) * 1_000)
  }
  rates.sort((a, b) => a - b)
  return Math.round(rates[Math.floor(rates.length / 2)] ?? 0)
}

/** Messages in the order in which time has them: every device's first, then every device's second … */
function makeMessages(): InputMessage[] {
  const messages: InputMessage[] = []
  for (let number = 0; number < messagesPerDevice; number++) {
    for (let device = 0; device < devices; device++) messages.push(makeMessage(`press-${device}`, number))
  }
  return messages
}

function makeMessage(deviceId: string, number: number): InputMessage {
  const rows = Array.from({ length: rowsPerMessage }, (_, row) => {
    const place = number * rowsPerMessage + row
    const values = Array.from({ length: signals }, (_, signal): [string, number] => [
      `signal-${signal}`,
      Number((50 + signal + 20 * Math.sin(place / (10 + signal))).toFixed(2)),
    ])
    return { timestamp: new Date(startMs + place * rowIntervalMs).toISOString(), values: Object.fromEntries(values) }
  })
  const [encoded] = encodeTelemetry({ deviceId, deviceType: 'press', location: 'hall-1' }, rows)
  return {
    input: 'telemetry',
    body: encoded?.body ?? Buffer.alloc(0),
    messageId: `${deviceId}-${number}`,
    contentType: 'application/json',
    contentEncoding: 'utf-8',
    properties: { messageType: 'telemetry', deviceId, session: 'bench', sequence: String(number + 1) },
    sourceModuleId: 'modbus-reader',
  }
}

function arrivalOf(message: InputMessage): Arrival {
  const reading = readArrival(message)
  if ('reason' in reading) throw new Error(`bench: ${reading.reason}: ${reading.detail}`)
  return reading.arrival
}

function configOf(raw: unknown): AggregatorConfig {
  const parsed = parseConfig(aggregatorConfig, raw)
  if ('problems' in parsed) throw new Error(parsed.problems.join('; '))
  return parsed.config
}
