import { readFileSync } from 'node:fs'
import { errorText, WeirError } from './errors.ts'
import { isJsonObject, type JsonObject } from './json.ts'
import { fsyncIntervalMs, hubWaitMs, metricsPortDefault, queueBytesMax, tokenRenewalS } from './limits.ts'
import type { LogLevel } from './log.ts'
import { parseLogLevel } from './log-stdout.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/** Every environment variable that a module reads, beside those of the device SDK (`IOTEDGE_*`). */
export const environmentVariables = {
  RuntimeLogLevel: 'Least level that is logged: debug, info, warning, error or fatal. Default: info.',
  WEIR_STATE_FOLDER: 'Folder that survives restarts. Default: /var/lib/weir.',
  WEIR_METRICS_PORT:
    'Port, or host:port, of the Prometheus metrics; 0 takes a free one, `off` serves none. Default: 9600.',
  WEIR_COMMAND_SOCKET: 'Unix socket of `weir`. Default: /run/weir/<module>.sock, else weir.sock in the state folder.',
  WEIR_DEFAULTS_FILE: 'JSON file with a configuration over which the desired properties are laid. Default: none.',
  WEIR_TOKEN_RENEWAL_S: `Seconds after which the connection is opened anew with a fresh token, 10 to 3300. Default: ${tokenRenewalS}.`,
  WEIR_QUEUE_BYTES_MAX: `Bytes of messages that may wait on the disk for the hub. Default: ${queueBytesMax}.`,
  WEIR_FSYNC_INTERVAL_MS: `Milliseconds that a message may wait for the disk; what a power cut can cost. Default: ${fsyncIntervalMs}.`,
  WEIR_HUB_WAIT_MS: `Milliseconds to wait for the hub at start before the last good configuration is used. Default: ${hubWaitMs}.`,
} as const

export interface HostSettings {
  readonly logLevel: LogLevel
  readonly stateFolder: string
  readonly metricsAddress: string
  readonly hubWaitMs: number
  readonly tokenRenewalMs: number
  readonly queueBytesMax: number
  readonly fsyncIntervalMs: number
  /** The container's own defaults. */
  readonly defaults: JsonObject
}

/** The folder that survives restarts. */
export function stateFolderOf(environment: Environment): string {
  const given = environment['WEIR_STATE_FOLDER']
  return given === undefined || given === '' ? '/var/lib/weir' : given
}

/** What the environment asks of the host. Throws CONFIG_REFUSED where a variable or the defaults file is wrong. */
export function readSettings(environment: Environment): HostSettings {
  const get = (name: keyof typeof environmentVariables): string | undefined => {
    const value = environment[name]
    return value === '' ? undefined : value
  }
  const number = (name: keyof typeof environmentVariables, fallback: number, min: number, max: number): number =>
    wholeNumber(name, get(name), fallback, min, max)
  return {
    logLevel: parseLogLevel(get('RuntimeLogLevel') ?? 'info') ?? 'info',
    stateFolder: stateFolderOf(environment),
    metricsAddress: get('WEIR_METRICS_PORT') ?? String(metricsPortDefault),
    hubWaitMs: number('WEIR_HUB_WAIT_MS', hubWaitMs, 0, 600_000),
    tokenRenewalMs: 1000 * number('WEIR_TOKEN_RENEWAL_S', tokenRenewalS, 10, 3300),
    queueBytesMax: number('WEIR_QUEUE_BYTES_MAX', queueBytesMax, 4 * 1024 * 1024, 64 * 1024 ** 3),
    fsyncIntervalMs: number('WEIR_FSYNC_INTERVAL_MS', fsyncIntervalMs, 10, 600_000),
    defaults: readDefaults(get('WEIR_DEFAULTS_FILE')),
  }
}

function wholeNumber(name: string, text: string | undefined, fallback: number, min: number, max: number): number {
  if (text === undefined) return fallback
  const value = Number(text)
  if (/^\d{1,12}$/.test(text) && value >= min && value <= max) return value
  throw new WeirError('CONFIG_REFUSED', `${name}: "${text}" must be a whole number from ${min} to ${max}`)
}

function readDefaults(path: string | undefined): JsonObject {
  if (path === undefined) return {}
  let value: unknown
  try {
    value = JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    throw new WeirError('CONFIG_REFUSED', `WEIR_DEFAULTS_FILE: ${path} cannot be read: ${errorText(error)}`, {
      cause: error,
    })
  }
  if (isJsonObject(value)) return value
  throw new WeirError('CONFIG_REFUSED', `WEIR_DEFAULTS_FILE: ${path} must hold a JSON object`)
}
