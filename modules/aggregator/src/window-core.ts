import { believableTimestampMsMin } from '@weir/lib/limits'
import type { AggregateRecord } from '@weir/lib/messages'
import type { DecodedRow, DecodedTelemetry } from '@weir/lib/telemetry'
import { type AggregatorConfig, lateArrivalMsMax } from './config.ts'
import { Device } from './device.ts'
import { makePlan, type Plan, type PlanConfig } from './plan.ts'
import { makeRecord } from './record.ts'
import { planKey, restoreDevice, type SavedWindows, saveDevice } from './saved.ts'
import { type Numbering, OpenWindow, type WindowKind, windowStartMs } from './window.ts'

export type CoreConfig = PlanConfig &
  Pick<
    AggregatorConfig,
    'deviceIdleMs' | 'clockSkewMs' | 'devicesMax' | 'signalsPerDeviceMax' | 'openWindowsPerDeviceMax'
  >

/** The two times of an input, in whole milliseconds. All that the aggregator knows of clocks comes in through this. */
export interface Moment {
  /** Milliseconds that the aggregator has been running, over its restarts; never goes back. */
  readonly processingMs: number
  /** Wall clock, Unix milliseconds; may step. */
  readonly wallMs: number
}

export interface ClosedWindow {
  readonly record: AggregateRecord
  /** Rows that this record answers for. */
  readonly accounted: number
}

export interface Refusal {
  readonly reason: 'fromFuture' | 'tooManyDevices' | 'tooManySignals' | 'tooManyOpenWindows'
  /** Rows, or values where the reason is `tooManySignals`. */
  count: number
  readonly detail: string
}

export interface CoreOutcome {
  readonly closed: readonly ClosedWindow[]
  readonly refusals: readonly Refusal[]
}

/**
 * The account of rows. Each row is in exactly one place, by the shortest window of the plan:
 * `taken = late + bad + refused + open + closed`.
 */
export interface RowAccount {
  taken: number
  /** Came after their window had closed. */
  late: number
  /** Had no good value. */
  bad: number
  /** Kept out by a limit or by their timestamp. */
  refused: number
  /** In windows that are open. */
  open: number
  /** In windows that have closed: their records answer for them. */
  closed: number
  /** Also late for a longer window than the one that accounts for them; not a place of its own. */
  lateElsewhere: number
}

/** A device is forgotten after this: no message waits longer in the edge hub (`timeToLiveSecs` of the manifest). */
const forgetAfterMs = 7 * 86_400_000

/**
 * Rows in, records of closed windows out. A deterministic state machine: what it holds and gives depends on its inputs
 * and their order alone, and `save` and `restore` carry it over a restart without a trace.
 *
 * A device's watermark is the time of its newest row. A window closes when the watermark has passed its end by
 * `lateArrivalMs`; a device that is idle closes a window when that much time has passed without it. A closed window
 * never opens again.
 */
export class WindowCore {
  #config: CoreConfig
  #plan: Plan
  readonly #devices = new Map<string, Device>()
  readonly rows: RowAccount = { taken: 0, late: 0, bad: 0, refused: 0, open: 0, closed: 0, lateElsewhere: 0 }
  readonly values = { taken: 0, bad: 0, refused: 0 }
  windowsClosed = 0
  #closed: ClosedWindow[] = []
  #refusals: Refusal[] = []

  constructor(config: CoreConfig) {
    this.#config = config
    this.#plan = makePlan(config)
  }

  get devices(): number {
    return this.#devices.size
  }

