import type { WeirError } from '../errors.ts'
import type { Damage } from './format.ts'

/** What a journal reports beside its answers. Each is worth a log line and a count; normal operation reports nothing. */
export type JournalEvent =
  /** A segment's end holds no whole record: a write was cut short. The bytes were cut off. */
  | { readonly type: 'tornTail'; readonly segment: string; readonly bytes: number; readonly afterSequence: number }
  /** Bytes that hold no readable record; they are passed over. `records` of them were not released yet. */
  | { readonly type: 'damaged'; readonly segment: string; readonly damage: Damage; readonly records: number }
  /** A segment's header is unreadable; its records are not concerned. */
  | { readonly type: 'damagedHeader'; readonly segment: string }
  /** Records that were given to the journal and are in no file any more, none of them released. */
  | {
      readonly type: 'missing'
      readonly fromSequence: number
      readonly throughSequence: number
      readonly records: number
    }
  /** A segment whose records are all released could not be deleted; tried again at the next sync. */
  | { readonly type: 'notRemoved'; readonly segment: string; readonly cause: unknown }
  /** The journal takes nothing any more; the process has to stop and open it again. */
  | { readonly type: 'failed'; readonly error: WeirError }

/** One line for the log. */
export function journalEventText(event: JournalEvent): string {
  switch (event.type) {
    case 'tornTail':
      return `${event.segment}: ${event.bytes} bytes after record ${event.afterSequence} were a write cut short; cut off`
    case 'damaged':
      return `${event.segment}: ${event.damage.bytes} bytes at ${event.damage.position} are damaged; ${lostText(event.damage.fromSequence, event.damage.throughSequence, event.records)}`
    case 'damagedHeader':
      return `${event.segment}: header is damaged; its records are read all the same`
    case 'missing':
      return `records are missing; ${lostText(event.fromSequence, event.throughSequence, event.records)}`
    case 'notRemoved':
      return `${event.segment}: cannot be deleted (${String(event.cause)}); tried again later`
    case 'failed':
      return event.error.message
  }
}

function lostText(fromSequence: number, throughSequence: number, records: number): string {
  return records === 0 ? 'no record was lost' : `${records} records lost within ${fromSequence} to ${throughSequence}`
}
