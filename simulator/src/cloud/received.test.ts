import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { CloudMessage } from './cloud-message.ts'
import { Received } from './received.ts'
import { RecentMap, RecentSet } from './recent-map.ts'
import { Sequences } from './sequences.ts'

let nextId = 0
function message(messageType: string, body: unknown, more: Partial<CloudMessage> = {}): CloudMessage {
  return {
    source: 'DeviceMessages',
    moduleId: 'aggregator',
    properties: { messageType },
    systemProperties: { messageId: `id-${nextId++}`, contentType: 'application/json', contentEncoding: 'utf-8' },
    body: Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)),
    edgeEnqueuedMs: 1000,
    enqueuedMs: 1250,
    ...more,
  }
}

function record(windowStart: string, revision = 0, sampleCount = 60) {
  return { deviceId: 'press-4', window: '15s', windowStart, revision, sampleCount, badCount: 2, avg_temperature: 1 }
}

function alert(alertId: string, state: 'active' | 'normal', timestamp = '2026-01-01T00:00:00.000Z') {
  return {
    schemaVersion: 1,
    alert: 'anomaly',
    alertId,
    alertType: 'HIGH_TEMPERATURE',
    severity: 'high',
    state,
    deviceId: 'oven-1',
    signal: 'temperature',
    value: 81,
    timestamp,
    explanation: 'too hot',
  }
}

function reportOf(...messages: CloudMessage[]) {
  const received = new Received()
  for (const each of messages) received.add(each)
  return received.report()
}

describe('what the hub stand-in counts', () => {
  test('traffic as IoT Hub meters it: body, property names and values, system property values, 4 KiB blocks', () => {
    const small = message('raw', 'x'.repeat(10), {
      properties: { messageType: 'raw', a: 'é' },
      systemProperties: { messageId: 'abc' },
    })
    const bytes = 10 + 'messageTyperaw'.length + 1 + 2 + 3
    const large = message('alert', 'x'.repeat(4097), { properties: {}, systemProperties: {}, moduleId: 'other' })
    const { sent, byType, byModule } = reportOf(small, large)
    expect(sent).toEqual({ messages: 2, bytes: bytes + 4097, blocks: 3 })
    expect(byType['raw']).toEqual({ messages: 1, bytes, blocks: 1 })
    expect(byType['other']?.messages).toBe(1)
    expect(byModule['other']?.blocks).toBe(2)
  })

  test('a message delivered again is metered, and counted nowhere else', () => {
    const once = message('aggregate', [record('a')])
    const { sent, redelivered, duplicated, windows } = reportOf(once, once)
    expect(sent.messages).toBe(2)
    expect([redelivered, duplicated]).toEqual([1, 0])
    expect(windows['15s']).toEqual({ windows: 1, rows: 60, badValues: 2 })
  })

  test('a record or an alert held twice under different message ids is a duplicate', () => {
    const { duplicated, duplicates, windows, alerts } = reportOf(
      message('aggregate', [record('a'), record('b')]),
      message('aggregate', [record('b')]),
      message('alert', alert('1', 'active')),
      message('alert', alert('1', 'active')),
      message('alert', alert('1', 'normal')),
    )
    expect(duplicated).toBe(2)
    expect(duplicates).toEqual(['aggregate press-4|15s|b|0', 'alert 1|active|2026-01-01T00:00:00.000Z'])
    expect(windows['15s']?.rows).toBe(120)
    expect(alerts.raised).toBe(1)
    expect(alerts.list.map(({ state, enqueuedMs }) => [state, enqueuedMs])).toEqual([
      ['active', 1250],
      ['normal', 1250],
    ])
  })

  test('the rows of a window are those of its newest revision, in whatever order revisions come', () => {
    const revisions = [0, 1, 2].map((revision) => message('aggregate', [record('a', revision, 60 + revision)]))
    for (const order of [
      [0, 1, 2],
      [2, 0, 1],
      [1, 2, 0],
    ]) {
      const { windows, duplicated } = reportOf(...order.flatMap((index) => revisions[index] ?? []))
      expect(windows['15s']).toEqual({ windows: 1, rows: 62, badValues: 2 })
      expect(duplicated).toBe(0)
    }
  })

  test('gaps are summed by kind, receipts kept', () => {
    const { gaps, receipts } = reportOf(
      message('gap', { kind: 'givenUp', messages: 3 }),
      message('gap', { kind: 'givenUp', messages: 4 }),
      message('gap', { kind: 'linkDown' }),
      message('receipt', { rows: 1 }),
    )
    expect(gaps).toEqual({ givenUp: { count: 2, messages: 7 }, linkDown: { count: 1, messages: 0 } })
    expect(receipts).toEqual([{ rows: 1 }])
  })

  test.each([
    ['aggregate', '{', 'aggregate: body is no JSON'],
    ['aggregate', {}, 'aggregate: body is no array'],
    ['aggregate', [{ ...record('a'), sampleCount: -1 }], 'aggregate: a record is malformed'],
    ['alert', [], 'alert: body is no object'],
    ['alert', { alertId: 3 }, 'alert: body is malformed'],
    ['alert', { ...alert('1', 'active'), explanation: 'x'.repeat(20_000) }, 'alert: body exceeds 16384 bytes'],
    ['gap', {}, 'gap: kind is missing'],
  ])('a malformed %s is counted by reason', (messageType, body, reason) => {
    expect(reportOf(message(messageType, body)).malformed).toEqual({ [reason]: 1 })
  })

  test('any message is taken, whatever it says', () => {
    const hostile = fc.record({
      properties: fc.dictionary(
        fc.constantFrom('messageType', 'session', 'sequence', '__proto__'),
        fc.oneof(fc.constantFrom('aggregate', 'alert', 'gap', 'receipt', '1'), fc.string()),
      ),
      body: fc.oneof(fc.json(), fc.string()).map((text) => Buffer.from(text)),
      moduleId: fc.string(),
    })
    fc.assert(
      fc.property(fc.array(hostile), (messages) => {
        const report = reportOf(...messages.map((more) => message('', '', more)))
        expect(report.sent.messages).toBe(messages.length)
      }),
    )
  })

  test('names that no one expects share one entry beyond two hundred', () => {
    const messages = Array.from({ length: 300 }, (_, index) => message(`type-${index}`, ''))
    const { byType } = reportOf(...messages)
    expect(Object.keys(byType)).toHaveLength(201)
    expect(byType['other']?.messages).toBe(100)
  })
})

