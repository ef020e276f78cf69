import type { Clock } from './clock.ts'
import type { Log, LogLevel } from './log.ts'

/** Level, its syslog number (RFC 5424, 6.2.1) and the tag that edgeAgent's own lines carry. */
const levels: Readonly<Record<LogLevel, { readonly severity: number; readonly tag: string }>> = {
  debug: { severity: 7, tag: 'DBG' },
  info: { severity: 6, tag: 'INF' },
  warning: { severity: 4, tag: 'WRN' },
  error: { severity: 3, tag: 'ERR' },
  critical: { severity: 2, tag: 'FTL' },
}

/** Values of `RuntimeLogLevel`, as edgeAgent and edgeHub name them. */
const runtimeLevels: Readonly<Record<string, LogLevel>> = {
  verbose: 'debug',
  debug: 'debug',
  info: 'info',
  information: 'info',
  warn: 'warning',
  warning: 'warning',
  error: 'error',
  fatal: 'critical',
  critical: 'critical',
}

/** The level that `RuntimeLogLevel` asks for; undefined where the text names none. */
export function parseLogLevel(text: string): LogLevel | undefined {
  const name = text.trim().toLowerCase()
  return Object.hasOwn(runtimeLevels, name) ? runtimeLevels[name] : undefined
}

// One message is one line: edgeAgent's log pull filters line by line.
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not reach a terminal
const controlCharacters = /[\u0000-\u001f\u007f-\u009f]+/g

/** `<6> 2026-11-21 10:00:00.000 +00:00 [INF] text`, without the line end. */
export function formatLogLine(level: LogLevel, nowMs: number, text: string): string {
  const { severity, tag } = levels[level]
  const time = new Date(nowMs).toISOString()
  return `<${severity}> ${time.slice(0, 10)} ${time.slice(11, 23)} +00:00 [${tag}] ${text.replace(controlCharacters, ' ')}`
}

/** A log of lines at `level` and above. `write` gets each with its line end. */
export function createLog(level: LogLevel, clock: Clock, write: (line: string) => void): Log {
  const log = (at: LogLevel) =>
    levels[at].severity > levels[level].severity
      ? () => {}
      : (text: string) => write(`${formatLogLine(at, clock.nowMs(), text)}\n`)
  return {
    debug: log('debug'),
    info: log('info'),
    warning: log('warning'),
    error: log('error'),
    critical: log('critical'),
  }
}
