import type { z } from 'zod'
import type { JsonValue } from './json.ts'

export interface CommandContext {
  /** Aborted when a job is cancelled or the module stops. */
  readonly signal: AbortSignal
  /** Says how far the command is; shown to the person waiting. */
  progress(text: string): void
}

/**
 * One operator command: one handler, reached alike by direct method, by `weir` through the hub stand-in, and by `weir`
 * inside the container through a unix socket. The method's name is the command's name.
 */
export interface Command<Arguments = unknown> {
  readonly name: string
  readonly summary: string
  readonly arguments: z.ZodType<Arguments>
  /** true: may take longer, or answer with more, than a direct method may; then the call starts a job. */
  readonly job: boolean
  /** A result to be shown as JSON, or as a table where it is an array of flat objects. Throws WeirError COMMAND_FAILED. */
  run(input: Arguments, context: CommandContext): Promise<JsonValue>
}

/** Keeps the argument's type while the list of a module's commands holds them all alike. */
export function command<Arguments>(declaration: Command<Arguments>): Command {
  return {
    ...declaration,
    run: (input, context) => declaration.run(declaration.arguments.parse(input), context),
  }
}
