import { join } from 'node:path'
import { writeState } from '@weir/lib/atomic-file'
import { command } from '@weir/lib/command'
import type { InputMessage } from '@weir/lib/hub'
import { type JsonObject, toJson } from '@weir/lib/json'
import {
  type Alert,
  alertSchema,
  anomalySchema,
  contentId,
  eventSchema,
  type ReaderEvent,
  sourceProperties,
} from '@weir/lib/messages'
import type { ModuleContext, ModuleDeclaration, ModuleInstance } from '@weir/lib/module'
import { loadState } from '@weir/lib/state'
import { z } from 'zod'
import { alertIdentity, alertOfAnomaly, alertOfEvent, type DownSince } from './alerts.ts'
import { type ForwarderConfig, forwarderConfig } from './config.ts'
import { Remembered } from './remembered.ts'

const eventsKeptMax = 200
const stateFile = 'alerts.json'
const stateVersion = 1

/** What survives a restart. */
const stateSchema = z.object({
  remembered: z.array(z.string()),
  active: z.array(alertSchema),
  downSince: z.array(z.tuple([z.string(), z.string()])),
})

class AlertForwarder implements ModuleInstance<ForwarderConfig> {
  readonly #context: ModuleContext
  #config: ForwarderConfig
  readonly #remembered: Remembered
  readonly #active: Map<string, Alert>
  readonly #downSince: DownSince
  readonly #events: ReaderEvent[] = []
  #sent = 0
  #repeats = 0

  constructor(context: ModuleContext, config: ForwarderConfig) {
    this.#context = context
    this.#config = config
    const state = loadState(context, stateFile, stateVersion, stateSchema)
    this.#remembered = new Remembered(config.rememberedMax, state?.remembered)
    this.#active = new Map(state?.active.map((alert) => [alert.alertId, alert]))
    this.#downSince = new Map(state?.downSince)
  }

  apply(config: ForwarderConfig): void {
    this.#config = config
    this.#remembered.resize(config.rememberedMax)
  }

  input(message: InputMessage): void {
    if (message.input !== 'anomalies' && message.input !== 'events') {
      this.#context.reject('unknownInput', `input ${message.input} is none of anomalies, events`)
      return
    }
    let body: unknown
    try {
      body = JSON.parse(message.body.toString('utf8'))
    } catch (error) {
      this.#context.reject('malformedJson', `${message.input}: ${error instanceof Error ? error.message : error}`)
      return
    }
    if (message.input === 'anomalies') this.#anomaly(body)
    else this.#event(body)
  }

  #anomaly(body: unknown): void {
    const parsed = anomalySchema.safeParse(body)
    if (parsed.success) this.#forward(alertOfAnomaly(parsed.data))
    else this.#context.reject('badAnomaly', z.prettifyError(parsed.error))
  }

  #event(body: unknown): void {
    const parsed = eventSchema.safeParse(body)
    if (!parsed.success) {
      this.#context.reject('badEvent', z.prettifyError(parsed.error))
      return
    }
    this.#events.push(parsed.data)
    if (this.#events.length > eventsKeptMax) this.#events.shift()
    if (!this.#config.deviceDown.enabled) return
    const alert = alertOfEvent(parsed.data, this.#config.deviceDown.severity, this.#downSince)
    if (alert !== undefined) this.#forward(alert)
  }

  /** Queued before it is remembered: a kill in between sends it again under the same messageId, and loses nothing. */
  #forward(alert: Alert): void {
    const identity = alertIdentity(alert)
    if (this.#remembered.has(identity)) {
      this.#repeats += 1
      return
    }
    this.#context.publish({
      output: 'alerts',
      messageType: 'alert',
      messageId: contentId('alert', identity),
      body: Buffer.from(JSON.stringify(alert)),
      properties: { ...this.#config.properties, ...sourceProperties(alert) },
      urgent: true,
    })
    this.#sent += 1
    this.#remembered.add(identity)
    if (alert.state === 'active') this.#active.set(alert.alertId, alert)
    else this.#active.delete(alert.alertId)
    this.#save()
  }

  #save(): void {
    const state: z.infer<typeof stateSchema> = {
      remembered: this.#remembered.names(),
      active: [...this.#active.values()],
      downSince: [...this.#downSince],
    }
    writeState(join(this.#context.stateFolder, stateFile), stateVersion, toJson(state))
  }

  status(): JsonObject {
    return {
      alertsSent: this.#sent,
      alertsActive: this.#active.size,
      repeats: this.#repeats,
      events: this.#events.length,
      devicesDown: this.#downSince.size,
    }
  }

  readonly commands = [
    command({
      name: 'alerts',
      summary: 'Alerts that are active now.',
      arguments: z.strictObject({}),
      job: false,
      run: async () => toJson([...this.#active.values()]),
    }),
    command({
      name: 'events',
      summary: `The latest events of the readers, ${eventsKeptMax} at most.`,
      arguments: z.strictObject({}),
      job: false,
      run: async () => toJson(this.#events),
    }),
  ]

  async stop(): Promise<void> {
    this.#save()
  }
}

export const alertForwarder: ModuleDeclaration<ForwarderConfig> = {
  name: 'alert-forwarder',
  config: forwarderConfig,
  start: (context, config) => new AlertForwarder(context, config),
}
