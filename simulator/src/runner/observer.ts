/** Gathers what the view shows, from the parts of a running simulator. */
import type { Clock } from '@weir/lib/clock'
import { saving } from '@weir/lib/meter'
import type { CloudMessage } from '../cloud/cloud-message.ts'
import { messageTypeOf } from '../cloud/cloud-message.ts'
import { AlertWatch, type ChangeLookup } from './alerts.ts'
import { edgeHubName } from './module-processes.ts'
import { Rate } from './rates.ts'
import type { Settings } from './report.ts'
import type { Runtime } from './runtime.ts'
import { liveSettings } from './settings.ts'
import type { SupervisorEvent } from './supervisor.ts'
import { alertText, type ModuleView, type ReceiptView, type ViewState } from './view.ts'

const rateWindowMs = 5000
const noticesMax = 50
/** Log lines of modules up to this syslog severity are shown: warning and worse. */
const severityShown = 4

export interface ObserverParts {
  readonly clock: Clock
  readonly subject: string
  readonly durationS: number | undefined
  readonly hints: readonly string[]
  readonly changed: ChangeLookup
  /** Each thing worth a line of its own, as it happens. */
  onNotice(text: string): void
}

/** Text of a module's log line that is a warning or worse; undefined for others. */
export function noteworthyText(line: string): string | undefined {
  const [, severity, text] = /^<(\d)> \S+ \S+ \S+ (\[\w+\] .*)$/.exec(line) ?? []
  if (severity === undefined) return /^\w*Error( \[\w+\])?: /.test(line) ? line.trim() : undefined
  return Number(severity) <= severityShown ? text : undefined
}

export class Observer {
  readonly alerts: AlertWatch
  production: ReceiptView | undefined
  readonly #parts: ObserverParts
  readonly #rows = new Rate(rateWindowMs)
  readonly #values = new Rate(rateWindowMs)
  readonly #cpu = new Map<string, Rate>()
  readonly #notices: string[] = []
  #settings: (() => Settings) | undefined
  #startMs: number
  #firstReadingS: number | undefined
  #firstAggregateS: number | undefined

  constructor(parts: ObserverParts) {
    this.#parts = parts
    this.alerts = new AlertWatch(parts.changed)
    this.#startMs = parts.clock.monotonicMs()
  }

  /** The modules start now. */
  begin(): void {
    this.#startMs = this.#parts.clock.monotonicMs()
  }

  get elapsedS(): number {
    return (this.#parts.clock.monotonicMs() - this.#startMs) / 1000
  }

  event(event: SupervisorEvent): void {
    if (event.type === 'line') {
      const text = noteworthyText(event.line)
      if (text !== undefined) this.notice(`${event.module}: ${text}`)
    } else if (event.type === 'died') {
      this.notice(`${event.module} died (${event.exit}) and ${event.next}`)
      for (const line of event.log) this.#parts.onNotice(`  ${event.module}: ${line}`)
    } else if (event.restarts > 0) this.notice(`${event.module} started again`)
  }

  message(message: CloudMessage): void {
    const alert = this.alerts.take(message)
    if (alert !== undefined) this.#parts.onNotice(`alert ${alertText(alert)}`)
    if (this.#firstAggregateS === undefined && messageTypeOf(message) === 'aggregate') {
      this.#firstAggregateS = this.elapsedS
      this.notice(`first aggregate at the hub ${this.elapsedS.toFixed(1)} s after the start`)
    }
  }

  get hasReadings(): boolean {
    return this.#firstReadingS !== undefined
  }

  notice(text: string): void {
    this.#notices.unshift(text)
    this.#notices.splice(noticesMax)
    this.#parts.onNotice(text)
  }

  /** Brings rates up to date with what the edge hub counted last. */
  sample(runtime: Runtime): void {
    const nowMs = this.#parts.clock.monotonicMs()
    const { rows, values } = runtime.edgeHub.sums
    this.#rows.add(rows, nowMs)
    this.#values.add(values, nowMs)
    for (const { name, cpuS } of runtime.supervisor.statuses()) {
      const rate = this.#cpu.get(name) ?? new Rate(rateWindowMs)
      this.#cpu.set(name, rate)
      rate.add(cpuS, nowMs)
    }
    if (this.#firstReadingS === undefined && rows > 0) {
      this.#firstReadingS = this.elapsedS
      this.notice(`first readings ${this.elapsedS.toFixed(1)} s after the start of the modules`)
    }
  }

  receipt(runtime: Runtime): ReceiptView {
    this.#settings ??= liveSettings(runtime.cloud)
    const { perRow, perMessage } = runtime.edgeHub.sums
    const { sent } = runtime.cloud.report()
    return { settings: this.#settings(), perRow: saving(perRow, sent), perMessage: saving(perMessage, sent) }
  }

  view(runtime: Runtime): ViewState {
    const report = runtime.cloud.report()
    return {
      elapsedS: this.elapsedS,
      durationS: this.#parts.durationS,
      subject: this.#parts.subject,
      modules: this.#modules(runtime),
      rowsPerS: this.#rows.perS,
      valuesPerS: this.#values.perS,
      hub: report.sent,
      upstreamConnected: runtime.cloud.edgeHubConnected,
      faults: runtime.faults.activeTexts(),
      alerts: this.alerts.latest,
      alertsRaised: report.alerts.raised,
      receipt: this.receipt(runtime),
      production: this.production,
      notices: this.#notices,
      hints: this.#parts.hints,
    }
  }

  #modules(runtime: Runtime): ModuleView[] {
    const connected = new Set(runtime.edgeHub.latest?.connectedModules)
    return runtime.supervisor.statuses().map((status) => ({
      ...status,
      connected: status.name === edgeHubName ? undefined : connected.has(status.name),
      cpuPct: (this.#cpu.get(status.name)?.perS ?? 0) * 100,
    }))
  }
}
