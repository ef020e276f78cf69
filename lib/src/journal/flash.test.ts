import { expect, test } from 'vitest'
import { flashBytesPerDay, parseWriteBytes, readWriteBytes } from './flash.ts'

const io = `rchar: 6976
wchar: 123456
syscr: 10
syscw: 9
read_bytes: 0
write_bytes: 81920
cancelled_write_bytes: 4096
`

test('write_bytes is read, and no other line is taken for it', () => {
  expect(parseWriteBytes(io)).toBe(81_920)
  expect(parseWriteBytes(io.replace(/^write_bytes.*\n/m, ''))).toBeUndefined()
  expect(parseWriteBytes('')).toBeUndefined()
})

test('flash per day scales what was written to a day, and is 0 before time has passed', () => {
  expect(flashBytesPerDay(1_000, 3_600_000)).toBe(24_000)
  expect(flashBytesPerDay(1_000, 0)).toBe(0)
})

test('what this process has written is known on Linux, and nowhere else', () => {
  if (process.platform === 'linux') expect(readWriteBytes()).toBeGreaterThanOrEqual(0)
  else expect(readWriteBytes()).toBeUndefined()
})
