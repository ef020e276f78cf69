/**
 * The caller's side of operator commands (command-server.ts): words of a command line to arguments, a job to its end,
 * a result to text. Pure but for `call`, which is a direct method or a line on a module's socket.
 */

import type { Clock } from './clock.ts'
import { argumentKind, parseCommandArguments, UsageError } from './command-arguments.ts'
import { cellText, jsonText, renderResult } from './command-render.ts'
import { errorText, WeirError } from './errors.ts'
import type { MethodResult } from './hub.ts'
import { asObject, isJsonObject, type JsonObject, type JsonValue } from './json.ts'
import { nearest } from './nearest.ts'

const pollMs = 500
/** Questions about a running job that may fail one after the other: a module's connection comes back. */
const pollFailuresMax = 10

/** Calls one method of a module. Rejects where the module cannot be reached. */
export type CallMethod = (method: string, payload: JsonValue) => Promise<MethodResult>

/** A command as `listCommands` describes it; `arguments` is a JSON Schema. */
export interface CommandDescription {
  readonly name: string
  readonly summary: string
  readonly job: boolean
  readonly arguments: JsonObject
}

export interface CommandLine {
  readonly call: CallMethod
  readonly clock: Clock
  /** Aborted by Ctrl-C: a running job is cancelled. */
  readonly signal: AbortSignal
  out(text: string): void
  /** Progress and problems. */
  err(text: string): void
}

/**
 * Runs `<command> [--key value …] [--json]`, or `help [command]`.
 * @returns The exit code: 0, 1 where the command failed, 2 where the words are not as expected.
 */
export async function runCommandLine(words: readonly string[], line: CommandLine): Promise<number> {
  try {
    const commands = await listCommands(line.call)
    const [name = 'help', ...rest] = words
    if (name === 'help' || rest.includes('--help')) {
      line.out(helpText(commands, name === 'help' ? rest[0] : name))
      return 0
    }
    const found = findCommand(commands, name)
    const input = parseCommandArguments(
      found,
      rest.filter((word) => word !== '--json'),
    )
    const result = await runCommand(found, input, line)
    line.out(rest.includes('--json') ? jsonText(result) : renderResult(result))
    return 0
  } catch (error) {
    line.err(cellText(errorText(error)))
    return error instanceof UsageError ? 2 : 1
  }
}

/** @throws WeirError COMMAND_FAILED where the module has no such list. */
export async function listCommands(call: CallMethod): Promise<CommandDescription[]> {
  const list = await callCommand(call, 'listCommands', {})
  if (!Array.isArray(list)) throw new WeirError('COMMAND_FAILED', 'listCommands: the answer is no list')
  return list.filter(isJsonObject).map((entry) => ({
    name: String(entry['name']),
    summary: String(entry['summary'] ?? ''),
    job: entry['job'] === true,
    arguments: asObject(entry['arguments']) ?? {},
  }))
}

/** @throws UsageError naming the nearest. */
export function findCommand(commands: readonly CommandDescription[], name: string): CommandDescription {
  const found = commands.find((each) => each.name === name)
  if (found !== undefined) return found
  const meant = nearest(
    name,
    commands.map((each) => each.name),
  )
  throw new UsageError(
    `${name}: no such command${meant === undefined ? '; help lists them' : ` (did you mean ${meant}?)`}`,
  )
}

/**
 * Calls a command; a job is followed to its end and its pages are put together.
 * @throws WeirError COMMAND_FAILED where it fails or is cancelled.
 */
export async function runCommand(
  { name, job }: CommandDescription,
  input: JsonObject,
  line: Pick<CommandLine, 'call' | 'clock' | 'signal' | 'err'>,
): Promise<JsonValue> {
  const answer = await callCommand(line.call, name, input)
  const id = job ? asObject(answer)?.['job'] : undefined
  if (typeof id !== 'string') return answer
  const last = await followJob(name, id, asObject(answer) ?? {}, line)
  const pages: string[] = []
  for (let page = 0; page < Number(last['pages'] ?? 0); page++) {
    const status = asObject(await callCommand(line.call, 'jobStatus', { job: id, page }))
    pages.push(String(status?.['page'] ?? ''))
  }
  // A finished job keeps its place until it is forgotten; whether that works is no matter of the result.
  await callCommand(line.call, 'jobCancel', { job: id }).catch(() => {})
  return pages.length === 0 ? null : JSON.parse(pages.join(''))
}

async function followJob(
  name: string,
  id: string,
  started: JsonObject,
  { call, clock, signal, err }: Pick<CommandLine, 'call' | 'clock' | 'signal' | 'err'>,
): Promise<JsonObject> {
  let status = started
  let shown = ''
  for (let failures = 0; status['state'] === 'running'; ) {
    await pause(clock, pollMs, signal)
    if (signal.aborted) {
      await callCommand(call, 'jobCancel', { job: id })
      throw new WeirError('COMMAND_FAILED', `${name}: cancelled`)
    }
    try {
      status = asObject(await callCommand(call, 'jobStatus', { job: id })) ?? {}
      failures = 0
    } catch (error) {
      if (error instanceof WeirError || ++failures > pollFailuresMax) throw error
    }
    const progress = String(status['progress'] ?? '')
    if (progress !== shown) err(cellText(progress))
    shown = progress
  }
  if (status['state'] === 'done') return status
  const why = status['error'] === undefined ? String(status['state']) : String(status['error'])
  throw new WeirError('COMMAND_FAILED', `${name}: ${why}`)
}

function pause(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      timer.cancel()
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = clock.setTimer(done, delayMs)
    if (signal.aborted) done()
    else signal.addEventListener('abort', done)
  })
}

async function callCommand(call: CallMethod, method: string, payload: JsonValue): Promise<JsonValue> {
  const { status, payload: answer } = await call(method, payload)
  if (status >= 200 && status < 300) return answer
  const message = asObject(asObject(answer)?.['error'])?.['message']
  throw new WeirError(
    'COMMAND_FAILED',
    typeof message === 'string' ? message : `${method}: answered with status ${status}`,
  )
}

function helpText(commands: readonly CommandDescription[], name: string | undefined): string {
  if (name !== undefined) return commandUsage(findCommand(commands, name))
  const width = Math.max(...commands.map((each) => each.name.length))
  const lines = commands.map((each) => `  ${each.name.padEnd(width)}  ${each.summary}`)
  return ['commands:', ...lines, '', 'help COMMAND shows its arguments; --json prints a result as JSON.'].join('\n')
}

function commandUsage({ name, summary, job, arguments: schema }: CommandDescription): string {
  const required = Array.isArray(schema['required']) ? schema['required'] : []
  const properties = Object.entries(asObject(schema['properties']) ?? {}).map(([key, property]) => {
    const description = String(asObject(property)?.['description'] ?? '')
    const option = `--${key} ${argumentKind(property)}`
    return `  ${option.padEnd(28)}  ${description}${required.includes(key) ? ' (required)' : ''}`
  })
  const note = job ? ['', 'Runs as a job: its progress is shown, Ctrl-C cancels it.'] : []
  return [`${name}: ${summary}`, ...properties, ...note].join('\n')
}
