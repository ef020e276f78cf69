import type { Table } from './tables.ts'

/**
 * What a unit was found to refuse: a read that covers all of `from` up to, not including, `to`. Where both are equal, a
 * read may begin or end there but not pass it (a device that limits the length of a request, or ends a block there).
 */
export interface Refusal {
  readonly table: Table
  readonly from: number
  readonly to: number
}

/** Whether a request may read the registers or bits from `from` up to, not including, `to`. */
export type MayRead = (table: Table, from: number, to: number) => boolean

export function covers(from: number, to: number, refusal: Refusal): boolean {
  if (refusal.from === refusal.to) return from < refusal.from && to > refusal.from
  return from <= refusal.from && to >= refusal.to
}

interface Known extends Refusal {
  readonly forgetAtMs: number
}

const keepMsFirst = 60_000

/**
 * The refusals of one unit. Each is forgotten after a minute, so that it is tried again; after twice as long each further
 * time, up to `keepMsMax`: a device that was only starting is soon read whole again.
 */
export class UnitRefusals {
  readonly #keepMsMax: number
  readonly #known = new Map<string, Known>()
  /** How often each was learned. */
  readonly #times = new Map<string, number>()

  constructor(keepMsMax: number) {
    this.#keepMsMax = keepMsMax
  }

  /** @returns true where it was never learned before. */
  learn({ table, from, to }: Refusal, nowMs: number): boolean {
    const key = `${table} ${from} ${to}`
    const before = this.#times.get(key) ?? 0
    this.#times.set(key, before + 1)
    const forgetAtMs = nowMs + Math.min(this.#keepMsMax, keepMsFirst * 2 ** before)
    this.#known.set(key, { table, from, to, forgetAtMs })
    return before === 0
  }

  /** Forgets what is due to be tried again. @returns true where there was any. */
  forgetDue(nowMs: number): boolean {
    const due = [...this.#known].filter(([, { forgetAtMs }]) => nowMs >= forgetAtMs)
    for (const [key] of due) this.#known.delete(key)
    return due.length > 0
  }

  mayRead(table: Table, from: number, to: number): boolean {
    for (const refusal of this.#known.values()) {
      if (refusal.table === table && covers(from, to, refusal)) return false
    }
    return true
  }
}
