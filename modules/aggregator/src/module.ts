import type { Timer } from '@weir/lib/clock'
import { command } from '@weir/lib/command'
import { errorText, WeirError } from '@weir/lib/errors'
import type { InputMessage } from '@weir/lib/hub'
import { nodeFileSystem } from '@weir/lib/journal/file-system'
import { type JsonObject, toJson } from '@weir/lib/json'
import { captureSchema } from '@weir/lib/messages'
import type { ModuleContext, ModuleDeclaration, ModuleInstance } from '@weir/lib/module'
import { z } from 'zod'
import type { Decision } from './aggregation.ts'
import { readArrival } from './arrival.ts'
import { type AggregatorConfig, aggregatorConfig } from './config.ts'
import type { NumberedMessage } from './delivery.ts'
import { type DurableAggregation, type DurableParts, openAggregation } from './durable.ts'
import { AggregatorMetrics } from './metrics.ts'
import { windowLabel } from './window.ts'

const tickMs = 1_000
/** A message handed to the host is left in its care after this, at the earliest: a fault of its queue ends the process before. */
const handoverMsMin = 1_000
/** Most rows that the command `windows` answers with: a direct method's answer is at most 128 KiB. */
const windowsShownMax = 200

class Aggregator implements ModuleInstance<AggregatorConfig> {
  readonly #context: ModuleContext
  readonly #durable: DurableAggregation
  readonly #metrics: AggregatorMetrics
  /** Messages handed to the host by this process that are `undelivered`, and when, in processing time. */
  #published: { readonly number: number; readonly atMs: number }[] = []
  #captures = 0
  #timer: Timer | undefined
  /** When `#timer` runs, and when it ran last, in processing time. */
  #timerMs = Number.POSITIVE_INFINITY
  #tickedMs = 0

  constructor(context: ModuleContext, config: AggregatorConfig, parts: DurableParts) {
    this.#context = context
    this.#durable = openAggregation(context, config, parts)
    this.#metrics = new AggregatorMetrics(context.metrics, this.#durable)
    this.#publish(this.#durable.aggregation.undelivered)
    this.#tick()
  }

  apply(config: AggregatorConfig): void {
    this.#durable.configure(config)
    this.#tick()
  }

  input(message: InputMessage): void {
    if (message.input === 'telemetry') this.#telemetry(message)
    else if (message.input === 'captures') this.#capture(message)
    else this.#context.reject('unknownInput', `input ${message.input} is none of telemetry, captures`)
  }

