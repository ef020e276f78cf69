/** `weir`: the command line of developers and operators, through the hub stand-in of a running simulator. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { type Clock, systemClock } from '@weir/lib/clock'
import { UsageError } from '@weir/lib/command-arguments'
import { type CallMethod, runCommandLine } from '@weir/lib/command-client'
import { cellText, jsonText, renderResult } from '@weir/lib/command-render'
import { errorText } from '@weir/lib/errors'
import type { MethodResult } from '@weir/lib/hub'
import { asObject, isJsonObject, type JsonObject, type JsonValue } from '@weir/lib/json'
import { methodResponseTimeoutMsMax } from '@weir/lib/limits'
import { nearest } from '@weir/lib/nearest'
import { ServiceClient } from './cloud/service-client.ts'
import { findService } from './cloud/service-file.ts'
import { faultUsage } from './faults/fault.ts'
import { faultOptions, faultRequest } from './faults/fault-verb.ts'
import { weirOutputs } from './manifest/outputs.ts'
import { runRoutesCommand } from './routes/command.ts'
import { type OptionKinds, type ParsedWords, parseWords } from './weir-options.ts'

const rootFolder = resolve(import.meta.dirname, '../..')
/** Time for a module that is just being restarted. */
const connectTimeoutMs = 5000
const bodyCharactersShown = 160

export interface WeirIo {
  readonly clock: Clock
  /** Folder that file names are relative to. */
  readonly cwd: string
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal
  /** One or more lines, without the last newline. */
  out(text: string): void
  err(text: string): void
}

interface Verb {
  readonly usage: string
  readonly summary: string
  /** Lines for the help, below the summary. */
  readonly details?: readonly string[]
  readonly options: OptionKinds
  run(words: ParsedWords, service: ServiceClient, io: WeirIo): Promise<number>
}

const verbs: Readonly<Record<string, Verb>> = {
  modules: { usage: 'modules', summary: 'lists the modules', options: {}, run: showModules },
  twin: {
    usage: 'twin MODULE [set JSON|@FILE]',
    summary: 'shows a twin, or merges into its desired properties (null deletes)',
    options: {},
    run: showOrSetTwin,
  },
  call: {
    usage: 'call MODULE METHOD [JSON|@FILE] [--timeout SECONDS]',
    summary: 'calls a direct method as it is',
    options: { timeout: 'value' },
    run: callMethod,
  },
  send: {
    usage: 'send DEVICE JSON|@FILE',
    summary: 'sends a cloud-to-device message (docs/simulator.md says how a device takes it)',
    options: {},
    run: sendToDevice,
  },
  messages: {
    usage: 'messages [--type TYPE] [--follow]',
    summary: 'shows the last messages that arrived, and with --follow each new one',
    options: { type: 'value', follow: 'flag' },
    run: showMessages,
  },
  fault: {
    usage: 'fault [PLACE [NAME] ACTION | clear]',
    summary: 'lists the active faults, orders one, or ends all',
    details: Object.values(faultUsage).map((order) => `weir fault ${order}`),
    options: faultOptions,
    run: showOrOrderFaults,
  },
  env: {
    usage: 'env MODULE [--new]',
    summary: 'prints the environment with which to start a module by hand; --new registers one of no manifest',
    options: { new: 'flag' },
    run: showEnvironment,
  },
}

const usage = [
  'weir [--state FOLDER] …     asks the simulator that runs on FOLDER; default .state of the project',
  '',
  ...Object.values(verbs).flatMap((verb) => [
    `  ${`weir ${verb.usage}`.padEnd(58)}${verb.summary}`,
    ...(verb.details ?? []).map((line) => `    ${line}`),
  ]),
  `  ${'weir MODULE COMMAND [--key value …]'.padEnd(58)}runs an operator command of a module; weir MODULE lists them`,
  `  ${'weir routes test FILE | routes check MANIFEST'.padEnd(58)}tests route conditions, checks the routes of a manifest`,
  `  ${'weir help'.padEnd(58)}shows this`,
  '',
  'Results are printed for people, and with --json as JSON.',
].join('\n')

/**
 * Runs one command line.
 * @returns The exit code: 0, 1 where it failed, 2 where the words are not as expected.
 */
