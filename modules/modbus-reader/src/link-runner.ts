import type { Clock, Timer } from '@weir/lib/clock'
import { errorText, WeirError } from '@weir/lib/errors'
import type { ReaderEvent, Row } from '@weir/lib/messages'
import type { ModbusConfig } from './config.ts'
import { Device, deviceFingerprint } from './device.ts'
import { UnitStatistics } from './doctor.ts'
import { groupsOfLink, type PollGroup } from './groups.ts'
import { UnitHealth } from './health.ts'
import { Link, type LinkAnswer, type LinkState } from './link.ts'
import type { LinkConfig } from './link-config.ts'
import { type Found, type Polled, pollGroup, rowOf } from './poll.ts'
import { UnitRefusals } from './refusals.ts'
import { PollSchedule } from './schedule.ts'
import type { Table } from './tables.ts'
import type { OpenTransport, ReadRequest, WriteRequest } from './transport.ts'

/** What a runner tells the module. */
export interface RunnerSink {
  publish(device: Device, rows: Row[]): void
  event(event: Omit<ReaderEvent, 'schemaVersion' | 'timestamp'>): void
  /** A poll is over. `overruns`: polls that never began, because the line was too slow. */
  polled(linkId: string, polled: Polled, overruns: number): void
  requested(linkId: string, answer: LinkAnswer): void
  /** Must not happen. */
  fault(error: WeirError): void
}

export interface RunnerOptions {
  readonly linkId: string
  readonly settings: LinkConfig
  readonly open: OpenTransport
  readonly clock: Clock
  readonly random: () => number
  readonly sink: RunnerSink
}

/** Polls the devices of one link, one request at a time. */
export class LinkRunner {
  /** Settings of the link; another fingerprint needs another runner. */
  readonly fingerprint: string
  readonly #options: RunnerOptions
  readonly #link: Link
  readonly #schedule = new PollSchedule()
  #groups = new Map<string, PollGroup>()
  #devices = new Map<string, Device>()
  #units = new Map<number, UnitHealth>()
  #refusals = new Map<number, UnitRefusals>()
  readonly #statistics = new Map<number, UnitStatistics>()
  #config: ModbusConfig | undefined
  #isStopped = false
  #wake: (() => void) | undefined

