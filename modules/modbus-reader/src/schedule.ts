/** Something polled at a fixed interval, on a grid that does not drift. */
export interface Polled {
  readonly key: string
  readonly intervalMs: number
}

export interface Due {
  readonly key: string
  /** Monotonic time. */
  readonly dueMs: number
}

interface Entry extends Polled {
  /** Where in its interval the entry is due, 0 ≤ phase < 1. */
  readonly phase: number
  dueMs: number
}

/** `count` phases beside those `kept`: evenly spread where none is kept, else each in the middle of the widest gap. */
export function spreadPhases(kept: readonly number[], count: number): number[] {
  if (kept.length === 0) return Array.from({ length: count }, (_, index) => index / count)
  const all = kept.toSorted((a, b) => a - b)
  const added: number[] = []
  for (let index = 0; index < count; index++) {
    let widest = { from: 0, width: -1 }
    all.forEach((from, at) => {
      const width = (all[at + 1] ?? (all[0] ?? 0) + 1) - from
      if (width > widest.width) widest = { from, width }
    })
    const phase = (widest.from + widest.width / 2) % 1
    added.push(phase)
    all.push(phase)
    all.sort((a, b) => a - b)
  }
  return added
}

/** The last time on the grid of `phase` and `intervalMs` up to `nowMs`. */
function latestOnGridMs(phase: number, intervalMs: number, nowMs: number): number {
  const phaseMs = phase * intervalMs
  return phaseMs + Math.floor((nowMs - phaseMs) / intervalMs) * intervalMs
}

/**
 * When what is polled next, on monotonic time. Each entry has at most one poll due, so a line that is too slow polls
 * less often and nothing piles up; the longest waiting goes first, so that nothing starves.
 */
export class PollSchedule {
  #entries = new Map<string, Entry>()

  /** Takes `polled` as all there is. What stays keeps its grid; what is new is due at once, and then spread between. */
  update(polled: readonly Polled[], nowMs: number): void {
    const kept = polled.flatMap(({ key }) => this.#entries.get(key) ?? [])
    const added = polled.filter(({ key }) => !this.#entries.has(key))
    const phases = spreadPhases(
      kept.map(({ phase }) => phase),
      added.length,
    )
    this.#entries = new Map(kept.map((entry) => [entry.key, entry]))
    added.forEach(({ key, intervalMs }, index) => {
      const phase = phases[index] ?? 0
      this.#entries.set(key, { key, intervalMs, phase, dueMs: latestOnGridMs(phase, intervalMs, nowMs) })
    })
  }

  /** What is due first; its time may have passed. Undefined where nothing is polled. */
  next(): Due | undefined {
    let first: Entry | undefined
    for (const entry of this.#entries.values()) if (first === undefined || entry.dueMs < first.dueMs) first = entry
    return first === undefined ? undefined : { key: first.key, dueMs: first.dueMs }
  }

  /**
   * The poll of `key` is over. Its next is the latest on its grid that has begun, or else the one after.
   * @returns overruns: polls that never began because their whole interval went by.
   */
  finish(key: string, nowMs: number): number {
    const entry = this.#entries.get(key)
    if (entry === undefined) return 0
    const missed = Math.max(0, Math.floor((nowMs - entry.dueMs) / entry.intervalMs) - 1)
    entry.dueMs += (missed + 1) * entry.intervalMs
    return missed
  }
}