export async function runWeir(words: readonly string[], io: WeirIo): Promise<number> {
  try {
    const { stateFolder, rest } = takeStateOption(words, io.cwd)
    const [name = 'help', ...arguments_] = rest
    if (name === 'help' || name === '--help') {
      io.out(usage)
      return 0
    }
    if (name === 'routes') {
      const surroundings = { stdout: writer(io.out), stderr: writer(io.err), cwd: io.cwd }
      return await runRoutesCommand(arguments_, surroundings, weirOutputs)
    }
    const verb = Object.hasOwn(verbs, name) ? verbs[name] : undefined
    if (verb !== undefined) return await runVerb(verb, arguments_, stateFolder, io)
    if (name.startsWith('-')) throw new UsageError(`${name}: unknown option; weir help lists what there is`)
    return await runModuleCommand(name, arguments_, stateFolder, io)
  } catch (error) {
    io.err(`weir: ${cellText(errorText(error))}`)
    return error instanceof UsageError ? 2 : 1
  }
}

function runVerb(verb: Verb, words: readonly string[], stateFolder: string, io: WeirIo): Promise<number> {
  const parsed = parseWords(words, { state: 'value', json: 'flag', help: 'flag', ...verb.options })
  if (parsed.options.has('help')) {
    io.out([`weir ${verb.usage}: ${verb.summary}`, ...(verb.details ?? []).map((line) => `  ${line}`)].join('\n'))
    return Promise.resolve(0)
  }
  const state = parsed.options.get('state')
  return verb.run(parsed, clientOf(state === undefined ? stateFolder : resolve(io.cwd, state), io), io)
}

/** `--state FOLDER` before everything else. */
function takeStateOption(words: readonly string[], cwd: string): { stateFolder: string; rest: readonly string[] } {
  const [first = '', second] = words
  if (first.startsWith('--state='))
    return { stateFolder: resolve(cwd, first.slice('--state='.length)), rest: words.slice(1) }
  if (first !== '--state') return { stateFolder: resolve(rootFolder, '.state'), rest: words }
  if (second === undefined) throw new UsageError('--state: expects a folder')
  return { stateFolder: resolve(cwd, second), rest: words.slice(2) }
}

function clientOf(stateFolder: string, io: WeirIo): ServiceClient {
  return new ServiceClient(findService(stateFolder), io.signal)
}

/** Takes whole chunks of text and gives on their lines. */
function writer(line: (text: string) => void): (text: string) => void {
  return (text) => line(text.replace(/\n$/, ''))
}

function show(result: JsonValue, { options }: ParsedWords, io: WeirIo): void {
  io.out(options.has('json') ? jsonText(result) : renderResult(result))
}

function expectWords({ positionals }: ParsedWords, min: number, max: number, verb: string): void {
  if (positionals.length >= min && positionals.length <= max) return
  throw new UsageError(`${verb}: expected weir ${verbs[verb]?.usage}`)
}

async function showModules(words: ParsedWords, service: ServiceClient, io: WeirIo): Promise<number> {
  expectWords(words, 0, 0, 'modules')
  show(await service.call('GET', '/modules'), words, io)
  return 0
}

async function showOrSetTwin(words: ParsedWords, service: ServiceClient, io: WeirIo): Promise<number> {
  expectWords(words, 1, 3, 'twin')
  const [moduleId = '', verb, text] = words.positionals
  const path = `/twins/${encodeURIComponent(moduleId)}`
  if (verb === undefined) {
    show(await service.call('GET', path), words, io)
    return 0
  }
  if (verb !== 'set' || text === undefined) throw new UsageError(`twin: expected weir ${verbs['twin']?.usage}`)
  const patch = readJsonWord(text, io.cwd)
  if (!isJsonObject(patch)) throw new UsageError(`twin: ${text}: expected an object of desired properties`)
  show(await service.call('PATCH', path, patch), words, io)
  return 0
}

async function callMethod(words: ParsedWords, service: ServiceClient, io: WeirIo): Promise<number> {
  expectWords(words, 2, 3, 'call')
  const [moduleId = '', method = '', text] = words.positionals
  const seconds = Number(words.options.get('timeout') ?? '30')
  if (!(seconds > 0)) throw new UsageError(`--timeout ${words.options.get('timeout')}: expected seconds`)
  const payload = text === undefined ? null : readJsonWord(text, io.cwd)
  const result = await methodOf(service, moduleId, seconds * 1000)(method, payload)
  show(result.payload, words, io)
  if (result.status >= 200 && result.status < 300) return 0
  io.err(`weir: ${method} answered with status ${result.status}`)
  return 1
}

function methodOf(service: ServiceClient, moduleId: string, responseTimeoutMs: number): CallMethod {
  return async (method, payload) => {
    const path = `/modules/${encodeURIComponent(moduleId)}/methods/${encodeURIComponent(method)}`
    const answer = asObject(await service.call('POST', path, { payload, responseTimeoutMs, connectTimeoutMs }))
    return { status: Number(answer?.['status']), payload: answer?.['payload'] ?? null } satisfies MethodResult
  }
}

