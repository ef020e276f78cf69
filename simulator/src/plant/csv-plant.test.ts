import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ManualClock } from '@weir/lib/clock'
import { idPattern } from '@weir/lib/limits'
import fc from 'fast-check'
import modbusSerial from 'modbus-serial'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { planCsv, startCsvPlant } from './csv-plant.ts'
import { csvTable, intervalMs, parseTimeMs, readCsvTable, rowAt, signalId } from './csv-table.ts'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'weir-csv-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function file(name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

const table = csvTable('t.csv', [
  ['time', 'Speed (rpm)', 'Speed [rpm]', 'note'],
  ['2026-01-01 00:00:00', '1', '10', 'a'],
  ['2026-01-01 00:00:01', '2', '', 'b'],
  ['2026-01-01 00:00:03', '3', '30', 'c'],
])

describe('a recording', () => {
  test('gives each column of numbers an id of its own, and names the columns left', () => {
    expect(table.columns.map(({ signal }) => signal)).toEqual(['Speed_rpm', 'Speed_rpm_2'])
    expect(table.left).toEqual(['note'])
    expect([...table.offsetsMs]).toEqual([0, 1000, 3000])
    expect(table.columns[1]?.values[1]).toBeNaN()
  })

  test('goes round for ever', () => {
    expect(intervalMs(table)).toBe(2000)
    expect([0, 999, 1000, 2999, 3000, 4999, 5000, 6000].map((atMs) => rowAt(table, atMs))).toEqual([
      0, 0, 1, 1, 2, 2, 0, 1,
    ])
  })

  test('may be separated by semicolons, with decimal commas', async () => {
    const read = await readCsvTable(
      file('de.csv', 'datetime;T;p\n2020-03-09 10:14:33;1,5;2\n2020-03-09 10:14:34;-2,25;3\n'),
    )
    expect([...(read.columns[0]?.values ?? [])]).toEqual([1.5, -2.25])
  })

  test('with rows out of order is played by its times, and says how many stood behind later ones', async () => {
    const read = await readCsvTable(file('order.csv', 'time,a\n2,20\n1,10\n3,30\n2,21\n'))
    expect([...(read.columns[0]?.values ?? [])]).toEqual([10, 20, 21, 30])
    expect([...read.offsetsMs]).toEqual([0, 1000, 1000, 2000])
    expect(read.outOfOrder).toBe(2)
  })

  test.each([
    ['one.csv', 'time,a\n1,2\n', '1 rows; at least two'],
    ['text.csv', 'time,a\n1,x\n2,y\n', 'no column holds numbers'],
    ['when.csv', 'time,a\nnever,1\n1,2\n', 'row 2: time "never" is no time'],
    ['still.csv', 'time,a\n5,1\n5,2\n', 'all rows have the time 5'],
    ['ragged.csv', 'time,a\n1,1,9\n2,2\n', 'Invalid Record Length'],
  ])('%s is refused, saying why', async (name, text, problem) => {
    await expect(readCsvTable(file(name, text))).rejects.toThrow(problem)
  })

  test('that is not there is refused by name', async () => {
    await expect(readCsvTable(join(folder, 'away.csv'))).rejects.toThrow(/--plant .*away\.csv: ENOENT/)
  })

  test('is polled as often as it has rows at the speed of its replay', () => {
    const poll = (speed: number): unknown => planCsv('a b.csv', table, speed).readerDesired['pollIntervalMs']
    expect(poll(1)).toBe(1000)
    expect(poll(8)).toBe(250)
    expect(poll(1000)).toBe(100)
    expect(planCsv('a b.csv', table, 1).deviceId).toBe('a_b')
  })

  test('is served as float32 registers, a missing value as NaN, looped', async () => {
    const clock = new ManualClock()
    const { plant } = await startCsvPlant(file('play.csv', 'time,a,b\n0,1.5,7\n1,2.5,\n'), 10, clock)
    const address = plant.addresses.get('csv')
    const modbus = new modbusSerial.default()
    try {
      await modbus.connectTCP(address?.host ?? '', { port: address?.port ?? 0 })
      modbus.setID(1)
      const read = async (): Promise<number[]> => {
        const { buffer } = await modbus.readHoldingRegisters(0, 4)
        return [buffer.readFloatBE(0), buffer.readFloatBE(4)]
      }
      expect(await read()).toEqual([1.5, 7])
      clock.advance(100)
      expect(await read()).toEqual([2.5, Number.NaN])
      clock.advance(100)
      expect(await read()).toEqual([1.5, 7])
    } finally {
      modbus.close(() => undefined)
      await plant.close()
    }
  })
})

test.each([
  ['2026-01-01T00:00:00Z', Date.UTC(2026, 0, 1)],
  ['2026-01-01 00:00:00', Date.UTC(2026, 0, 1)],
  ['2026-01-01T01:00:00+01:00', Date.UTC(2026, 0, 1)],
  ['1767225600', Date.UTC(2026, 0, 1)],
  ['1767225600000', Date.UTC(2026, 0, 1)],
  ['2.5', 2500],
])('the time %s is understood', (text, timeMs) => {
  expect(parseTimeMs(text)).toBe(timeMs)
})

test('any name becomes an id that the configuration takes, and no two the same', () => {
  fc.assert(
    fc.property(fc.array(fc.string(), { maxLength: 20 }), (names) => {
      const taken = new Set<string>()
      const ids = names.map((name) => signalId(name, taken))
      for (const id of ids) expect(id).toMatch(idPattern)
      expect(new Set(ids).size).toBe(names.length)
    }),
  )
})