  #telemetry(message: InputMessage): void {
    const { messageType = 'telemetry' } = message.properties
    if (messageType !== 'telemetry') {
      this.#context.reject('unknownMessage', `input telemetry: messageType ${messageType} is not telemetry`)
      return
    }
    const reading = readArrival(message)
    if ('reason' in reading) {
      this.#context.reject(reading.reason, reading.detail)
      return
    }
    const decision = this.#orFail(() => this.#durable.telemetry(reading.arrival))
    for (const { reason, detail } of reading.keptOut) this.#context.reject(reason, detail)
    if (decision.duplicate) {
      this.#context.reject('duplicateMessage', `message ${message.messageId} of session ${reading.arrival.session}`)
    }
    this.#carryOut(decision)
    this.#schedule()
  }

  #capture(message: InputMessage): void {
    let body: unknown
    try {
      body = JSON.parse(message.body.toString('utf8'))
    } catch (error) {
      this.#context.reject('malformedJson', `captures: ${errorText(error)}`)
      return
    }
    const parsed = captureSchema.safeParse(body)
    if (parsed.success) this.#captures += 1
    else this.#context.reject('badCapture', z.prettifyError(parsed.error))
  }

  /** What throws leaves the process of no use: it ends, and the hub keeps the message at hand. */
  #orFail<Result>(work: () => Result): Result {
    try {
      return work()
    } catch (error) {
      this.#context.fail(
        error instanceof WeirError ? error : new WeirError('INTERNAL', errorText(error), { cause: error }),
      )
      throw error
    }
  }

  #tick(): void {
    this.#tickedMs = this.#durable.now().processingMs
    this.#timerMs = Number.POSITIVE_INFINITY
    try {
      this.#orFail(() => {
        this.#carryOut(this.#durable.tick())
        this.#handOver()
      })
    } catch {
      // The process ends; no further tick.
      return
    }
    this.#metrics.update(this.#durable)
    this.#schedule()
  }

  /** The next tick comes a second after the last, or when waiting records must leave. */
  #schedule(): void {
    const dueMs = Math.min(this.#tickedMs + tickMs, this.#durable.aggregation.dueMs ?? Number.POSITIVE_INFINITY)
    if (dueMs >= this.#timerMs) return
    this.#timer?.cancel()
    this.#timerMs = dueMs
    this.#timer = this.#context.clock.setTimer(() => this.#tick(), dueMs - this.#durable.now().processingMs)
  }

  #carryOut({ messages, refusals }: Decision): void {
    for (const { reason, count, detail } of refusals) this.#context.reject(reason, `${detail} (${count} at once)`)
    for (const { outgoing, leftOut } of messages) {
      if (leftOut > 0) this.#context.reject('recordTooWide', `${outgoing.messageId}: ${leftOut} figures do not fit`)
    }
    if (messages.length > 0) this.#publish(this.#durable.aggregation.undelivered.slice(-messages.length))
  }

  #publish(messages: readonly NumberedMessage[]): void {
    const atMs = this.#durable.now().processingMs
    for (const { number, message } of messages) {
      this.#context.publish(message.outgoing)
      this.#published.push({ number, atMs })
    }
  }

  /**
   * Leaves messages in the care of the host's queue: those that the hub has, and those that are on the disk by now. Not at
   * once, since the queue's copy and this note of it reach the disk apart, and a power cut could come in between.
   */
  #handOver(): void {
    const { processingMs } = this.#durable.now()
    const queued = this.#context.queued()
    const taken = this.#published.length - queued
    const waitMs = this.#context.fsyncIntervalMs + handoverMsMin
    const safe = this.#published.filter(
      ({ atMs }, place) => processingMs - atMs >= (place < taken ? handoverMsMin : waitMs),
    )
    const last = safe.at(-1)
    if (last === undefined) return
    this.#durable.delivered(last.number, queued)
    this.#published = this.#published.filter(({ number }) => number > last.number)
  }

  status(): JsonObject {
    const { core, repeats, receipt, messagesDecided, rowsWaiting } = this.#durable.aggregation
    const { rows, values } = core
    const unsent = rowsWaiting + this.#durable.aggregation.rowsUnsent(this.#context.queued())
    return {
      rowsTaken: rows.taken,
      rowsLate: rows.late,
      rowsBad: rows.bad,
      rowsRefused: rows.refused,
      rowsOpen: rows.open,
      rowsInUnsentRecords: unsent,
      rowsSent: rows.closed - unsent,
      rowsDuplicate: repeats.rows,
      accountedWindow: windowLabel(core.accountingWindow.lengthMs),
      valuesTaken: values.taken,
      valuesBad: values.bad,
      valuesRefused: values.refused,
      devices: core.devices,
      windowsOpen: core.windowsOpen,
      windowsClosed: core.windowsClosed,
      records: receipt.total.records,
      messagesTaken: receipt.total.messages,
      messagesSent: messagesDecided,
      messagesDuplicate: repeats.messages,
      bytesTaken: receipt.total.perMessage.bytes,
      bytesSent: receipt.total.sent.bytes,
      blocksSent: receipt.total.sent.blocks,
      capturesTaken: this.#captures,
      journalBytes: this.#durable.journalBytes,
    }
  }

  readonly commands = [
    command({
      name: 'windows',
      summary: `Open windows, ${windowsShownMax} at most.`,
      arguments: z.strictObject({
        deviceId: z.string().optional().meta({ description: 'Those of this device alone.' }),
      }),
      job: false,
      run: async ({ deviceId }) => toJson(this.#openWindows(deviceId)),
    }),
    command({
      name: 'receipt',
      summary: 'What was taken, sent and saved since midnight UTC, or since the start.',
      arguments: z.strictObject({}),
      job: false,
      run: async () => toJson(this.#durable.aggregation.receiptNow(this.#context.clock.nowMs())),
    }),
  ]

  #openWindows(deviceId: string | undefined): JsonObject[] {
    const shown: JsonObject[] = []
    for (const each of this.#durable.aggregation.core.openWindows()) {
      if (shown.length >= windowsShownMax) break
      if (deviceId !== undefined && each.deviceId !== deviceId) continue
      const { lengthMs, startMs, closesAtMs, samples, badValues } = each.window
      shown.push({
        deviceId: each.deviceId,
        window: windowLabel(lengthMs),
        windowStart: new Date(startMs).toISOString(),
        closesAfter: new Date(closesAtMs).toISOString(),
        newestRow: new Date(each.newestMs).toISOString(),
        sampleCount: samples,
        badCount: badValues,
      })
    }
    return shown
  }

  /** Open windows stay open, and what waits goes on waiting: nothing is sent early. */
  async stop(): Promise<void> {
    this.#timer?.cancel()
    this.#orFail(() => this.#durable.close())
  }
}

/** The module on a given disk. */
export function startAggregator(
  context: ModuleContext,
  config: AggregatorConfig,
  parts: DurableParts,
): ModuleInstance<AggregatorConfig> {
  return new Aggregator(context, config, parts)
}

export const aggregator: ModuleDeclaration<AggregatorConfig> = {
  name: 'aggregator',
  config: aggregatorConfig,
  start: (context, config) => startAggregator(context, config, { fileSystem: nodeFileSystem }),
}
