import { randomBytes } from 'node:crypto'
import type { Clock } from './clock.ts'
import type { CommandContext } from './command.ts'
import { errorText, WeirError } from './errors.ts'
import type { JsonObject, JsonValue } from './json.ts'
import { jobKeepMs, jobPageBytes, jobsMax } from './limits.ts'

export type JobState = 'running' | 'done' | 'failed' | 'cancelled'

interface Job {
  readonly id: string
  readonly command: string
  readonly abort: AbortController
  state: JobState
  progress: string
  error: string | undefined
  pages: readonly string[]
  endedMs: number
}

/** Cuts a text into pages of at most `bytesMax` bytes of UTF-8, never inside a character. */
export function cutPages(text: string, bytesMax: number): string[] {
  const bytes = Buffer.from(text)
  const pages: string[] = []
  for (let start = 0; start < bytes.length; ) {
    let end = Math.min(start + bytesMax, bytes.length)
    // A byte 10xxxxxx continues a character (RFC 3629).
    while (end < bytes.length && end > start + 1 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1
    pages.push(bytes.toString('utf8', start, end))
    start = end
  }
  return pages
}

/** Commands that run longer, or answer with more, than a direct method may. */
export class Jobs {
  readonly #clock: Clock
  readonly #jobs = new Map<string, Job>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Starts a job. Throws COMMAND_FAILED while too many run. */
  start(command: string, run: (context: CommandContext) => Promise<JsonValue>): JsonObject {
    this.#forget()
    if (this.#jobs.size >= jobsMax) {
      throw new WeirError(
        'COMMAND_FAILED',
        `${command}: ${jobsMax} jobs run or wait to be read; cancel one or try later`,
      )
    }
    const job: Job = {
      id: randomBytes(6).toString('base64url'),
      command,
      abort: new AbortController(),
      state: 'running',
      progress: '',
      error: undefined,
      pages: [],
      endedMs: 0,
    }
    this.#jobs.set(job.id, job)
    const progress = (text: string) => {
      job.progress = text
    }
    void Promise.resolve()
      .then(() => run({ signal: job.abort.signal, progress }))
      .then(
        (result) => this.#end(job, 'done', cutPages(JSON.stringify(result) ?? 'null', jobPageBytes)),
        (error: unknown) => this.#end(job, 'failed', [], errorText(error)),
      )
    return describe(job)
  }

  /** State of a job, and a page of its result where `page` (from 0) is given. Throws COMMAND_UNKNOWN. */
  status(id: string, page: number | undefined): JsonObject {
    const job = this.#find(id)
    if (page === undefined) return describe(job)
    const text = job.pages[page]
    if (text === undefined) {
      throw new WeirError('COMMAND_UNKNOWN', `job ${id}: page ${page} does not exist; there are ${job.pages.length}`)
    }
    return { ...describe(job), page: text }
  }

  /** Asks a job to end; one that has ended is forgotten. Throws COMMAND_UNKNOWN. */
  cancel(id: string): JsonObject {
    const job = this.#find(id)
    if (job.state === 'running') this.#end(job, 'cancelled', [])
    else this.#jobs.delete(id)
    job.abort.abort()
    return describe(job)
  }

  cancelAll(): void {
    for (const job of this.#jobs.values()) job.abort.abort()
  }

  #find(id: string): Job {
    this.#forget()
    const job = this.#jobs.get(id)
    if (job !== undefined) return job
    throw new WeirError(
      'COMMAND_UNKNOWN',
      `job ${id}: unknown; finished jobs are kept for ${jobKeepMs / 60_000} minutes`,
    )
  }

  #end(job: Job, state: JobState, pages: readonly string[], error?: string): void {
    if (job.state !== 'running') return
    job.state = state
    job.pages = pages
    job.error = error
    job.endedMs = this.#clock.monotonicMs()
  }

  #forget(): void {
    const nowMs = this.#clock.monotonicMs()
    for (const job of this.#jobs.values()) {
      if (job.state !== 'running' && nowMs - job.endedMs > jobKeepMs) this.#jobs.delete(job.id)
    }
  }
}

function describe(job: Job): JsonObject {
  return {
    job: job.id,
    command: job.command,
    state: job.state,
    progress: job.progress,
    pages: job.pages.length,
    ...(job.error === undefined ? {} : { error: job.error }),
  }
}
