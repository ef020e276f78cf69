import { expect, test } from 'vitest'
import { noteworthyText } from './observer.ts'

test.each([
  ['<4> 2026-11-21 10:00:00.000 +00:00 [WRN] link hall-1 is closed', '[WRN] link hall-1 is closed'],
  ['<2> 2026-11-21 10:00:00.000 +00:00 [FTL] state cannot be written', '[FTL] state cannot be written'],
  ['<6> 2026-11-21 10:00:00.000 +00:00 [INF] hub: connected', undefined],
  ['TypeError: x is not a function', 'TypeError: x is not a function'],
  ['    at main.ts:3:1', undefined],
])('of the log line %s is shown %s', (line, shown) => {
  expect(noteworthyText(line)).toBe(shown)
})
