import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { writeState } from '@weir/lib/atomic-file'
import type { Timer } from '@weir/lib/clock'
import { command } from '@weir/lib/command'
import { errorText } from '@weir/lib/errors'
import type { InputMessage } from '@weir/lib/hub'
import { type JsonObject, toJson } from '@weir/lib/json'
import { captureSchema } from '@weir/lib/messages'
import type { ModuleContext, ModuleDeclaration, ModuleInstance } from '@weir/lib/module'
import { loadState } from '@weir/lib/state'
import { z } from 'zod'
import { Aggregation, type Decision, savedAggregationSchema } from './aggregation.ts'
import { readArrival } from './arrival.ts'
import type { DecidedMessage } from './batch.ts'
import { type AggregatorConfig, aggregatorConfig } from './config.ts'
import { AggregatorMetrics } from './metrics.ts'
import { restoreUnsent, savedUnsentSchema, UnsentMessages } from './unsent.ts'
import { windowLabel } from './window.ts'
import type { Moment } from './window-core.ts'

const stateFile = 'windows.json'
const stateVersion = 1
const stateSchema = z.strictObject({ aggregation: savedAggregationSchema, unsent: savedUnsentSchema })
const tickMs = 1_000
/** Most rows that the command `windows` answers with: a direct method's answer is at most 128 KiB. */
const windowsShownMax = 200

class Aggregator implements ModuleInstance<AggregatorConfig> {
  readonly #context: ModuleContext
  readonly #aggregation: Aggregation
  readonly #metrics: AggregatorMetrics
  /** Processing time at which the monotonic clock stood at 0. */
  readonly #processingStartMs: number
  /** Rows kept, and rows kept out, when this process began: what came over from before. */
  readonly #atStart: { readonly kept: number; readonly keptOut: number }
  readonly #unsent = new UnsentMessages()
  #captures = 0
  #timer: Timer | undefined
  /** When `#timer` runs, and when it ran last, in processing time. */
  #timerMs = Number.POSITIVE_INFINITY
  #tickedMs = 0

  constructor(context: ModuleContext, config: AggregatorConfig) {
    this.#context = context
    const { aggregation, unsent } = restored(context, config)
    this.#aggregation = aggregation
    this.#metrics = new AggregatorMetrics(context.metrics, aggregation)
    this.#processingStartMs = aggregation.processingMs - context.clock.monotonicMs()
    for (const message of unsent) this.#publish(message)
    const { late, bad, refused } = aggregation.core.rows
    this.#atStart = { kept: this.#rowsKept(), keptOut: late + bad + refused }
    this.#tick()
  }

  apply(config: AggregatorConfig): void {
    this.#aggregation.configure(config)
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
    for (const { reason, detail } of reading.keptOut) this.#context.reject(reason, detail)
    const decision = this.#aggregation.telemetry(reading.arrival, this.#now())
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

  #now(): Moment {
    const { clock } = this.#context
    return { processingMs: this.#processingStartMs + clock.monotonicMs(), wallMs: clock.nowMs() }
  }

  #tick(): void {
    const now = this.#now()
    this.#tickedMs = now.processingMs
    this.#timerMs = Number.POSITIVE_INFINITY
    this.#carryOut(this.#aggregation.tick(now))
    this.#metrics.update(this.#aggregation)
    this.#schedule()
  }

  /** The next tick comes a second after the last, or when waiting records must leave. */
  #schedule(): void {
    const dueMs = Math.min(this.#tickedMs + tickMs, this.#aggregation.dueMs ?? Number.POSITIVE_INFINITY)
    if (dueMs >= this.#timerMs) return
    this.#timer?.cancel()
    this.#timerMs = dueMs
    this.#timer = this.#context.clock.setTimer(() => this.#tick(), dueMs - this.#now().processingMs)
  }

  #carryOut({ messages, refusals }: Decision): void {
    for (const { reason, count, detail } of refusals) this.#context.reject(reason, `${detail} (${count} at once)`)
    for (const message of messages) {
      const { outgoing, leftOut } = message
      if (leftOut > 0) this.#context.reject('recordTooWide', `${outgoing.messageId}: ${leftOut} figures do not fit`)
      this.#publish(message)
    }
  }

  #publish(message: DecidedMessage): void {
    this.#context.publish(message.outgoing)
    this.#unsent.add(message)
    this.#unsent.settle(this.#context.queued())
  }

  /** Rows in records that the hub has not taken. */
  #rowsUnsent(): number {
    this.#unsent.settle(this.#context.queued())
    return this.#aggregation.rowsWaiting + this.#unsent.rows
  }

  #rowsKept(): number {
    return this.#aggregation.core.rows.open + this.#rowsUnsent()
  }

  status(): JsonObject {
    const { core, repeats, receipt, messagesDecided } = this.#aggregation
    const { rows, values } = core
    const unsent = this.#rowsUnsent()
    return {
      rowsTaken: rows.taken,
      rowsLate: rows.late,
      rowsBad: rows.bad,
      rowsRefused: rows.refused,
      rowsOpen: rows.open,
      rowsInUnsentRecords: unsent,
      rowsSent: rows.closed - unsent,
      rowsDuplicate: repeats.rows,
      rowsKeptAtStart: this.#atStart.kept,
      rowsKeptOutAtStart: this.#atStart.keptOut,
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
      run: async () => toJson(this.#aggregation.receiptNow(this.#context.clock.nowMs())),
    }),
  ]

  #openWindows(deviceId: string | undefined): JsonObject[] {
    const shown: JsonObject[] = []
    for (const each of this.#aggregation.core.openWindows()) {
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

  /** What the hub has not taken is kept too: the queue of the host may not drain in time. */
  async stop(): Promise<void> {
    this.#timer?.cancel()
    this.#unsent.settle(this.#context.queued())
    const state = { aggregation: this.#aggregation.save(), unsent: this.#unsent.save() }
    writeState(join(this.#context.stateFolder, stateFile), stateVersion, toJson(state))
  }
}

interface Restored {
  readonly aggregation: Aggregation
  readonly unsent: readonly DecidedMessage[]
}

/**
 * Takes up what the last run left, and removes its file: read again after a kill, it would open windows that have been
 * sent since.
 */
function restored(context: ModuleContext, config: AggregatorConfig): Restored {
  const saved = loadState(context, stateFile, stateVersion, stateSchema)
  rmSync(join(context.stateFolder, stateFile), { force: true })
  if (saved === undefined) return { aggregation: new Aggregation(config), unsent: [] }
  try {
    return { aggregation: new Aggregation(config, saved.aggregation), unsent: restoreUnsent(saved.unsent) }
  } catch (error) {
    context.reject('stateDamaged', `${stateFile}: ${errorText(error)}`)
    return { aggregation: new Aggregation(config), unsent: [] }
  }
}

export const aggregator: ModuleDeclaration<AggregatorConfig> = {
  name: 'aggregator',
  config: aggregatorConfig,
  start: (context, config) => new Aggregator(context, config),
}
