const rangesMax = 1000
const sessionsMax = 1000

interface Range {
  first: number
  last: number
}

/** Which numbers of one sequence were seen, as ranges in ascending order. */
class SeenNumbers {
  readonly #ranges: Range[] = []

  add(number: number): void {
    const ranges = this.#ranges
    let at = ranges.length
    while (at > 0 && (ranges[at - 1]?.first ?? 0) > number) at--
    const before = ranges[at - 1]
    const after = ranges[at]
    if (before !== undefined && number <= before.last) return
    if (before?.last === number - 1) {
      before.last = number
      if (after?.first === number + 1) {
        before.last = after.last
        ranges.splice(at, 1)
      }
    } else if (after?.first === number + 1) after.first = number
    else ranges.splice(at, 0, { first: number, last: number })
    if (ranges.length > rangesMax) this.#closeFirstGap()
  }

  get first(): number {
    return this.#ranges[0]?.first ?? 0
  }

  get last(): number {
    return this.#ranges.at(-1)?.last ?? 0
  }

  /** Numbers between the first and the last that were not seen. */
  get missing(): number {
    let missing = 0
    for (const [index, range] of this.#ranges.entries()) {
      if (index > 0) missing += range.first - (this.#ranges[index - 1]?.last ?? 0) - 1
    }
    return missing
  }

  #closeFirstGap(): void {
    const [first, second] = this.#ranges
    if (first === undefined || second === undefined) return
    first.last = second.last
    this.#ranges.splice(1, 1)
  }
}

export interface SessionReport {
  readonly moduleId: string
  readonly output: string
  readonly session: string
  /** Lowest and highest number seen; a first above 1 means that what came before was not seen here. */
  readonly first: number
  readonly last: number
  readonly missing: number
}

export interface SequencesReport {
  readonly sessions: number
  readonly missing: number
  /** Sessions with something missing, and the newest others; at most 100. */
  readonly details: readonly SessionReport[]
}

/**
 * Watches `session` and `sequence` of each output: a number left out is a gap, a new session a restart.
 * Remembers 1000 sessions, and 1000 gaps in each; what is older counts as arrived.
 */
export class Sequences {
  readonly #sessions = new Map<string, { moduleId: string; output: string; session: string; seen: SeenNumbers }>()
  #forgotten = 0

  add(moduleId: string, output: string, session: string, sequence: number): void {
    const key = `${moduleId}\n${output}\n${session}`
    let entry = this.#sessions.get(key)
    if (entry === undefined) {
      entry = { moduleId, output, session, seen: new SeenNumbers() }
      this.#sessions.set(key, entry)
      this.#forgetOldest()
    }
    entry.seen.add(sequence)
  }

  report(): SequencesReport {
    const sessions = [...this.#sessions.values()].reverse().map(({ moduleId, output, session, seen }) => ({
      moduleId,
      output,
      session,
      first: seen.first,
      last: seen.last,
      missing: seen.missing,
    }))
    return {
      sessions: sessions.length + this.#forgotten,
      missing: sessions.reduce((sum, { missing }) => sum + missing, 0),
      details: sessions.sort((a, b) => Math.sign(b.missing) - Math.sign(a.missing)).slice(0, 100),
    }
  }

  #forgetOldest(): void {
    if (this.#sessions.size <= sessionsMax) return
    const oldest = this.#sessions.keys().next().value
    if (oldest === undefined) return
    this.#sessions.delete(oldest)
    this.#forgotten++
  }
}
