/**
 * A reader without devices, for the bench of the whole path: it makes readings and publishes them as fast as the edge hub
 * takes them. Bundled and run as a module is, on the same host, queue and SDK.
 */
import { type Clock, sleep } from '@weir/lib/clock'
import { command } from '@weir/lib/command'
import { runModule } from '@weir/lib/host'
import { contentId, type Row, sourceProperties } from '@weir/lib/messages'
import type { ModuleContext, ModuleInstance } from '@weir/lib/module'
import { encodeTelemetry } from '@weir/lib/telemetry'
import { z } from 'zod'

/** Messages that wait for the hub, those in flight among them: enough that the hub never waits for the generator. */
const queuedMax = 8
const refillMs = 2
/** Distinct values of a signal, which come again and again. */
const valuesPerSignal = 997

const schema = z.strictObject({
  devices: z.int().min(1).meta({ description: 'Devices, which take turns.' }),
  rowsPerMessage: z.int().min(1).meta({ description: 'Rows in a message.' }),
  signals: z.int().min(1).meta({ description: 'Signals of a device.' }),
})
type GeneratorConfig = z.infer<typeof schema>

class Generator implements ModuleInstance<GeneratorConfig> {
  readonly #context: ModuleContext
  #config: GeneratorConfig
  #values: readonly (readonly number[])[] = []
  /** Up to when rows have been stamped, by device. */
  readonly #stampedMs = new Map<string, number>()
  #rows = 0
  #messages = 0
  #running = false

  constructor(context: ModuleContext, config: GeneratorConfig) {
    this.#context = context
    this.#config = config
    this.apply(config)
  }

  apply(config: GeneratorConfig): void {
    this.#config = config
    this.#values = Array.from({ length: config.signals }, (_, signal) =>
      Array.from({ length: valuesPerSignal }, (_, at) => Number((50 + signal + 20 * Math.sin(at / 10)).toFixed(2))),
    )
  }

  status(): { rows: number; messages: number; generating: boolean } {
    return { rows: this.#rows, messages: this.#messages, generating: this.#running }
  }

  readonly commands = [
    command({
      name: 'generate',
      summary: 'Publishes for so long, as fast as the hub takes it.',
      arguments: z.strictObject({ seconds: z.number().positive() }),
      job: false,
      run: async ({ seconds }) => {
        void this.#generate(seconds * 1000)
        return null
      },
    }),
  ]

  async stop(): Promise<void> {
    this.#running = false
  }

  async #generate(durationMs: number): Promise<void> {
    const { clock } = this.#context
    const endMs = clock.monotonicMs() + durationMs
    this.#running = true
    while (this.#running && clock.monotonicMs() < endMs) {
      while (this.#context.queued() < queuedMax) this.#publish(clock)
      await sleep(clock, refillMs)
    }
    this.#running = false
  }

  #publish(clock: Clock): void {
    const deviceId = `press-${this.#messages % this.#config.devices}`
    const source = { deviceId, deviceType: 'press', location: 'hall-1' }
    const rows = this.#makeRows(deviceId, clock.nowMs())
    for (const { body } of encodeTelemetry(source, rows)) {
      this.#context.publish({
        output: 'telemetry',
        messageType: 'telemetry',
        messageId: contentId('telemetry', `${this.#messages}|${deviceId}|${rows[0]?.timestamp}`),
        body,
        properties: sourceProperties(source),
      })
    }
    this.#messages += 1
  }

  /** Rows spread evenly over the time since the message before. */
  #makeRows(deviceId: string, nowMs: number): Row[] {
    const { rowsPerMessage } = this.#config
    const fromMs = this.#stampedMs.get(deviceId) ?? nowMs - rowsPerMessage
    this.#stampedMs.set(deviceId, nowMs)
    return Array.from({ length: rowsPerMessage }, (_, row) => {
      const at = this.#rows++
      const values = this.#values.map((each, signal): [string, number] => [
        `signal-${signal}`,
        each[at % valuesPerSignal] ?? 0,
      ])
      const timestampMs = Math.floor(fromMs + ((nowMs - fromMs) * (row + 1)) / rowsPerMessage)
      return { timestamp: new Date(timestampMs).toISOString(), values: Object.fromEntries(values) }
    })
  }
}

await runModule<GeneratorConfig>({
  name: 'generator',
  config: { module: 'generator', schema, sample: { devices: 1, rowsPerMessage: 1, signals: 1 } },
  queue: 'spilling',
  start: (context, config) => new Generator(context, config),
})
