/** How many values a second one core aggregates: the aggregator's own code alone, without hub, disk or sending. */
import { parseConfig } from '@weir/lib/config-parse'
import type { InputMessage } from '@weir/lib/hub'
import { encodeTelemetry } from '@weir/lib/telemetry'
import { Aggregation, type Arrival } from '../modules/aggregator/src/aggregation.ts'
import { readArrival } from '../modules/aggregator/src/arrival.ts'
import { type AggregatorConfig, aggregatorConfig } from '../modules/aggregator/src/config.ts'

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
  readonly rowsPerMessage: number
  readonly signals: number
  readonly devices: number
  readonly windowMs: number
  readonly functions: readonly string[]
}

/** Both figures are the median of passes over the same messages, each pass with an aggregation of its own. */
export async function benchAggregatorCore(): Promise<AggregatorFigures> {
  const functions = ['avg', 'std', 'min', 'max'] as const
  const config = configOf({
    windows: { main: { lengthMs: windowMs, lateArrivalMs: 2_000 } },
    rules: { all: { select: '*', functions } },
  })
  const messages = makeMessages()
  const arrivals = messages.map(arrivalOf)
  return {
    valuesPerS: medianRate(() => pass(config, arrivals, (arrival) => arrival)),
    valuesPerSDecodeIncluded: medianRate(() => pass(config, messages, arrivalOf)),
    rowsPerMessage,
    signals,
    devices,
    windowMs,
    functions,
  }
}

function pass<Input>(config: AggregatorConfig, inputs: readonly Input[], arrivalFrom: (input: Input) => Arrival): void {
  const aggregation = new Aggregation(config)
  let records = 0
  inputs.forEach((input, place) => {
    const processingMs = Math.floor(place / devices) * rowsPerMessage * rowIntervalMs
    const now = { processingMs, wallMs: startMs + processingMs + rowsPerMessage * rowIntervalMs }
    for (const message of aggregation.telemetry(arrivalFrom(input), now).messages) records += message.records
  })
  const { taken, late, bad, refused } = aggregation.core.rows
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
