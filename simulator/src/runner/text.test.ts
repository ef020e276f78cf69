import { expect, test } from 'vitest'
import { bytesText, clockText, counted, durationText } from './text.ts'

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [1000, '1.00 kB'],
  [999_900, '1.00 MB'],
  [123_456_789, '123 MB'],
])('%d bytes are %s', (bytes, text) => {
  expect(bytesText(bytes)).toBe(text)
})

test('durations and clocks are told in the largest units that are exact', () => {
  expect([durationText(250), durationText(15_000), durationText(null)]).toEqual(['250 ms', '15 s', 'none'])
  expect([clockText(5), clockText(65), clockText(3725)]).toEqual(['0:05', '1:05', '1:02:05'])
})

test('one is told from many', () => {
  expect([counted(0, 'row'), counted(1, 'row'), counted(2, 'row')]).toEqual(['0 rows', '1 row', '2 rows'])
})
