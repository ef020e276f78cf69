import { seededRandom } from '@weir/simulator/faults/random'

export interface Kill {
  readonly process: string
  /** Pause before it, from the kill before. */
  readonly pauseMs: number
  /** Where set, it waits further: for the next crossing of a limit, and this long after it. */
  readonly afterCrossingMs: number | undefined
}

export interface KillPlan {
  readonly processes: readonly string[]
  readonly killsEach: number
  readonly seed: number
  readonly pauseMsMin: number
  readonly pauseMsMax: number
  /** A crossing is an alert at the cloud after this long: half of the kills meet it on its way. */
  readonly crossingMs: number
}

/** Each process `killsEach` times, in an order and after pauses that follow from the seed. */
export function planKills({ processes, killsEach, seed, pauseMsMin, pauseMsMax, crossingMs }: KillPlan): Kill[] {
  const random = seededRandom(seed, 'kills')
  return processes
    .flatMap((process) => Array.from({ length: killsEach }, () => ({ process, at: random() })))
    .toSorted((a, b) => a.at - b.at)
    .map(({ process }) => ({
      process,
      pauseMs: pauseMsMin + random() * (pauseMsMax - pauseMsMin),
      afterCrossingMs: random() < 0.5 ? random() * crossingMs : undefined,
    }))
}
