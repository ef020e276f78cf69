import { type Anomaly, contentId, schemaVersion } from '@weir/lib/messages'
import { compileRules, type RuleChoice } from '@weir/lib/selector'
import type { DetectorConfig, LimitsRule } from './config.ts'
import { alertTypeOf, judgeLimits, type Side } from './limits.ts'

export interface Device {
  readonly deviceId: string
  readonly deviceType?: string | undefined
  readonly location?: string | undefined
}

/** What is kept of a signal that has been outside its limits; plain data, so that it can be saved. */
export interface SavedSignal {
  readonly deviceId: string
  readonly signal: string
  readonly ruleId: string
  readonly side: Side
  readonly anomalyId: string
  /** Rows up to this time have been judged. */
  readonly judgedMs: number
}

interface Watch {
  readonly signal: string
  readonly ruleId: string
  readonly rule: LimitsRule
  unit: string | undefined
  side: Side
  anomalyId: string
  judgedMs: number
  lastGoodValue: number | undefined
  lastGoodMs: number
}

/**
 * Judges signals against their rules. A pure state machine: the same rows in the same order give the same findings,
 * with the same ids, and rows judged before are passed over, so that a message delivered twice finds nothing twice.
 */
export class Judge {
  readonly #config: DetectorConfig
  readonly #choose: RuleChoice<LimitsRule>
  /** Watches by device and signal; null: no rule watches the signal. */
  readonly #devices = new Map<string, Map<string, Watch | null>>()
  readonly #saved = new Map<string, SavedSignal>()
  #signals = 0
  #refused = 0

  constructor(config: DetectorConfig, saved: readonly SavedSignal[] = []) {
    this.#config = config
    this.#choose = compileRules(config.rules)
    for (const signal of saved) this.#saved.set(`${signal.deviceId}/${signal.signal}`, signal)
  }

  /** Signals that a rule watches, and signals not watched because of `signalsMax`. */
  get watched(): number {
    return this.#signals
  }

  get refused(): number {
    return this.#refused
  }

  /**
   * Judges one value: the findings that it ends and begins, none where nothing changed.
   * @param timestampMs Unix milliseconds of the row.
   */
  take(device: Device, signal: string, value: number, timestampMs: number): readonly Anomaly[] {
    const watch = this.#watch(device, signal)
    if (watch === null || isRepeat(timestampMs, watch.judgedMs)) return nothing
    watch.judgedMs = timestampMs
    const before = watch.side
    const side = judgeLimits(before, value, watch.rule)
    const findings: Anomaly[] = []
    if (side !== before) {
      if (before !== 'inside') findings.push(describe(device, watch, before, 'normal', value, timestampMs))
      watch.side = side
      if (side !== 'inside') {
        watch.anomalyId = contentId('anomaly', `${device.deviceId}|${signal}|${watch.ruleId}|${side}|${timestampMs}`)
        findings.push(describe(device, watch, side, 'active', value, timestampMs))
      }
    }
    if (side === 'inside') {
      watch.lastGoodValue = value
      watch.lastGoodMs = timestampMs
    }
    return findings.length === 0 ? nothing : findings
  }

  /** Teaches the units of a device's signals, for findings and their sentences. */
  units(device: Device, units: Readonly<Record<string, string>>): void {
    for (const [signal, unit] of Object.entries(units)) {
      const watch = this.#watch(device, signal)
      if (watch !== null) watch.unit = unit
    }
  }

  /** What must survive a restart: every signal that has ever changed side. */
  saved(): SavedSignal[] {
    const saved = new Map(this.#saved)
    for (const [deviceId, signals] of this.#devices) {
      for (const watch of signals.values()) {
        if (watch === null || watch.anomalyId === '') continue
        saved.set(`${deviceId}/${watch.signal}`, {
          deviceId,
          signal: watch.signal,
          ruleId: watch.ruleId,
          side: watch.side,
          anomalyId: watch.anomalyId,
          judgedMs: watch.judgedMs,
        })
      }
    }
    return [...saved.values()]
  }

  /** Signals that are outside their limits now. */
  active(): SavedSignal[] {
    return this.saved().filter((signal) => signal.side !== 'inside')
  }

  /** The watch of a signal, null where no rule watches it. Over the limit on signals nothing is remembered of it. */
  #watch(device: Device, signal: string): Watch | null {
    const known = this.#devices.get(device.deviceId)?.get(signal)
    if (known !== undefined) return known
    if (this.#signals >= this.#config.signalsMax) {
      this.#refused += 1
      return null
    }
    this.#signals += 1
    const watch = this.#newWatch(device, signal)
    const signals = this.#devices.get(device.deviceId) ?? new Map<string, Watch | null>()
    this.#devices.set(device.deviceId, signals.set(signal, watch))
    return watch
  }

  #newWatch(device: Device, signal: string): Watch | null {
    const chosen = this.#choose({ ...device, signal })
    if (chosen === undefined) return null
    const before = this.#saved.get(`${device.deviceId}/${signal}`)
    const saved = before?.ruleId === chosen.id ? before : undefined
    return {
      signal,
      ruleId: chosen.id,
      rule: chosen.rule,
      unit: undefined,
      side: saved?.side ?? 'inside',
      anomalyId: saved?.anomalyId ?? '',
      judgedMs: saved?.judgedMs ?? Number.NEGATIVE_INFINITY,
      lastGoodValue: undefined,
      lastGoodMs: 0,
    }
  }
}

const nothing: readonly Anomaly[] = []

/** What the hub delivers twice lies close behind what was judged last; a row further back comes from a clock set back. */
const repeatMsMax = 60_000

function isRepeat(timestampMs: number, judgedMs: number): boolean {
  return timestampMs <= judgedMs && timestampMs > judgedMs - repeatMsMax
}

function describe(
  device: Device,
  watch: Watch,
  side: 'high' | 'low',
  state: Anomaly['state'],
  value: number,
  timestampMs: number,
): Anomaly {
  const { rule, signal, unit } = watch
  const limit = side === 'high' ? rule.high : rule.low
  const withUnit = (number: number | undefined): string => `${number}${unit === undefined ? '' : ` ${unit}`}`
  const place = `${device.deviceId} ${signal} ${withUnit(value)}`
  return {
    schemaVersion,
    anomalyId: watch.anomalyId,
    deviceId: device.deviceId,
    ...(device.deviceType === undefined ? {} : { deviceType: device.deviceType }),
    ...(device.location === undefined ? {} : { location: device.location }),
    signal,
    rule: watch.ruleId,
    detector: rule.kind,
    alertType: alertTypeOf(rule, side, signal),
    severity: rule.severity,
    state,
    value,
    ...(unit === undefined ? {} : { unit }),
    expected: {
      ...(rule.low === undefined ? {} : { low: rule.low }),
      ...(rule.high === undefined ? {} : { high: rule.high }),
    },
    timestamp: new Date(timestampMs).toISOString(),
    ...(state === 'active' && watch.lastGoodValue !== undefined
      ? { lastGood: { value: watch.lastGoodValue, timestamp: new Date(watch.lastGoodMs).toISOString() } }
      : {}),
    explanation:
      state === 'active'
        ? `${place}, ${side === 'high' ? 'above' : 'below'} the limit ${withUnit(limit)}`
        : `${place}, back inside the limit ${withUnit(limit)}`,
  }
}