async function sendToDevice(words: ParsedWords, service: ServiceClient, io: WeirIo): Promise<number> {
  expectWords(words, 2, 2, 'send')
  const [deviceId = '', text = ''] = words.positionals
  const body = readJsonWord(text, io.cwd)
  show(await service.call('POST', `/devices/${encodeURIComponent(deviceId)}/messages`, { body }), words, io)
  return 0
}

async function showMessages(words: ParsedWords, service: ServiceClient, io: WeirIo): Promise<number> {
  expectWords(words, 0, 0, 'messages')
  const query = new URLSearchParams({ follow: String(words.options.has('follow')) })
  const messageType = words.options.get('type')
  if (messageType !== undefined) query.set('type', messageType)
  await service.lines(`/messages?${query}`, (line) => {
    io.out(words.options.has('json') ? line : messageSummary(JSON.parse(line)))
  })
  return 0
}

async function showOrOrderFaults(words: ParsedWords, service: ServiceClient, io: WeirIo): Promise<number> {
  const { method, body } = faultRequest(words)
  const active = await service.call(method, '/faults', body)
  const isNone = Array.isArray(active) && active.length === 0 && !words.options.has('json')
  if (isNone) io.out('no fault is active')
  else show(active, words, io)
  return 0
}

async function showEnvironment(words: ParsedWords, service: ServiceClient, io: WeirIo): Promise<number> {
  expectWords(words, 1, 1, 'env')
  const path = `/modules/${encodeURIComponent(words.positionals[0] ?? '')}`
  if (words.options.has('new')) await service.call('POST', path)
  const environment = asObject(await service.call('GET', `${path}/environment`)) ?? {}
  if (words.options.has('json')) show(environment, words, io)
  else for (const [name, value] of Object.entries(environment)) io.out(exportLine(name, String(value)))
  return 0
}

/** For a shell to read. */
function exportLine(name: string, value: string): string {
  return `export ${name}='${value.replaceAll("'", "'\\''")}'`
}

function messageSummary(message: JsonObject): string {
  const properties = asObject(message['properties']) ?? {}
  const body = jsonText(message['body'] ?? null)
  const shown = body.length > bodyCharactersShown ? `${body.slice(0, bodyCharactersShown)}…` : body
  const head = [message['enqueuedTime'], message['moduleId'], properties['messageType'], properties['deviceId']]
  return [...head.filter((part) => part !== undefined).map(cellText), shown].join('  ')
}

async function runModuleCommand(
  name: string,
  words: readonly string[],
  stateFolder: string,
  io: WeirIo,
): Promise<number> {
  const service = clientOf(stateFolder, io)
  const modules = await service.call('GET', '/modules')
  const names = Array.isArray(modules) ? modules.map((module: JsonValue) => String(asObject(module)?.['moduleId'])) : []
  if (!names.includes(name)) {
    const meant = nearest(name, [...Object.keys(verbs), 'routes', 'help', ...names])
    throw new UsageError(
      `${name}: no such command or module${meant === undefined ? '; weir modules lists the modules, weir help the commands' : ` (did you mean ${meant}?)`}`,
    )
  }
  return runCommandLine(words, { ...io, call: methodOf(service, name, methodResponseTimeoutMsMax) })
}

/** JSON, or `@FILE` that holds it. */
function readJsonWord(text: string, cwd: string): JsonValue {
  const file = text.startsWith('@') ? text.slice(1) : undefined
  try {
    return JSON.parse(file === undefined ? text : readFileSync(resolve(cwd, file), 'utf8'))
  } catch (error) {
    throw new UsageError(
      `${text}: expected ${file === undefined ? 'JSON or @FILE' : 'a readable file of JSON'} (${errorText(error)})`,
    )
  }
}

/** Runs this process's own command line: output to its streams, Ctrl-C to the signal, a second one ends it at once. */
export async function runProcess(): Promise<void> {
  const abort = new AbortController()
  process.on('SIGINT', () => {
    if (abort.signal.aborted) process.exit(130)
    abort.abort()
  })
  // A reader that has seen enough (`weir messages | head`) closes the pipe.
  process.stdout.on('error', () => process.exit(0))
  process.exitCode = await runWeir(process.argv.slice(2), {
    clock: systemClock,
    cwd: process.cwd(),
    signal: abort.signal,
    out: (text) => process.stdout.write(`${text}\n`),
    err: (text) => process.stderr.write(`${text}\n`),
  })
}

if (import.meta.main) await runProcess()
