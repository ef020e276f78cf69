import { type Alert, alertSchema } from '@weir/lib/messages'
import type { CloudMessage } from '../cloud/cloud-message.ts'
import { messageTypeOf, parseBody } from '../cloud/cloud-message.ts'
import { RecentSet } from '../cloud/recent-map.ts'
import type { AlertView } from './view.ts'

/** When the registers of a signal took a value: Unix milliseconds, undefined where nobody remembers (see PlantImage.changedMs). */
export type ChangeLookup = (deviceId: string, signal: string, value: number, timestampMs: number) => number | undefined

/** Alerts whose repeats are known, and whose latencies count. */
const alertsMax = 10_000
const latestMax = 100

/** A reader stamps a row when the answer is there; the register may have changed while it was on its way. */
const stampToleranceMs = 100

function viewOf(alert: Alert, latencyMs: number | undefined): AlertView {
  const { alertId, alertType, severity, state, timestamp, explanation } = alert
  return { alertId, alertType, severity, state, timestamp, explanation, latencyMs }
}

/** Alerts as they reach the hub stand-in, and how long each took from the register's change. */
export class AlertWatch {
  readonly #changed: ChangeLookup
  readonly #seen = new RecentSet(alertsMax)
  /** Newest first. */
  readonly latest: AlertView[] = []
  /** Of each alert raised whose register's change is known. */
  readonly latenciesMs: number[] = []

  constructor(changed: ChangeLookup) {
    this.#changed = changed
  }

  /** Takes a message of the hub stand-in; the alert in it, where it holds one that was not here before. */
  take(message: CloudMessage): AlertView | undefined {
    if (messageTypeOf(message) !== 'alert') return undefined
    const body = parseBody(message)
    const alert = alertSchema.safeParse('value' in body ? body.value : undefined)
    if (!alert.success) return undefined
    const { alertId, state, timestamp } = alert.data
    const identity = `${alertId}|${state}|${timestamp}`
    if (!this.#seen.add(identity)) return undefined
    const view = viewOf(alert.data, this.#latencyMs(alert.data, message.enqueuedMs))
    if (state === 'active' && view.latencyMs !== undefined) {
      this.latenciesMs.push(view.latencyMs)
      if (this.latenciesMs.length > alertsMax) this.latenciesMs.shift()
    }
    this.latest.unshift(view)
    this.latest.splice(latestMax)
    return view
  }

  #latencyMs({ deviceId, signal, value, timestamp }: Alert, arrivedMs: number): number | undefined {
    if (signal === undefined || typeof value !== 'number') return undefined
    const changedMs = this.#changed(deviceId, signal, value, Date.parse(timestamp) + stampToleranceMs)
    return changedMs === undefined ? undefined : arrivedMs - changedMs
  }
}
