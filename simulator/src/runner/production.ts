/**
 * What the manifest's own settings save, computed: the plant's models are read for an hour of simulated time by the
 * reader's pure parts, aggregated, judged and forwarded by those of the other modules, and metered as in a run.
 */
import { setImmediate } from 'node:timers/promises'
import { Aggregation } from '@weir/aggregator/aggregation'
import { readArrival } from '@weir/aggregator/arrival'
import { type AggregatorConfig, aggregatorConfig } from '@weir/aggregator/config'
import { alertIdentity, alertOfAnomaly } from '@weir/alert-forwarder/alerts'
import { detectorConfig } from '@weir/anomaly-detector/config'
import { Judge } from '@weir/anomaly-detector/judge'
import { ManualClock } from '@weir/lib/clock'
import type { ConfigDeclaration } from '@weir/lib/config'
import { parseConfig } from '@weir/lib/config-parse'
import type { JsonObject } from '@weir/lib/json'
import { contentId, schemaVersion, sourceProperties } from '@weir/lib/messages'
import { addTraffic, meteredBytes, noTraffic, saving, type Traffic } from '@weir/lib/meter'
import type { Outgoing } from '@weir/lib/module'
import { systemProperties } from '@weir/lib/outbox'
import { type ModbusConfig, modbusConfig } from '@weir/modbus-reader/config'
import { type Decoded, decode } from '@weir/modbus-reader/decode'
import { Device } from '@weir/modbus-reader/device'
import { groupsOfLink, type PollGroup } from '@weir/modbus-reader/groups'
import { rowOf } from '@weir/modbus-reader/poll'
import { telemetryMessages } from '@weir/modbus-reader/telemetry'
import { TelemetryMeter } from '../edge-hub/meter.ts'
import { PlantImage, type SignalSource } from '../plant/image.ts'
import type { PlantDevice } from '../plant/layout.ts'
import { answerRequest, type ModbusUnit } from '../plant/pdu.ts'
import { settingsOf } from './settings.ts'
import type { ReceiptView } from './view.ts'

const hourMs = 3_600_000
/** Any hour; one that is not the present, so that nobody takes its figures for measured ones. */
const startMs = Date.UTC(2026, 0, 1, 8)
/** Beyond this an hour takes too long to compute beside a running simulator. */
const valuesMax = 1_500_000
/** The event loop goes on after this much computing. */
const sliceMs = 15

/** What an hour is computed from. The desired properties are those of the manifest. */
export interface ProductionParts {
  readonly devices: readonly PlantDevice[]
  readonly source: SignalSource
  readonly reader: JsonObject
  readonly aggregator: JsonObject
  readonly detector: JsonObject | undefined
}

/** A message as the hub gets it: with what the host of a module adds. */
interface Sent {
  readonly body: Buffer
  readonly properties: Readonly<Record<string, string>>
  readonly systemProperties: Readonly<Record<string, string>>
}

/** Gives messages what the host of one module adds to each. */
function hostOf(session: string): (outgoing: Outgoing) => Sent {
  let sequence = 0
  return ({ output, messageType, messageId, body, properties, urgent }) => ({
    body,
    properties: {
      ...properties,
      messageType,
      schemaVersion: String(schemaVersion),
      ...(urgent === true ? { priority: 'high' } : {}),
      session,
      sequence: String(++sequence),
    },
    systemProperties: { ...systemProperties, messageId, outputName: output },
  })
}

function configOf<Config>(declaration: ConfigDeclaration<Config>, desired: JsonObject): Config | undefined {
  const parsed = parseConfig(declaration, desired)
  return 'config' in parsed ? parsed.config : undefined
}

const functionCodes = { coil: 1, discrete: 2, holding: 3, input: 4 } as const

/** Reads a group as the reader does, from registers that are always there. */
function pollNow(group: PollGroup, unit: ModbusUnit | undefined): Decoded[] {
  const values: Decoded[] = new Array(group.columnCount).fill(undefined)
  for (const { table, address, count, fields } of group.requests) {
    const request = [functionCodes[table], address >> 8, address & 0xff, count >> 8, count & 0xff]
    const answer = answerRequest(unit, Uint8Array.from(request))
    if (((answer[0] ?? 0) & 0x80) === 0) decode(Buffer.from(answer.subarray(2)), fields, values)
  }
  return values
}

interface DuePoll {
  readonly link: string
  readonly group: PollGroup
  dueMs: number
}

/** The reader over a plant in simulated time. */
class SimulatedReader {
  readonly clock = new ManualClock(startMs)
  readonly #image: PlantImage
  readonly #polls: DuePoll[]
  readonly #devices: ReadonlyMap<string, Device>

