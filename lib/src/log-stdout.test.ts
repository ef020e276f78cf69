import { describe, expect, it } from 'vitest'
import { ManualClock } from './clock.ts'
import { createLog, formatLogLine, parseLogLevel } from './log-stdout.ts'

const at = Date.parse('2026-11-21T10:00:00.000Z')

describe('log lines', () => {
  it('have the form that edgeAgent filters by', () => {
    expect(formatLogLine('info', at, 'text')).toBe('<6> 2026-11-21 10:00:00.000 +00:00 [INF] text')
    expect(formatLogLine('warning', at, 'text')).toBe('<4> 2026-11-21 10:00:00.000 +00:00 [WRN] text')
    expect(formatLogLine('error', at, 'text')).toBe('<3> 2026-11-21 10:00:00.000 +00:00 [ERR] text')
  })

  it('are one line each, whatever the text holds', () => {
    expect(formatLogLine('info', at, 'a\r\n<3> forged\u001b[31m')).toBe(
      '<6> 2026-11-21 10:00:00.000 +00:00 [INF] a <3> forged [31m',
    )
  })

  it('below the level are not written', () => {
    const lines: string[] = []
    const log = createLog('warning', new ManualClock(at), (line) => lines.push(line))
    log.debug('d')
    log.info('i')
    log.warning('w')
    log.critical('c')
    expect(lines).toEqual([
      '<4> 2026-11-21 10:00:00.000 +00:00 [WRN] w\n',
      '<2> 2026-11-21 10:00:00.000 +00:00 [FTL] c\n',
    ])
  })

  it.each([
    ['Information', 'info'],
    ['verbose', 'debug'],
    ['warn', 'warning'],
    ['FATAL', 'critical'],
    ['loud', undefined],
    ['__proto__', undefined],
  ])('RuntimeLogLevel %s is %s', (text, level) => {
    expect(parseLogLevel(text)).toBe(level)
  })
})
