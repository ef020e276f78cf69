import { z } from 'zod'

/** Sessions remembered, and messages of each. A hub repeats what was not acknowledged, which is never far back. */
const sessionsMax = 64
const messagesPerSessionMax = 512

/** By session, the one heard longest ago first; of each, the ids, oldest first. */
export const savedRecentSchema = z.array(z.tuple([z.string(), z.array(z.string())]))
export type SavedRecent = z.infer<typeof savedRecentSchema>

/** Remembers which messages came lately, by the session of their sender, so that a repeat is known as one. */
export class RecentMessages {
  readonly #sessions = new Map<string, Set<string>>()

  constructor(saved: SavedRecent = []) {
    for (const [session, ids] of saved) this.#sessions.set(session, new Set(ids))
  }

  /** Notes the message; false when it came before. */
  add(session: string, messageId: string): boolean {
    const ids = this.#sessions.get(session) ?? new Set<string>()
    // Set anew, the session becomes the youngest in the map's order.
    this.#sessions.delete(session)
    this.#sessions.set(session, ids)
    dropFirst(this.#sessions, sessionsMax)
    if (ids.has(messageId)) return false
    ids.add(messageId)
    dropFirst(ids, messagesPerSessionMax)
    return true
  }

  save(): SavedRecent {
    return [...this.#sessions].map(([session, ids]) => [session, [...ids]])
  }
}

function dropFirst(entries: Map<string, unknown> | Set<string>, sizeMax: number): void {
  if (entries.size <= sizeMax) return
  for (const key of entries.keys()) {
    entries.delete(key)
    return
  }
}
