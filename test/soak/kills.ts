import { seededRandom } from '@weir/simulator/faults/random'

export interface Kill {
  readonly process: string
  /** Pause before it, from the kill before. */
  readonly pauseMs: number
}

export interface KillPlan {
  readonly processes: readonly string[]
  readonly killsEach: number
  readonly seed: number
  readonly pauseMsMin: number
  readonly pauseMsMax: number
}

/** Each process `killsEach` times, in an order and after pauses that follow from the seed. */
export function planKills({ processes, killsEach, seed, pauseMsMin, pauseMsMax }: KillPlan): Kill[] {
  const random = seededRandom(seed, 'kills')
  return processes
    .flatMap((process) => Array.from({ length: killsEach }, () => ({ process, at: random() })))
    .toSorted((a, b) => a.at - b.at)
    .map(({ process }) => ({ process, pauseMs: pauseMsMin + random() * (pauseMsMax - pauseMsMin) }))
}
