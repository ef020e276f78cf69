import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseTimestamp } from './timestamp.ts'

describe('parseTimestamp', () => {
  it('agrees with Date on every instant of the years 0001 to 9999', () => {
    const instants = fc.integer({
      min: Date.parse('0001-01-01T00:00:00.000Z'),
      max: Date.UTC(9999, 11, 31, 23, 59, 59, 999),
    })
    fc.assert(fc.property(instants, (at) => parseTimestamp(new Date(at).toISOString()) === at))
  })

  it.each([
    ['2026-11-21T10:00:00Z', '2026-11-21T10:00:00.000Z'],
    ['2026-11-21T10:00Z', '2026-11-21T10:00:00.000Z'],
    ['2026-11-21T10:00:00.1234567Z', '2026-11-21T10:00:00.123Z'],
    ['2026-11-21T12:00:00.000+02:00', '2026-11-21T10:00:00.000Z'],
    ['2024-02-29T00:00:00.000Z', '2024-02-29T00:00:00.000Z'],
  ])('takes %s', (text, same) => {
    expect(parseTimestamp(text)).toBe(Date.parse(same))
  })

  it.each([
    '',
    'yesterday',
    '2026-02-29T00:00:00.000Z',
    '2026-02-30T00:00:00Z',
    '2026-13-01T00:00:00.000Z',
    '2026-00-01T00:00:00.000Z',
    '2026-11-00T00:00:00.000Z',
    '2026-11-21T24:00:00.000Z',
    '2026-11-21T10:60:00.000Z',
    '2026-11-21T10:00:60.000Z',
    '2026-11-21T10:00:00.000',
    '2026-11-21 10:00:00.000Z',
    '2026-11-2110:00:00.000000Z',
    '２０26-11-21T10:00:00.000Z',
    '-026-11-21T10:00:00.000Z',
  ])('refuses %j', (text) => {
    expect(parseTimestamp(text)).toBeNaN()
  })

  it('never throws', () => {
    fc.assert(fc.property(fc.string(), (text) => typeof parseTimestamp(text) === 'number'))
  })
})
