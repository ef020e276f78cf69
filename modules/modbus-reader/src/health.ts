import { type BackoffLimits, backoffDelayMs } from './backoff.ts'

export interface HealthLimits extends BackoffLimits {
  readonly timeoutsMax: number
}

export type UnitState = 'unknown' | 'up' | 'down'

/**
 * Whether a unit answers. After `timeoutsMax` time-outs in a row it is away and is asked only as often as the back-off
 * allows, so that it does not hold up the others on its link.
 */
export class UnitHealth {
  readonly #limits: HealthLimits
  readonly #random: () => number
  #state: UnitState = 'unknown'
  #timeouts = 0
  #retryAtMs = Number.NEGATIVE_INFINITY

  constructor(limits: HealthLimits, random: () => number) {
    this.#limits = limits
    this.#random = random
  }

  get state(): UnitState {
    return this.#state
  }

  /** false: the unit is away and its next try is not due. */
  mayAsk(nowMs: number): boolean {
    return nowMs >= this.#retryAtMs
  }

  /** @returns true where the state changed to up. */
  answered(): boolean {
    this.#timeouts = 0
    this.#retryAtMs = Number.NEGATIVE_INFINITY
    return this.#change('up')
  }

  /** The unit did not answer in time. @returns true where the state changed to down. */
  silent(nowMs: number): boolean {
    this.#timeouts++
    const failures = this.#timeouts - this.#limits.timeoutsMax + 1
    if (failures < 1) return false
    this.#retryAtMs = nowMs + backoffDelayMs(failures, this.#limits, this.#random)
    return this.#change('down')
  }

  /** The unit cannot be reached because its link is down; the link has a back-off of its own. @returns as `silent`. */
  cutOff(): boolean {
    this.#timeouts = 0
    this.#retryAtMs = Number.NEGATIVE_INFINITY
    return this.#change('down')
  }

  #change(state: UnitState): boolean {
    const isChange = this.#state !== state
    this.#state = state
    return isChange
  }
}
