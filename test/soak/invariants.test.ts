import type { AggregateRecord, Alert, Telemetry } from '@weir/lib/messages'
import { describe, expect, test } from 'vitest'
import {
  type Arrived,
  crossingsOf,
  distinctMessages,
  doubledAlertProblems,
  doubledRecordProblems,
  missingAlertProblems,
  rowProblems,
  rowsOf,
  sequenceProblems,
  windowProblems,
} from './invariants.ts'

const startMs = Date.UTC(2026, 0, 1)
const at = (ms: number): string => new Date(startMs + ms).toISOString()
const lengthMs = 2_000

function telemetry(deviceId: string, ...rows: readonly (readonly [ms: number, temperature?: number])[]): Telemetry {
  return {
    schemaVersion: 1,
    deviceId,
    readings: rows.map(([ms, temperature]) => ({
      timestamp: at(ms),
      values: temperature === undefined ? {} : { temperature },
    })),
  }
}

function record(deviceId: string, ms: number, sampleCount: number, revision = 0): AggregateRecord {
  return {
    schemaVersion: 1,
    deviceId,
    window: '2s',
    windowStart: at(ms),
    windowEnd: at(ms + lengthMs),
    revision,
    sampleCount,
    badCount: 0,
    clockTrusted: true,
  }
}

function alert(alertId: string, state: 'active' | 'normal', ms: number): Alert {
  return {
    schemaVersion: 1,
    alert: 'anomaly',
    alertId,
    alertType: 'HIGH_TEMPERATURE',
    severity: 'high',
    state,
    deviceId: 'oven-1',
    signal: 'temperature',
    timestamp: at(ms),
    explanation: 'hot',
  }
}

function message(messageId: string, moduleId = 'reader', session = 's', sequence = '1'): Arrived {
  return {
    moduleId,
    properties: { session, sequence },
    systemProperties: { messageId, outputName: 'telemetry' },
    body: Buffer.alloc(0),
  }
}

const rows = rowsOf([telemetry('oven-1', [0, 70], [500, 71], [2_000, 72], [2_500])])

describe('messages', () => {
  test('that carry an id seen before are left out', () => {
    const messages = [message('a'), message('b'), message('a')]
    expect(distinctMessages(messages)).toEqual([message('a'), message('b')])
  })
})

describe('windows', () => {
  test('are all well where each good row has its record', () => {
    expect(windowProblems(rows, [record('oven-1', 0, 2), record('oven-1', 2_000, 1)], lengthMs)).toEqual([])
  })

  test('that hold a good row and have no record are missing', () => {
    expect(windowProblems(rows, [record('oven-1', 0, 2)], lengthMs)).toEqual([
      'window oven-1 2026-01-01T00:00:02.000Z: missing; 1 rows belong to it',
    ])
  })

  test('without a good row need no record', () => {
    expect(windowProblems(rowsOf([telemetry('oven-1', [0])]), [], lengthMs)).toEqual([])
  })

  test('that count more rows than were sent are named', () => {
    const records = [record('oven-1', 0, 3), record('oven-1', 2_000, 1), record('pump-2', 0, 1)]
    expect(windowProblems(rows, records, lengthMs)).toEqual([
      'window oven-1 2026-01-01T00:00:00.000Z: counts 3 rows, 2 were sent',
      'window pump-2 2026-01-01T00:00:00.000Z: counts 1 rows, 0 were sent',
    ])
  })

  test('with two records of one revision are doubled, with two revisions they are not', () => {
    expect(doubledRecordProblems([record('oven-1', 0, 2), record('oven-1', 0, 3, 1)])).toEqual([])
    expect(doubledRecordProblems([record('oven-1', 0, 2), record('oven-1', 0, 2)])).toEqual([
      'record oven-1|2s|2026-01-01T00:00:00.000Z|0: came 2 times, in different messages',
    ])
  })
})

describe('rows', () => {
  const nowhere = { late: 0, bad: 0, refused: 0, kept: 0 }

  test('of which one is in no record and in no account are lost', () => {
    const records = [record('oven-1', 0, 2), record('oven-1', 2_000, 1)]
    expect(rowProblems(rows, records, lengthMs, { ...nowhere, bad: 1 })).toEqual([])
    expect(rowProblems(rows, records, lengthMs, nowhere)).toEqual([
      'rows: the edge hub took 4, 3 are accounted for: 3 in windows, 0 late, 0 bad, 0 refused, 0 kept',
    ])
  })

  test('split by columns count once', () => {
    const split = telemetry('oven-1', [0, 70])
    expect(
      rowsOf([
        { ...split, part: 1 },
        { ...split, part: 2 },
      ]),
    ).toHaveLength(1)
  })
})

describe('alerts', () => {
  const limit = { signal: 'temperature', high: 80, deadband: 2 }
  const hot = [telemetry('oven-1', [0, 70], [100, 81]), telemetry('oven-1', [200, 79], [300, 78], [400, 82])]

  test('are expected where a limit is crossed, and where the value is back by the deadband', () => {
    expect(crossingsOf(hot, limit).map(({ state, timestamp }) => [state, timestamp])).toEqual([
      ['active', at(100)],
      ['normal', at(300)],
      ['active', at(400)],
    ])
  })

  test('are not expected of rows older than those before', () => {
    const late = [telemetry('oven-1', [500, 70]), telemetry('oven-1', [400, 90]), telemetry('pump-2', [400, 70])]
    expect(crossingsOf(late, limit)).toEqual([])
  })

  test('that are missing are named, and those that nothing explains', () => {
    const crossings = crossingsOf(hot, limit)
    const alerts = [alert('a', 'active', 100), alert('a', 'normal', 300), alert('b', 'active', 400)]
    expect(missingAlertProblems(crossings, alerts)).toEqual([])
    expect(missingAlertProblems(crossings, [...alerts.slice(1), alert('c', 'active', 900)])).toEqual([
      `alert oven-1 temperature active at ${at(100)}: missing`,
      `alert oven-1 temperature active at ${at(900)}: nothing crossed its limit there`,
    ])
  })

  test('are doubled by one state that comes twice, and by one crossing under two names', () => {
    expect(doubledAlertProblems([alert('a', 'active', 100), alert('a', 'normal', 300)])).toEqual([])
    expect(doubledAlertProblems([alert('a', 'active', 100), alert('a', 'active', 200)])).toEqual([
      'alert a active: raised 2 times',
    ])
    expect(doubledAlertProblems([alert('a', 'active', 100), alert('b', 'active', 100)])).toEqual([
      `alert oven-1 temperature active at ${at(100)}: raised 2 times`,
    ])
  })
})

describe('sequence numbers', () => {
  const numbered = (...numbers: readonly number[]): Arrived[] =>
    numbers.map((number) => message(`m${number}`, 'reader', 's', String(number)))

  test('that are missing before the tail of a session are named', () => {
    expect(sequenceProblems(numbered(1, 2, 3, 5, 4), 0)).toEqual([])
    expect(sequenceProblems(numbered(2, 4, 5), 0)).toEqual(['session reader telemetry s: 1, 3 of 5 missing'])
  })

  test('may be missing within the tail, which dies with the sender', () => {
    expect(sequenceProblems(numbered(1, 2, 5), 2)).toEqual([])
    expect(sequenceProblems(numbered(1, 5), 2)).toEqual(['session reader telemetry s: 2 of 5 missing'])
  })

  test('are counted apart for each sender and session', () => {
    const messages = [...numbered(1), message('x', 'reader', 't', '1'), message('y', 'other', 's', '1')]
    expect(sequenceProblems(messages, 0)).toEqual([])
  })
})