  constructor(options: RunnerOptions) {
    this.#options = options
    const { linkId, settings, sink } = options
    this.#link = new Link({
      ...options,
      onState: (state, detail) => this.#onLinkState(state, detail),
      onRequest: (answer) => sink.requested(linkId, answer),
    })
    this.fingerprint = JSON.stringify(settings)
    this.#run().catch((error: unknown) => {
      sink.fault(new WeirError('INTERNAL', `polling of link ${linkId} broke: ${errorText(error)}`, { cause: error }))
    })
  }

  get groups(): readonly PollGroup[] {
    return [...this.#groups.values()]
  }

  get linkState(): LinkState {
    return this.#link.state
  }

  get linkDetail(): string {
    return this.#link.stateDetail
  }

  /** Units by state. */
  get units(): ReadonlyMap<number, UnitHealth> {
    return this.#units
  }

  /** How the polls of a unit went; what probes brought is not in it. */
  statisticsOf(unitId: number): UnitStatistics {
    return this.#statistics.get(unitId) ?? new UnitStatistics()
  }

  /** Polls what `config` says of this link from now on; devices that did not change go on undisturbed. */
  apply(config: ModbusConfig): void {
    const { linkId, clock, random, settings, sink } = this.#options
    const publish: RunnerSink['publish'] = (device, rows) => sink.publish(device, rows)
    const before = this.#devices
    this.#devices = new Map()
    for (const [deviceId, device] of Object.entries(config.devices)) {
      if (device.link !== linkId) continue
      const old = before.get(deviceId)
      const isSame = old !== undefined && old.fingerprint === deviceFingerprint(config, device)
      this.#devices.set(deviceId, isSame ? old : new Device(deviceId, config, device, clock, publish))
    }
    for (const [deviceId, device] of before) {
      if (this.#devices.get(deviceId) === device) continue
      device.flush()
      this.#refusals.delete(device.config.unitId)
    }
    this.#config = config
    const groups = this.#plan(config)
    this.#units = new Map(
      groups.map(({ unitId }) => [unitId, this.#units.get(unitId) ?? new UnitHealth(settings, random)]),
    )
    this.#schedule.update(groups, clock.monotonicMs())
    this.#wake?.()
  }

  /** Plans all groups anew, with what is known of the units. */
  #plan(config: ModbusConfig): PollGroup[] {
    const groups = groupsOfLink(config, this.#options.linkId, (unitId) => (table, from, to) => {
      return this.#refusals.get(unitId)?.mayRead(table, from, to) ?? true
    })
    this.#groups = new Map(groups.map((group) => [group.key, group]))
    return groups
  }

  /** Reads between two polls, on the same connection; what comes of it changes nothing for the polls. */
  probe(request: ReadRequest, timeoutMs?: number): Promise<LinkAnswer> {
    return this.#link.read(request, { timeoutMs, isProbe: true })
  }

  /** Writes between two polls. */
  write(request: WriteRequest, timeoutMs?: number): Promise<LinkAnswer> {
    return this.#link.write(request, timeoutMs)
  }

  /** Stops polling, sends what is collected and closes the connection. */
  stop(): void {
    this.#isStopped = true
    this.#link.close()
    this.#wake?.()
    for (const device of this.#devices.values()) device.flush()
  }

  async #run(): Promise<void> {
    const { clock } = this.#options
    while (!this.#isStopped) {
      const due = this.#schedule.next()
      const waitMs = due === undefined ? undefined : due.dueMs - clock.monotonicMs()
      if (due === undefined || waitMs === undefined || waitMs > 0) await this.#rest(waitMs)
      else await this.#poll(due.key)
    }
  }

  /** Until `restMs` have passed, or the configuration changes; undefined: only that. */
  #rest(restMs: number | undefined): Promise<void> {
    return new Promise((resolve) => {
      let timer: Timer | undefined
      const done = (): void => {
        timer?.cancel()
        this.#wake = undefined
        resolve()
      }
      this.#wake = done
      if (restMs !== undefined) timer = this.#options.clock.setTimer(done, restMs)
    })
  }

  async #read(request: ReadRequest, timeoutMs: number | undefined, retries: number): Promise<LinkAnswer> {
    const answer = await this.#link.read(request, { timeoutMs, retries })
    const statistics = this.statisticsOf(request.unitId)
    statistics.record(answer)
    this.#statistics.set(request.unitId, statistics)
    return answer
  }

  async #poll(key: string): Promise<void> {
    const { clock, linkId, settings, sink } = this.#options
    const group = this.#groups.get(key)
    const unit = group === undefined ? undefined : this.#units.get(group.unitId)
    if (group === undefined || unit === undefined || !unit.mayAsk(clock.monotonicMs())) {
      this.#schedule.finish(key, clock.monotonicMs())
      return
    }
    if (this.#refusals.get(group.unitId)?.forgetDue(clock.monotonicMs()) === true && this.#config !== undefined) {
      this.#plan(this.#config)
      return
    }
    // Each retry to a unit that is away would hold up the others for one more time-out.
    const retries = unit.state === 'down' ? 0 : settings.retries
    const devices = group.rows.map(({ deviceId }) => this.#devices.get(deviceId))
    const polled = await pollGroup(group, (request) => this.#read(request, group.timeoutMs, retries))
    if (this.#isStopped) return
    const timestamp = new Date(clock.nowMs()).toISOString()
    // While a unit is silent or its link down, polls are missed for that reason and are no overruns.
    const missed = this.#schedule.finish(key, clock.monotonicMs())
    sink.polled(linkId, polled, polled.unit === 'answered' ? missed : 0)
    group.rows.forEach((row, index) => {
      const device = devices[index]
      // A device that a new configuration changed during the poll takes no row of the old one.
      if (device !== undefined && device === this.#devices.get(row.deviceId))
        device.add(key, rowOf(row, polled, timestamp))
    })
    this.#judge(group.unitId, unit, polled)
    if (group === this.#groups.get(key)) this.#learn(group.unitId, polled)
  }

  /** Remembers what the unit refuses, and tells of it once. A unit that refuses everything is only not ready. */
  #learn(unitId: number, { values, forbidden, healed }: Polled): void {
    if (this.#config === undefined || values.every((value) => value === undefined)) return
    if (forbidden.length + healed.length === 0) return
    const nowMs = this.#options.clock.monotonicMs()
    const known = this.#refusals.get(unitId) ?? new UnitRefusals(this.#config.refusedRetryMs)
    this.#refusals.set(unitId, known)
    const newlyForbidden = forbidden.filter((found) => known.learn(found, nowMs))
    const newlyHealed = healed.filter((found) => known.learn(found, nowMs))
    this.#plan(this.#config)
    this.#refusalEvents('registerForbidden', newlyForbidden, 'the device refuses them; check table and address')
    this.#refusalEvents('blockHealed', newlyHealed, 'the device refuses to read across them; read apart from now on')
  }

  /** One event for each device concerned. */
  #refusalEvents(kind: 'registerForbidden' | 'blockHealed', found: readonly Found[], why: string): void {
    const { linkId, sink } = this.#options
    for (const [deviceId, ofDevice] of Map.groupBy(found, ({ item }) => item.deviceId)) {
      const places = ofDevice.map(({ table, from, to, item }) => `${item.signalId}: ${rangeText(table, from, to)}`)
      const [only] = ofDevice
      const isOne = kind === 'registerForbidden' && ofDevice.length === 1 && only !== undefined
      const detail = `${deviceId} on link ${linkId}: ${why}: ${places.join(', ')}`
      sink.event({
        kind,
        link: linkId,
        deviceId,
        ...(isOne ? { signal: only.item.signalId } : {}),
        detail: detail.slice(0, eventDetailCharsMax),
      })
    }
  }

  #judge(unitId: number, unit: UnitHealth, { unit: found, detail }: Polled): void {
    if (found === 'answered' && unit.answered()) this.#unitEvent('unitUp', unitId, 'answers')
    if (found === 'silent' && unit.silent(this.#options.clock.monotonicMs())) {
      this.#unitEvent('unitDown', unitId, `does not answer: ${detail}`)
    }
    if (found === 'cutOff' && unit.cutOff()) this.#unitEvent('unitDown', unitId, `cannot be reached: ${detail}`)
  }

  /** One event for each device that lies in the unit. */
  #unitEvent(kind: 'unitUp' | 'unitDown', unitId: number, detail: string): void {
    const { linkId, sink } = this.#options
    for (const { id, config } of this.#devices.values()) {
      if (config.unitId !== unitId) continue
      sink.event({ kind, link: linkId, deviceId: id, detail: `${id} (unit ${unitId} on link ${linkId}) ${detail}` })
    }
  }

  #onLinkState(state: LinkState, detail: string): void {
    const { linkId, sink } = this.#options
    const kind = state === 'up' ? 'linkUp' : 'linkDown'
    sink.event({ kind, link: linkId, detail: `link ${linkId} ${state === 'up' ? 'is open' : `is down: ${detail}`}` })
  }
}

/** Longest detail of an event (docs/messages.md). */
const eventDetailCharsMax = 2048

function rangeText(table: Table, from: number, to: number): string {
  if (from === to) return `${table} before ${to}`
  return to - from === 1 ? `${table} ${from}` : `${table} ${from}-${to - 1}`
}
