import type { LimitsRule } from './config.ts'

/** Where a signal stands against its limits. */
export type Side = 'inside' | 'high' | 'low'

/**
 * The side after `value`, given the side before it. A limit is passed when the value is strictly beyond it; the way
 * back ends only `deadband` inside the limit, so that a value that dances on it gives one finding.
 */
export function judgeLimits(before: Side, value: number, rule: Pick<LimitsRule, 'high' | 'low' | 'deadband'>): Side {
  const { high, low, deadband } = rule
  if (high !== undefined && value > high) return 'high'
  if (low !== undefined && value < low) return 'low'
  if (before === 'high' && high !== undefined && value > high - deadband) return 'high'
  if (before === 'low' && low !== undefined && value < low + deadband) return 'low'
  return 'inside'
}

/** `HIGH_TEMPERATURE` for a signal `temperature` above its limit, unless the rule names the alert itself. */
export function alertTypeOf(rule: Pick<LimitsRule, 'alertType'>, side: 'high' | 'low', signal: string): string {
  return rule.alertType ?? `${side.toUpperCase()}_${signal.toUpperCase().replaceAll('-', '_')}`
}