describe('sequences', () => {
  test('missing numbers are those between the first and the last seen, in any order of arrival, repeats or not', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1 }), (numbers) => {
        const sequences = new Sequences()
        for (const number of numbers) sequences.add('m', 'o', 's', number)
        const [first, last] = [Math.min(...numbers), Math.max(...numbers)]
        expect(sequences.report()).toEqual({
          sessions: 1,
          missing: last - first + 1 - new Set(numbers).size,
          details: [
            {
              moduleId: 'm',
              output: 'o',
              session: 's',
              first,
              last,
              missing: last - first + 1 - new Set(numbers).size,
            },
          ],
        })
      }),
    )
  })

  test('a restart is a new session, not a gap', () => {
    const sequences = new Sequences()
    for (const [session, number] of [
      ['a', 1],
      ['a', 2],
      ['b', 1],
    ] as const)
      sequences.add('m', 'o', session, number)
    expect(sequences.report()).toMatchObject({ sessions: 2, missing: 0 })
  })

  test('sessions beyond a thousand and gaps beyond a thousand are forgotten, oldest first', () => {
    const sequences = new Sequences()
    for (let session = 0; session < 1500; session++) sequences.add('m', 'o', String(session), 1)
    expect(sequences.report().sessions).toBe(1500)
    const gappy = new Sequences()
    for (let number = 1; number <= 4001; number += 2) gappy.add('m', 'o', 's', number)
    expect(gappy.report().missing).toBe(999)
  })
})

describe('the bounded memory', () => {
  test('remembers at least as many keys as it was given room for', () => {
    const keys = new RecentSet(100)
    for (let index = 0; index < 1000; index++) {
      expect(keys.add(`key-${index}`)).toBe(true)
      for (let back = 0; back < Math.min(index, 100); back += 33) expect(keys.has(`key-${index - back}`)).toBe(true)
    }
    expect(keys.has('key-0')).toBe(false)
  })

  test('a key set again has its new value', () => {
    const map = new RecentMap<number>(2)
    for (const [key, value] of [
      ['a', 1],
      ['b', 2],
      ['c', 3],
      ['a', 4],
    ] as const)
      map.set(key, value)
    expect(map.get('a')).toBe(4)
  })
})
