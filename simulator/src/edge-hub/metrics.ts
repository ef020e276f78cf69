import { randomUUID } from 'node:crypto'
import { Counter, Gauge, Registry, Summary } from 'prom-client'
import { endpointName, type HubMessage, type QueuedMessage, upstreamTarget } from './message.ts'
import type { QueueLength } from './store.ts'

const quantiles = [0.1, 0.5, 0.9, 0.99]
/** A module that makes up output names must not fill the memory: the names after these are `other`. */
const outputNamesMax = 200

export type DropReason = 'no_route' | 'ttl_expiry' | 'too_large' | 'bad_topic'

/** Metrics under edgeHub's names and labels (docs: "Access built-in metrics"; `too_large` and `bad_topic` are ours). */
export class HubMetrics {
  readonly registry = new Registry()
  readonly #deviceId: string
  readonly #outputNames = new Set<string>()
  readonly #received: Counter
  readonly #sent: Counter
  readonly #dropped: Counter
  readonly #size: Summary
  readonly #sendDuration: Summary
  readonly #processDuration: Summary
  readonly #gets: Counter
  readonly #reports: Counter
  readonly #methods: Counter
  readonly #methodDuration: Summary
  readonly #connects: Counter
  readonly #connectFailures: Counter
  readonly #retries: Counter
  readonly #offline: Counter

  constructor(
    tags: { readonly iotHubHostname: string; readonly deviceId: string },
    state: { lengths(): readonly QueueLength[]; connectedClients(): number },
  ) {
    this.#deviceId = tags.deviceId
    this.registry.setDefaultLabels({
      iothub: tags.iotHubHostname,
      edge_device: tags.deviceId,
      instance_number: randomUUID(),
    })
    this.#received = this.#counter('messages_received_total', 'Messages received from clients', ['route_output', 'id'])
    const path = ['from', 'to', 'from_route_output', 'to_route_input']
    this.#sent = this.#counter('messages_sent_total', 'Messages sent to clients or upstream', [...path, 'priority'])
    this.#dropped = this.#counter('messages_dropped_total', 'Messages dropped', ['reason', 'from', 'from_route_output'])
    this.#size = this.#summary('message_size_bytes', 'Size of messages received', ['id'])
    this.#sendDuration = this.#summary('message_send_duration_seconds', 'Time to send a message', path)
    this.#processDuration = this.#summary(
      'message_process_duration_seconds',
      'Time from taking a message to sending it',
      ['from', 'to', 'priority'],
    )
    this.#gets = this.#counter('gettwin_total', 'GetTwin calls', ['source', 'id'])
    this.#reports = this.#counter('reported_properties_total', 'Reported property updates', ['target', 'id'])
    this.#methods = this.#counter('direct_methods_total', 'Direct method calls', ['from', 'to'])
    this.#methodDuration = this.#summary('direct_method_duration_seconds', 'Time of a direct method call', [
      'from',
      'to',
    ])
    this.#connects = this.#counter('client_connect_success_total', 'Clients that connected', ['id'])
    this.#connectFailures = this.#counter('client_connect_failed_total', 'Clients refused', ['id', 'reason'])
    this.#retries = this.#counter('operation_retry_total', 'Operations tried again', ['id', 'operation'])
    this.#offline = this.#counter('offline_count_total', 'Times the edge hub went offline', ['id'])
    this.#queueLength(state)
    this.#connectedClients(state)
  }

  received(message: HubMessage, size: number): void {
    const id = this.#id(message.moduleId)
    this.#received.inc({ route_output: this.#output(message.systemProperties['outputName']), id })
    this.#size.observe({ id }, size)
  }

  delivered({ message, target, input, priority }: QueuedMessage, tookMs: number, nowMs: number): void {
    const from = this.#id(message.moduleId)
    const to = target === upstreamTarget ? 'upstream' : this.#id(target)
    const from_route_output = this.#output(message.systemProperties['outputName'])
    const labels = { from, to, from_route_output, to_route_input: input }
    this.#sent.inc({ ...labels, priority })
    this.#sendDuration.observe(labels, tookMs / 1000)
    this.#processDuration.observe({ from, to, priority }, Math.max(0, nowMs - tookMs - message.enqueuedMs) / 1000)
  }

  dropped(reason: DropReason, moduleId: string, outputName: string): void {
    this.#dropped.inc({ reason, from: this.#id(moduleId), from_route_output: this.#output(outputName) })
  }

  gotTwin(moduleId: string): void {
    this.#gets.inc({ source: 'edge_hub', id: this.#id(moduleId) })
  }

  reported(moduleId: string): void {
    this.#reports.inc({ target: 'edge_hub', id: this.#id(moduleId) })
  }

  /** `from`: a module, or `upstream`. */
  method(from: string, to: string, tookMs: number): void {
    const labels = { from: from === 'upstream' ? from : this.#id(from), to: this.#id(to) }
    this.#methods.inc(labels)
    this.#methodDuration.observe(labels, tookMs / 1000)
  }

  connected(moduleId: string): void {
    this.#connects.inc({ id: this.#id(moduleId) })
  }

  refused(clientId: string): void {
    this.#connectFailures.inc({ id: clientId, reason: 'not_authenticated' })
  }

  retried(moduleId: string, operation: string): void {
    this.#retries.inc({ id: this.#id(moduleId), operation })
  }

  offline(): void {
    this.#offline.inc({ id: this.#id('$edgeHub') })
  }

  #id(moduleId: string): string {
    return `${this.#deviceId}/${moduleId}`
  }

  #output(name = ''): string {
    if (this.#outputNames.has(name)) return name
    if (this.#outputNames.size >= outputNamesMax) return 'other'
    this.#outputNames.add(name)
    return name
  }

  #counter(name: string, help: string, labelNames: string[]): Counter {
    return new Counter({ name: `edgehub_${name}`, help, labelNames, registers: [this.registry] })
  }

  #summary(name: string, help: string, labelNames: string[]): Summary {
    return new Summary({
      name: `edgehub_${name}`,
      help,
      labelNames,
      percentiles: quantiles,
      registers: [this.registry],
    })
  }

  #queueLength(state: { lengths(): readonly QueueLength[] }): void {
    const deviceId = this.#deviceId
    new Gauge({
      name: 'edgehub_queue_length',
      help: 'Messages waiting for an endpoint',
      labelNames: ['endpoint', 'priority'],
      registers: [this.registry],
      collect() {
        for (const { target, input, priority, count } of state.lengths()) {
          this.set({ endpoint: endpointName(deviceId, { target, input }), priority }, count)
        }
      },
    })
  }

  #connectedClients(state: { connectedClients(): number }): void {
    new Gauge({
      name: 'edgehub_connected_clients',
      help: 'Clients connected now',
      registers: [this.registry],
      collect() {
        this.set(state.connectedClients())
      },
    })
  }
}