  constructor(config: ModbusConfig, image: PlantImage, publish: (outgoing: Outgoing) => void) {
    this.#image = image
    this.#polls = Object.keys(config.links).flatMap((link) =>
      groupsOfLink(config, link).map((group) => ({ link, group, dueMs: 0 })),
    )
    this.#devices = new Map(
      Object.entries(config.devices).map(([id, device]) => [
        id,
        new Device(id, config, device, this.clock, (of, rows) => {
          for (const message of telemetryMessages(of.id, of.labels(), rows)) publish(message)
        }),
      ]),
    )
  }

  /** When the next poll is due, in milliseconds from the start. */
  get nextMs(): number {
    return Math.min(...this.#polls.map(({ dueMs }) => dueMs))
  }

  /** Runs up to the next poll and takes it. */
  step(): void {
    const { nextMs } = this
    this.clock.advance(nextMs - this.clock.monotonicMs())
    this.#image.update(nextMs, startMs + nextMs)
    for (const poll of this.#polls) {
      if (poll.dueMs > nextMs) continue
      poll.dueMs += poll.group.intervalMs
      this.#poll(poll.link, poll.group, new Date(startMs + nextMs).toISOString())
    }
  }

  #poll(link: string, group: PollGroup, timestamp: string): void {
    const values = pollNow(group, this.#image.units.get(link)?.get(group.unitId))
    const polled = { values, reasons: [], unit: 'answered', detail: '' } as const
    for (const row of group.rows) this.#devices.get(row.deviceId)?.add(group.key, rowOf(row, polled, timestamp))
  }

  flush(): void {
    for (const device of this.#devices.values()) device.flush()
  }
}

/** Aggregator, detector and forwarder in simulated time, and the meter at the hub. */
class SimulatedHub {
  readonly raw = new TelemetryMeter()
  readonly sent: Traffic = noTraffic()
  readonly #clock: ManualClock
  readonly #aggregation: Aggregation
  readonly #judge: Judge | undefined
  readonly #fromReader = hostOf('reader00')
  readonly #fromAggregator = hostOf('aggregat')
  readonly #fromForwarder = hostOf('forwards')

  constructor(clock: ManualClock, aggregator: AggregatorConfig, judge: Judge | undefined) {
    this.#clock = clock
    this.#aggregation = new Aggregation(aggregator)
    this.#judge = judge
  }

  take(outgoing: Outgoing): void {
    const { body, properties, systemProperties: system } = this.#fromReader(outgoing)
    const enqueuedMs = this.#clock.nowMs()
    this.raw.take({ kind: 'message', moduleId: 'reader', body, properties, systemProperties: system, enqueuedMs })
    const reading = readArrival({
      input: 'telemetry',
      body,
      properties,
      messageId: system['messageId'],
      contentType: system['contentType'],
      contentEncoding: system['contentEncoding'],
      sourceModuleId: undefined,
    })
    if ('reason' in reading) return
    const { arrival } = reading
    for (const { outgoing: out } of this.#aggregation.telemetry(arrival, this.#now()).messages) {
      this.#send(this.#fromAggregator(out))
    }
    for (const { timestampMs, signals, values } of arrival.telemetry.rows) {
      signals.forEach((signal, index) => {
        this.#judgeValue(arrival.telemetry, signal, values[index], timestampMs)
      })
    }
  }

  tick(): void {
    for (const { outgoing } of this.#aggregation.tick(this.#now()).messages) this.#send(this.#fromAggregator(outgoing))
  }

  #judgeValue(device: Parameters<Judge['take']>[0], signal: string, value: unknown, timestampMs: number): void {
    if (this.#judge === undefined || typeof value !== 'number') return
    for (const finding of this.#judge.take(device, signal, value, timestampMs)) {
      const alert = alertOfAnomaly(finding)
      const message = this.#fromForwarder({
        output: 'alerts',
        messageType: 'alert',
        messageId: contentId('alert', alertIdentity(alert)),
        body: Buffer.from(JSON.stringify(alert)),
        properties: sourceProperties(alert),
        urgent: true,
      })
      this.#send(message)
    }
  }

  #now(): { processingMs: number; wallMs: number } {
    return { processingMs: this.#clock.monotonicMs(), wallMs: this.#clock.nowMs() }
  }

  #send({ body, properties, systemProperties: system }: Sent): void {
    addTraffic(this.sent, meteredBytes(body.length, properties, system))
  }
}

/** Values that an hour of polls brings. */
function valuesOfHour(config: ModbusConfig): number {
  return Object.keys(config.links)
    .flatMap((link) => groupsOfLink(config, link))
    .reduce((sum, { columnCount, intervalMs }) => sum + (columnCount * hourMs) / intervalMs, 0)
}

/**
 * Computes the hour, giving way to other work in between. Undefined where a module would refuse its configuration, or
 * where an hour has too many values.
 */
export async function computeProduction(parts: ProductionParts): Promise<ReceiptView | undefined> {
  const reader = configOf(modbusConfig, parts.reader)
  const aggregator = configOf(aggregatorConfig, parts.aggregator)
  const detector = parts.detector === undefined ? undefined : configOf(detectorConfig, parts.detector)
  if (reader === undefined || aggregator === undefined || valuesOfHour(reader) > valuesMax) return undefined
  let hub: SimulatedHub | undefined
  const image = new PlantImage(parts.devices, parts.source)
  const simulated = new SimulatedReader(reader, image, (outgoing) => hub?.take(outgoing))
  hub = new SimulatedHub(simulated.clock, aggregator, detector === undefined ? undefined : new Judge(detector))
  let sliceEndMs = performance.now() + sliceMs
  while (simulated.nextMs < hourMs) {
    simulated.step()
    hub.tick()
    if (performance.now() < sliceEndMs) continue
    await setImmediate()
    sliceEndMs = performance.now() + sliceMs
  }
  simulated.flush()
  // The windows of the last minutes close once their devices are idle.
  simulated.clock.advance(aggregator.deviceIdleMs + Math.max(...Object.values(aggregator.windows).map(closingMs)))
  hub.tick()
  simulated.clock.advance(aggregator.batch.maxDelayMs)
  hub.tick()
  const { perRow, perMessage } = hub.raw.counts
  return {
    settings: settingsOf(parts.reader, parts.aggregator),
    perRow: saving(perRow, hub.sent),
    perMessage: saving(perMessage, hub.sent),
  }
}

function closingMs({ lengthMs, lateArrivalMs }: { lengthMs: number; lateArrivalMs: number }): number {
  return lengthMs + lateArrivalMs
}
