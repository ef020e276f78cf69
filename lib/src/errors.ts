/** What the caller does next. Code switches on this, never on message text. */
export type Reaction = 'retry' | 'reconnect' | 'drop' | 'stop'

interface CatalogueEntry {
  readonly reaction: Reaction
  readonly meaning: string
}

/** Every error that Weir raises by itself. `docs/errors.md` is generated from this list. */
export const errorCatalogue = {
  CONFIG_REFUSED: { reaction: 'drop', meaning: 'A configuration breaks a rule; the last good one keeps running.' },
  MESSAGE_TOO_LARGE: { reaction: 'drop', meaning: 'A message exceeds 256 KiB, which the hub would drop unseen.' },
  MESSAGE_MALFORMED: { reaction: 'drop', meaning: 'A message does not follow its contract (docs/messages.md).' },
  HUB_AWAY: { reaction: 'retry', meaning: 'The edge hub does not take messages now; they wait in the queue.' },
  HUB_REFUSED: { reaction: 'stop', meaning: 'The edge hub refuses the identity of the module.' },
  QUEUE_FULL: { reaction: 'drop', meaning: 'A bounded queue has no room; what gives way is counted and named.' },
  REPORT_REFUSED: {
    reaction: 'drop',
    meaning: 'The hub did not take a reported property; the cause is checked before sending.',
  },
  DEVICE_AWAY: { reaction: 'reconnect', meaning: 'A link to a device cannot be opened or was closed.' },
  DEVICE_TIMEOUT: { reaction: 'retry', meaning: 'A device did not answer in time.' },
  DEVICE_EXCEPTION: {
    reaction: 'drop',
    meaning: 'A device answered with an exception; the same request will fail again.',
  },
  ANSWER_MALFORMED: {
    reaction: 'reconnect',
    meaning: 'An answer does not fit its request; the line may be out of step.',
  },
  COMMAND_UNKNOWN: { reaction: 'drop', meaning: 'No such command, or arguments that do not fit it.' },
  COMMAND_FAILED: { reaction: 'drop', meaning: 'A command ran and failed; its message says why.' },
  STATE_UNWRITABLE: {
    reaction: 'stop',
    meaning: 'The state folder cannot be written or read; nothing could be kept safe.',
  },
  STATE_NEWER: { reaction: 'stop', meaning: 'State written by a newer version; an older one must not touch it.' },
  STATE_DAMAGED: { reaction: 'drop', meaning: 'A part of the saved state is damaged; it is reported and passed over.' },
  STATE_LOCKED: { reaction: 'stop', meaning: 'Another live process holds the state folder.' },
  INTERNAL: { reaction: 'stop', meaning: 'A fault of Weir itself; the process exits and is restarted.' },
} as const satisfies Record<string, CatalogueEntry>

export type ErrorCode = keyof typeof errorCatalogue

/** An error of the catalogue. The message says subject, value, expectation, place and next step. */
export class WeirError extends Error {
  override readonly name = 'WeirError'
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
  }

  get reaction(): Reaction {
    return errorCatalogue[this.code].reaction
  }
}

/** The text of anything thrown. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
