import { saving } from '@weir/lib/meter'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { alertText, type ModuleView, plainLine, receiptLines, type ViewState, viewLines } from './view.ts'

const receipt = {
  settings: { pollMs: 250, publishMs: 1000, windowMs: 15_000 },
  perRow: saving({ messages: 960, bytes: 412_345, blocks: 960 }, { messages: 6, bytes: 12_000, blocks: 6 }),
  perMessage: saving({ messages: 240, bytes: 241_000, blocks: 240 }, { messages: 6, bytes: 12_000, blocks: 6 }),
}

const reader: ModuleView = {
  name: 'modbus-reader',
  state: 'running',
  restarts: 0,
  pid: 17,
  rssBytes: 81_234_567,
  rssBytesMax: 90_000_000,
  cpuS: 3,
  cpuPct: 4.2,
  lastExit: undefined,
  connected: true,
}

const state: ViewState = {
  elapsedS: 65.4,
  durationS: 3600,
  subject: 'default plant, seed 1',
  modules: [
    reader,
    { ...reader, name: 'aggregator', connected: false },
    { ...reader, name: 'anomaly-detector', state: 'backoff', pid: undefined, restarts: 2, lastExit: 'SIGKILL' },
  ],
  rowsPerS: 16,
  valuesPerS: 112,
  hub: { messages: 6, bytes: 12_000, blocks: 6 },
  upstreamConnected: true,
  faults: [],
  alerts: [
    {
      alertId: 'a',
      alertType: 'HIGH_TEMPERATURE',
      severity: 'high',
      state: 'active',
      timestamp: '2026-01-01T10:20:30.400Z',
      explanation: 'oven-1 temperature 80.4 °C, above the limit 80 °C',
      latencyMs: 212.4,
    },
  ],
  alertsRaised: 1,
  receipt,
  production: undefined,
  notices: ['aggregator started again'],
  hints: ['npx weir modules'],
}

const wide = { columns: 200, rows: 60, colour: false }

describe('the view', () => {
  test('says which faults are active, where somebody may wonder', () => {
    const faulty = { ...state, faults: ['upstream cut', 'device oven-1 off'] }
    const expected = 'faults: upstream cut, device oven-1 off'
    expect(viewLines(faulty, wide)).toContain(expected)
    expect(plainLine(faulty)).toContain(` | ${expected}`)
    expect([...viewLines(state, wide), plainLine(state)].join()).not.toContain('faults')
  })

  test('shows modules with their health, readings, alerts with their explanation, and the receipt beside its settings', () => {
    const text = viewLines(state, wide).join('\n')
    expect(text).toContain('weir  1:05 of 1:00:00  default plant, seed 1')
    expect(text).toContain('readings: 112 values/s in 16 rows/s; the hub has 6 messages, 12.0 kB')
    expect(text).toMatch(/modbus-reader +running +0 +81.2 MB +4 %/)
    expect(text).toMatch(/aggregator +connecting/)
    expect(text).toMatch(/anomaly-detector +backoff +2 +- +- +last ended by SIGKILL/)
    expect(text).toContain('10:20:30 HIGH_TEMPERATURE high: oven-1 temperature 80.4 °C, above the limit 80 °C')
    expect(text).toContain('receipt: polls 250 ms, publishes 1 s, windows 15 s')
    expect(text).toMatch(/against one message a row +960 → 6, 99.4 % less +412 kB → 12.0 kB, 97.1 % less/)
    expect(text).toMatch(/against the readers' messages +240 → 6, 97.5 % less +241 kB → 12.0 kB, 95.0 % less/)
    expect(text).toContain('\naggregator started again\n')
    expect(text).not.toContain('simulated hour')
  })

  test('adds what the production settings save once that is computed', () => {
    const production = { ...receipt, settings: { pollMs: 1000, publishMs: 1000, windowMs: 60_000 } }
    expect(viewLines({ ...state, production }, wide).join('\n')).toContain(
      'computed over 1 simulated hour: polls 1 s, publishes 1 s, windows 60 s',
    )
  })

  test('says when the hub is not connected and when nothing was raised', () => {
    const text = viewLines({ ...state, upstreamConnected: false, alerts: [], alertsRaised: 0 }, wide).join('\n')
    expect(text).toContain('(not connected)')
    expect(text).toContain('none so far')
  })

  test('never is wider or higher than the terminal', () => {
    fc.assert(
      fc.property(fc.integer({ min: 10, max: 250 }), fc.integer({ min: 1, max: 80 }), (columns, rows) => {
        const lines = viewLines(state, { columns, rows, colour: false })
        expect(lines.length).toBeLessThanOrEqual(Math.max(1, rows - 1))
        for (const text of lines) expect([...text].length).toBeLessThanOrEqual(columns)
      }),
    )
  })

  test('colours whole lines only where colour is wanted', () => {
    const coloured = viewLines(state, { ...wide, colour: true })
    const plain = viewLines(state, wide)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are what is looked for
    expect(coloured.map((text) => text.replace(/\u001b\[\d+m/g, ''))).toEqual(plain)
    expect(coloured.some((text) => text.startsWith('\u001b[31m'))).toBe(true)
    expect(plain.join('')).not.toContain('\u001b')
  })
})

test('a plain line names what is not well', () => {
  expect(plainLine(state)).toBe(
    "1:05 | aggregator connecting, anomaly-detector backoff | 112 values/s | 960 rows in 240 messages became 6 | 95.0 % fewer bytes than the readers' | 1 alert",
  )
  expect(plainLine({ ...state, modules: [reader] })).toContain('1:05 | 1 module running |')
})

test('an alert that is over says so', () => {
  const [alert] = state.alerts
  if (alert === undefined) throw new Error('no alert')
  expect(alertText({ ...alert, state: 'normal', latencyMs: undefined })).toBe(
    '10:20:30 HIGH_TEMPERATURE back to normal: oven-1 temperature 80.4 °C, above the limit 80 °C',
  )
})

test('the columns of a receipt line up', () => {
  const [, head = '', ...rows] = receiptLines('receipt', receipt)
  const column = head.indexOf('bytes')
  for (const row of rows) expect(row.slice(column - 2, column)).toBe('  ')
})
