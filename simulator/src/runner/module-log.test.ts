import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ModuleLog } from './module-log.ts'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'weir-log-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('lines come whole, however the streams cut them', () => {
  const seen: string[] = []
  const log = new ModuleLog(join(folder, 'a.log'), (line) => seen.push(line))
  const out = log.writer()
  const err = log.writer()
  out('one\ntw')
  err('other\n')
  out('o\n')
  expect(seen).toEqual(['one', 'other', 'two'])
  expect(log.latest(2)).toEqual(['other', 'two'])
  expect(readFileSync(log.file, 'utf8')).toBe('one\nother\ntwo\n')
})

test('a file that is full is turned over, and a log is carried on', () => {
  const file = join(folder, 'b.log')
  const line = 'x'.repeat(1_000_000)
  const log = new ModuleLog(file, () => undefined)
  for (let count = 0; count < 9; count++) log.add([line])
  const again = new ModuleLog(file, () => undefined)
  again.add([line])
  expect(statSync(`${file}.1`).size).toBe(9 * 1_000_001)
  expect(statSync(file).size).toBe(1_000_001)
})

test('a line without end does not grow for ever', () => {
  const seen: string[] = []
  const write = new ModuleLog(join(folder, 'c.log'), (line) => seen.push(line)).writer()
  for (let count = 0; count < 100; count++) write('y'.repeat(1000))
  expect(seen.length).toBeGreaterThan(3)
})
