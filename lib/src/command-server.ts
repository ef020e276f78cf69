import { z } from 'zod'
import type { Clock } from './clock.ts'
import { type Command, command } from './command.ts'
import { errorText, WeirError } from './errors.ts'
import type { MethodResult } from './hub.ts'
import { Jobs } from './jobs.ts'
import type { JsonObject, JsonValue } from './json.ts'
import { methodPayloadBytesMax, methodResponseTimeoutMsMax } from './limits.ts'

export interface CommandServerParts {
  readonly clock: Clock
  readonly module: string
  readonly version: string
  status(): JsonObject
  /** The module's own commands at this moment. */
  commands(): readonly Command[]
}

/**
 * Answers commands, whichever way they come: 200 with the result (of a job: `{job, state, …}`), else
 * `{error: {code, message}}` with 404 (no such command or job), 400 (arguments), 500 (it failed), 504 (too slow) or
 * 413 (the answer exceeds what a direct method may return).
 */
export class CommandServer {
  readonly #parts: CommandServerParts
  readonly #jobs: Jobs
  readonly #stop = new AbortController()

  constructor(parts: CommandServerParts) {
    this.#parts = parts
    this.#jobs = new Jobs(parts.clock)
  }

  async call(name: string, payload: JsonValue): Promise<MethodResult> {
    const found = [...this.#own(), ...this.#parts.commands()].find((candidate) => candidate.name === name)
    if (found === undefined) return failure(404, 'COMMAND_UNKNOWN', `${name}: no such command; see listCommands`)
    const input = found.arguments.safeParse(payload ?? {})
    if (!input.success) return failure(400, 'COMMAND_UNKNOWN', `${name}: ${argumentProblems(input.error)}`)
    try {
      const result = found.job
        ? this.#jobs.start(name, (context) => found.run(payload ?? {}, context))
        : await this.#run(found, payload ?? {})
      return sized(name, result)
    } catch (error) {
      if (error instanceof SlowCommandError) return failure(504, 'COMMAND_FAILED', error.message)
      const code = error instanceof WeirError ? error.code : 'COMMAND_FAILED'
      return failure(code === 'COMMAND_UNKNOWN' ? 404 : 500, code, errorText(error))
    }
  }

  /** Aborts what runs. */
  close(): void {
    this.#stop.abort()
    this.#jobs.cancelAll()
  }

  async #run(found: Command, payload: JsonValue): Promise<JsonValue> {
    const abort = new AbortController()
    const signal = AbortSignal.any([abort.signal, this.#stop.signal])
    return new Promise((resolve, reject) => {
      const timer = this.#parts.clock.setTimer(() => {
        abort.abort()
        reject(new SlowCommandError(`${found.name}: no answer within ${methodResponseTimeoutMsMax / 1000} s`))
      }, methodResponseTimeoutMsMax)
      found
        .run(payload, { signal, progress: () => {} })
        .then(resolve, reject)
        .finally(() => timer.cancel())
    })
  }

  #own(): Command[] {
    return [
      command({
        name: 'ping',
        summary: 'Answers with the name and the version of the module.',
        arguments: z.strictObject({}),
        job: false,
        run: async () => ({ module: this.#parts.module, version: this.#parts.version }),
      }),
      command({
        name: 'getStatus',
        summary: 'What the module is doing, in plain numbers.',
        arguments: z.strictObject({}),
        job: false,
        run: async () => this.#parts.status(),
      }),
      command({
        name: 'listCommands',
        summary: 'The commands of this module and their arguments.',
        arguments: z.strictObject({}),
        job: false,
        run: async () => this.#list(),
      }),
      command({
        name: 'jobStatus',
        summary: 'State of a job, and one page of its result.',
        arguments: z.strictObject({
          job: z.string().meta({ description: 'Id of the job.' }),
          page: z.int().min(0).optional().meta({ description: 'Page of the result, from 0.' }),
        }),
        job: false,
        run: async ({ job, page }) => this.#jobs.status(job, page),
      }),
      command({
        name: 'jobCancel',
        summary: 'Ends a running job, or forgets a finished one.',
        arguments: z.strictObject({ job: z.string().meta({ description: 'Id of the job.' }) }),
        job: false,
        run: async ({ job }) => this.#jobs.cancel(job),
      }),
    ]
  }

  #list(): JsonValue {
    return [...this.#own(), ...this.#parts.commands()].map((each) => ({
      name: each.name,
      summary: each.summary,
      job: each.job,
      arguments: z.toJSONSchema(each.arguments, { io: 'input', unrepresentable: 'any' }) as unknown as JsonObject,
    }))
  }
}

class SlowCommandError extends Error {}

function failure(status: number, code: string, message: string): MethodResult {
  return { status, payload: { error: { code, message } } }
}

function argumentProblems(error: z.ZodError): string {
  return error.issues
    .map((issue) => (issue.path.length === 0 ? issue.message : `${issue.path.join('/')}: ${issue.message}`))
    .join('; ')
}

function sized(name: string, result: JsonValue): MethodResult {
  const bytes = Buffer.byteLength(JSON.stringify(result) ?? '')
  if (bytes <= methodPayloadBytesMax) return { status: 200, payload: result ?? null }
  const message = `${name}: an answer of ${bytes} bytes exceeds ${methodPayloadBytesMax}; ask for less`
  return failure(413, 'COMMAND_FAILED', message)
}
