import { join } from 'node:path'
import { writeState } from '@weir/lib/atomic-file'
import { command } from '@weir/lib/command'
import type { InputMessage } from '@weir/lib/hub'
import { type JsonObject, toJson } from '@weir/lib/json'
import { type Anomaly, contentId, sourceProperties } from '@weir/lib/messages'
import type { ModuleContext, ModuleDeclaration, ModuleInstance } from '@weir/lib/module'
import { loadState } from '@weir/lib/state'
import { decodeTelemetry } from '@weir/lib/telemetry'
import { z } from 'zod'
import { type DetectorConfig, detectorConfig } from './config.ts'
import { Judge } from './judge.ts'

const stateFile = 'signals.json'
const stateVersion = 1

/** What survives a restart. */
const stateSchema = z.array(
  z.object({
    deviceId: z.string(),
    signal: z.string(),
    ruleId: z.string(),
    side: z.enum(['inside', 'high', 'low']),
    anomalyId: z.string(),
    judgedMs: z.number(),
  }),
)

class AnomalyDetector implements ModuleInstance<DetectorConfig> {
  readonly #context: ModuleContext
  #judge: Judge
  #rows = 0
  #values = 0
  #aggregates = 0
  #found = 0

  constructor(context: ModuleContext, config: DetectorConfig) {
    this.#context = context
    this.#judge = new Judge(config, loadState(context, stateFile, stateVersion, stateSchema))
  }

  apply(config: DetectorConfig): void {
    this.#judge = new Judge(config, this.#judge.saved())
  }

  input(message: InputMessage): void {
    if (message.input === 'telemetry') this.#telemetry(message.body)
    else if (message.input === 'aggregates') this.#aggregates += 1
    else this.#context.reject('unknownInput', `input ${message.input} is none of telemetry, aggregates`)
  }

  #telemetry(body: Buffer): void {
    const reading = decodeTelemetry(body)
    if ('reason' in reading) {
      this.#context.reject(reading.reason, reading.detail)
      return
    }
    const { telemetry } = reading
    for (const { reason, detail, count } of reading.keptOut) this.#context.reject(reason, detail, count)
    if (telemetry.units !== undefined) this.#judge.units(telemetry, telemetry.units)
    const findings: Anomaly[] = []
    for (const { timestampMs, signals, values } of telemetry.rows) {
      this.#rows += 1
      for (const [index, signal] of signals.entries()) {
        const value = values[index]
        if (typeof value !== 'number') continue
        this.#values += 1
        findings.push(...this.#judge.take(telemetry, signal, value, timestampMs))
      }
    }
    if (findings.length === 0) return
    for (const finding of findings) this.#publish(finding)
    // Saved after the findings are queued: a kill in between judges the message again and gives the same ids.
    this.#save()
  }

  #publish(finding: Anomaly): void {
    this.#found += 1
    this.#context.publish({
      output: 'anomalies',
      messageType: 'anomaly',
      messageId: contentId('anomaly', `${finding.anomalyId}|${finding.state}|${finding.timestamp}`),
      body: Buffer.from(JSON.stringify(finding)),
      properties: sourceProperties(finding),
      urgent: true,
    })
  }

  #save(): void {
    writeState(join(this.#context.stateFolder, stateFile), stateVersion, toJson(this.#judge.saved()))
  }

  status(): JsonObject {
    return {
      rows: this.#rows,
      values: this.#values,
      aggregates: this.#aggregates,
      signalsWatched: this.#judge.watched,
      signalsRefused: this.#judge.refused,
      found: this.#found,
      active: this.#judge.active().length,
    }
  }

  readonly commands = [
    command({
      name: 'active',
      summary: 'Signals outside their limits now, with rule and finding.',
      arguments: z.strictObject({}),
      job: false,
      run: async () => toJson(this.#judge.active()),
    }),
  ]

  async stop(): Promise<void> {
    this.#save()
  }
}

export const anomalyDetector: ModuleDeclaration<DetectorConfig> = {
  name: 'anomaly-detector',
  config: detectorConfig,
  start: (context, config) => new AnomalyDetector(context, config),
}
