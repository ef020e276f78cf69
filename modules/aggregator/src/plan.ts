import { WeirError } from '@weir/lib/errors'
import { compileRules, type RuleChoice } from '@weir/lib/selector'
import type { AggregationRule, AggregatorConfig } from './config.ts'
import type { WindowKind } from './window.ts'

/** The part of the configuration that a window is finished under. Plain data. */
export type PlanConfig = Pick<AggregatorConfig, 'windows' | 'rules'>

/** A configuration made ready for the hot path. */
export interface Plan {
  readonly config: PlanConfig
  /** By rising length. The first answers for each row in the account of rows. */
  readonly windows: readonly [WindowKind, ...WindowKind[]]
  readonly ruleFor: RuleChoice<AggregationRule>
}

/** @param config One that passed its checks: there is at least one window, and lengths differ. */
export function makePlan({ windows, rules }: PlanConfig): Plan {
  const [first, ...others] = Object.entries(windows)
    .map(([id, window]) => ({ id, ...window }))
    .sort((a, b) => a.lengthMs - b.lengthMs)
  if (first === undefined) throw new WeirError('CONFIG_REFUSED', 'windows: is empty; there must be at least one window')
  return { config: { windows, rules }, windows: [first, ...others], ruleFor: compileRules(rules) }
}