  get windowsOpen(): number {
    let open = 0
    for (const device of this.#devices.values()) open += device.open.length
    return open
  }

  /** Unit by signal, of each device whose reader has named any. */
  *units(): Generator<readonly [deviceId: string, units: Readonly<Record<string, string>>]> {
    for (const [deviceId, { units, signals }] of this.#devices) {
      if (units.size === 0) continue
      yield [deviceId, Object.fromEntries([...units].map(([signal, unit]) => [signals[signal] ?? '', unit]))]
    }
  }

  /** The window whose records account for the rows. */
  get accountingWindow(): WindowKind {
    return this.#plan.windows[0]
  }

  take(batch: DecodedTelemetry, now: Moment): CoreOutcome {
    const device = this.#deviceOf(batch, now)
    if (device === undefined) {
      this.#refuseAll(batch)
      return this.#outcome()
    }
    device.lastMessageMs = now.processingMs
    device.describe(batch.deviceType, batch.location)
    const one = countsRows(batch) ? 1 : 0
    for (const row of batch.rows) this.#takeRow(device, row, batch.clockTrusted, one, now.wallMs)
    if (batch.units !== undefined) device.name(batch.units)
    return this.#outcome()
  }

  /** Counts rows that were kept out before they came here. */
  refuseRows(rows: number): void {
    this.rows.taken += rows
    this.rows.refused += rows
  }

  /** Lets time pass: closes windows of idle devices. To be called every second or so. */
  tick(now: Moment): CoreOutcome {
    for (const [id, device] of this.#devices) {
      if (!this.#isDue(device, now)) continue
      const idleMs = now.processingMs - device.lastMessageMs
      if (device.open.length > 0) this.#close(device, device.newestMs + idleMs)
      else this.#devices.delete(id)
    }
    return this.#outcome()
  }

  /** true: `tick` would close a window or forget a device. */
  isDue(now: Moment): boolean {
    for (const device of this.#devices.values()) if (this.#isDue(device, now)) return true
    return false
  }

  #isDue(device: Device, now: Moment): boolean {
    const idleMs = now.processingMs - device.lastMessageMs
    if (idleMs < this.#config.deviceIdleMs) return false
    return device.open.length > 0 ? device.newestMs + idleMs >= device.nextCloseMs : idleMs >= forgetAfterMs
  }

  /** Takes a new configuration. Windows that are open take their rows to their end and are finished under the old one. */
  configure(config: CoreConfig): void {
    this.#config = config
    if (planKey(config) !== planKey(this.#plan.config)) this.#plan = makePlan(config)
    this.#retire()
  }

  /** All that it holds, as plain data. */
  save(): SavedWindows {
    const plans: PlanConfig[] = []
    const places = new Map<Plan, number>()
    const placeOf = (plan: Plan): number => {
      const place = places.get(plan) ?? plans.push(plan.config) - 1
      places.set(plan, place)
      return place
    }
    const devices = [...this.#devices.values()].map((device) => saveDevice(device, placeOf))
    const { rows, values, windowsClosed } = this
    return { plans, devices, rows: { ...rows }, values: { ...values }, windowsClosed }
  }

  /** A core that goes on where `saved` left off; open windows are finished under the plans that they were saved with. */
  static restore(config: CoreConfig, saved: SavedWindows): WindowCore {
    const core = new WindowCore(config)
    const plans = saved.plans.map((each) =>
      planKey(each) === planKey(core.#plan.config) ? core.#plan : makePlan(each),
    )
    for (const each of saved.devices) core.#devices.set(each.deviceId, restoreDevice(each, plans))
    Object.assign(core.rows, saved.rows)
    Object.assign(core.values, saved.values)
    core.windowsClosed = saved.windowsClosed
    core.#retire()
    return core
  }

  /** Open windows, by device and in the order of their opening. */
  *openWindows(): Generator<{ readonly deviceId: string; readonly newestMs: number; readonly window: OpenWindow }> {
    for (const { source, newestMs, open } of this.#devices.values()) {
      for (const window of open) yield { deviceId: source.deviceId, newestMs, window }
    }
  }

  /** Sorts out, after a change, which open windows the plan no longer has, and which closed ones need no memory. */
  #retire(): void {
    const lengths = new Set(this.#plan.windows.map(({ lengthMs }) => lengthMs))
    for (const device of this.#devices.values()) {
      device.current = []
      device.hasRetired = device.open.some(({ lengthMs }) => !lengths.has(lengthMs))
      for (const [lengthMs, endMs] of device.closedUpToMs) {
        const lateForAny = endMs + lateArrivalMsMax <= device.newestMs
        if (!lengths.has(lengthMs) && lateForAny) device.closedUpToMs.delete(lengthMs)
      }
    }
  }

  #takeRow(device: Device, row: DecodedRow, clockTrusted: boolean, one: number, wallMs: number): void {
    const { timestampMs } = row
    // A clock that was never set says nothing about the rows.
    const ahead = wallMs >= believableTimestampMsMin && timestampMs > wallMs + this.#config.clockSkewMs
    this.rows.taken += one
    if (ahead && timestampMs > device.newestMs + this.#config.clockSkewMs) {
      this.rows.refused += one
      this.#refuse('fromFuture', device.source.deviceId, () => `stamped ${new Date(timestampMs).toISOString()}`)
      return
    }
    const numbering = device.numbersOf(row.signals, this.#config.signalsPerDeviceMax)
    this.#countValues(device, row, numbering)
    this.#placeRow(device, row, numbering, clockTrusted, one)
    // A row from the future within what the device has shown before is taken, but moves no watermark.
    if (ahead || timestampMs <= device.newestMs) return
    device.newestMs = timestampMs
    if (timestampMs >= device.nextCloseMs) this.#close(device, timestampMs)
  }

  #countValues(device: Device, { signals, bad }: DecodedRow, { refused }: Numbering): void {
    this.values.taken += signals.length + bad.length
    this.values.bad += bad.length
    this.values.refused += refused
    if (refused === 0) return
    this.#refuse('tooManySignals', device.source.deviceId, () => `exceeds ${this.#config.signalsPerDeviceMax}`, refused)
  }

  /** Puts a row into its windows and into the account. */
  #placeRow(device: Device, row: DecodedRow, numbering: Numbering, clockTrusted: boolean, one: number): void {
    const good = row.signals.length > numbering.refused
    const { windows } = this.#plan
    if (!good) {
      if (numbering.refused > 0) this.rows.refused += one
      else this.rows.bad += one
      if (row.bad.length === 0) return
    }
    for (let kind = 0; kind < windows.length; kind++) {
      const window = this.#windowFor(device, kind, row.timestampMs)
      if (typeof window === 'object') {
        window.take(row, numbering, clockTrusted, one)
        if (!good || kind > 0) continue
        window.accounted += one
        this.rows.open += one
      } else if (good && kind === 0) this.rows[window] += one
      else if (good && window === 'late') this.rows.lateElsewhere += one
    }
    if (!device.hasRetired) return
    for (const window of device.open) {
      const retired = windows.every(({ lengthMs }) => lengthMs !== window.lengthMs)
      if (retired && window.holds(row.timestampMs)) window.take(row, numbering, clockTrusted, one)
    }
  }

  #windowFor(device: Device, kind: number, timestampMs: number): OpenWindow | 'late' | 'refused' {
    const current = device.current[kind]
    if (current?.holds(timestampMs)) return current
    const windowKind = this.#plan.windows[kind]
    if (windowKind === undefined) return 'refused'
    const { lengthMs } = windowKind
    const window =
      device.open.find((open) => open.lengthMs === lengthMs && open.holds(timestampMs)) ??
      this.#openWindow(device, windowKind, windowStartMs(timestampMs, lengthMs))
    if (typeof window === 'object') device.current[kind] = window
    return window
  }

  #openWindow(device: Device, kind: WindowKind, startMs: number): OpenWindow | 'late' | 'refused' {
    const endMs = startMs + kind.lengthMs
    const closedUpToMs = device.closedUpToMs.get(kind.lengthMs) ?? Number.NEGATIVE_INFINITY
    if (endMs + kind.lateArrivalMs <= device.newestMs || endMs <= closedUpToMs) return 'late'
    const openMax = this.#config.openWindowsPerDeviceMax
    if (device.open.length >= openMax) {
      this.#refuse('tooManyOpenWindows', device.source.deviceId, () => `exceeds ${openMax}`)
      return 'refused'
    }
    const window = new OpenWindow(this.#plan, kind, startMs, device.newStatistics())
    device.addWindow(window)
    return window
  }

  #close(device: Device, nowMs: number): void {
    for (const window of device.takeClosing(nowMs)) {
      const ruleFor = (signal: number) => device.ruleFor(window.plan, signal)
      const record = makeRecord(device.source, window, device.signals, ruleFor)
      this.#closed.push({ record, accounted: window.accounted })
      this.rows.open -= window.accounted
      this.rows.closed += window.accounted
      this.windowsClosed += 1
    }
  }

  #deviceOf({ deviceId, deviceType, location }: DecodedTelemetry, now: Moment): Device | undefined {
    const known = this.#devices.get(deviceId)
    if (known !== undefined) return known
    if (this.#devices.size >= this.#config.devicesMax) return undefined
    const device = new Device({ deviceId, deviceType, location }, now.processingMs)
    this.#devices.set(deviceId, device)
    return device
  }

  #refuseAll(batch: DecodedTelemetry): void {
    const rows = countsRows(batch) ? batch.rows.length : 0
    this.rows.taken += rows
    this.rows.refused += rows
    this.#refuse(
      'tooManyDevices',
      batch.deviceId,
      () => `exceeds ${this.#config.devicesMax} devices`,
      batch.rows.length,
    )
  }

  #refuse(reason: Refusal['reason'], deviceId: string, detail: () => string, count = 1): void {
    const known = this.#refusals.find((refusal) => refusal.reason === reason)
    if (known === undefined) this.#refusals.push({ reason, count, detail: `${deviceId}: ${detail()}` })
    else known.count += count
  }

  #outcome(): CoreOutcome {
    const outcome = { closed: this.#closed, refusals: this.#refusals }
    this.#closed = []
    this.#refusals = []
    return outcome
  }
}

/** A row split by columns counts once, with its first part. */
function countsRows({ part }: DecodedTelemetry): boolean {
  return part === undefined || part <= 1
}
