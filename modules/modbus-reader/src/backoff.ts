export interface BackoffLimits {
  readonly retryDelayMsMin: number
  readonly retryDelayMsMax: number
}

/**
 * Delay before the next try after `failures` in a row (from 1): doubles from the minimum to the maximum, and lies at
 * random between half of that and all of it, so that many gateways do not knock at once.
 * @param random gives 0 ≤ x < 1.
 */
export function backoffDelayMs(
  failures: number,
  { retryDelayMsMin, retryDelayMsMax }: BackoffLimits,
  random: () => number,
): number {
  const ceiling = Math.min(retryDelayMsMax, retryDelayMsMin * 2 ** (failures - 1))
  return ceiling * (0.5 + random() / 2)
}
