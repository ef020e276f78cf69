import { readFileSync } from 'node:fs'
import { parseConfig } from '@weir/lib/config-parse'
import { describe, expect, it } from 'vitest'
import { modbusConfig } from './config.ts'
import { groupsOfLink } from './groups.ts'
import { dataSheetPlace } from './signal-config.ts'

const signal = { table: 'holding', address: 0, type: 'uint16' }

function problemsOf(raw: unknown): readonly string[] {
  const parsed = parseConfig(modbusConfig, raw)
  return 'problems' in parsed ? parsed.problems : []
}

function problemsOfSignal(change: object, device: object = {}): readonly string[] {
  return problemsOf({
    links: { 'hall-1': { transport: 'tcp', host: 'plc' } },
    devices: { 'press-4': { link: 'hall-1', unitId: 1, signals: { temp: { ...signal, ...change } }, ...device } },
  })
}

describe('configuration', () => {
  it('takes its own sample and fills in the defaults', () => {
    const parsed = parseConfig(modbusConfig, modbusConfig.sample)
    expect(parsed).toMatchObject({
      config: {
        gapRegistersMax: 16,
        links: { 'hall-1': { pauseMs: 0, timeoutsMax: 3 } },
        devices: { 'press-4': { byteOrder: 'ABCD', signals: { strokes: { scale: 1, offset: 0 } } } },
      },
    })
  })

  it('takes every example of its README', () => {
    const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
    const examples = [...readme.matchAll(/```json\n([\s\S]*?)```/g)].map(([, json = '']) => JSON.parse(json))
    expect(examples).toHaveLength(3)
    for (const example of examples) expect(problemsOf(example)).toEqual([])
  })

  it('takes an empty configuration, which reads nothing', () => {
    expect(problemsOf({})).toEqual([])
  })

  it.each([
    [{ table: 'coil' }, 'devices/press-4/signals/temp/type: uint16 does not fit table coil, expected bit'],
    [{ type: 'bit' }, 'devices/press-4/signals/temp/bit: is missing, expected 0 to 15, the bit of the register'],
    [{ type: 'string' }, 'devices/press-4/signals/temp/length: is missing, expected the characters'],
    [{ bit: 3 }, 'devices/press-4/signals/temp/bit: has no meaning for uint16; remove it'],
    [{ asText: true }, 'devices/press-4/signals/temp/asText: has no meaning for uint16; remove it'],
    [
      { type: 'uint64', asText: true, scale: 10 },
      'devices/press-4/signals/temp/scale: has no meaning for a number as text; remove it',
    ],
    [
      { type: 'string', length: 4, byteOrder: 'CDAB' },
      'devices/press-4/signals/temp/byteOrder: CDAB does not fit a string, expected ABCD, or BADC where the bytes are swapped',
    ],
    [
      { byteOrder: 'HGFEDCBA' },
      'devices/press-4/signals/temp/byteOrder: HGFEDCBA is for 64 bits, expected an order of four letters such as BADC',
    ],
    [
      { invalid: ['0x10000'] },
      'devices/press-4/signals/temp/invalid/0: 0x10000 has more bits than uint16, expected up to 4 digits',
    ],
    [
      { invalid: [1.5] },
      'devices/press-4/signals/temp/invalid/0: 1.5 is no raw value of uint16, expected a whole number',
    ],
    [{ range: { clamp: true } }, 'devices/press-4/signals/temp/range: has no limit; set min, max or both'],
    [{ range: { min: 5, max: 5 } }, 'devices/press-4/signals/temp/range: max 5 must exceed min 5'],
    [{ deadband: {} }, 'devices/press-4/signals/temp/deadband: needs one of absolute and percent'],
    [
      { deadband: { absolute: 1, percent: 1 } },
      'devices/press-4/signals/temp/deadband: needs one of absolute and percent',
    ],
    [
      { bit: 3, type: 'bit', deadband: { absolute: 1 } },
      'devices/press-4/signals/temp/deadband/absolute: has no meaning for what is no number; remove it',
    ],
    [{ table: undefined }, 'devices/press-4/signals/temp/table: is missing, expected coil, discrete, input or holding'],
    [
      { address: 65_535, type: 'float32' },
      'devices/press-4/signals/temp/address: 65535 leaves no room for float32, the last address is 65535 on the wire',
    ],
    [
      { table: 'discrete', type: 'bit', decimals: 1 },
      'devices/press-4/signals/temp/decimals: has no meaning for a bit; remove it',
    ],
    [{ urgent: {} }, 'devices/press-4/signals/temp/urgent: has no limit; set above, below or both'],
    [{ urgent: { above: 5, below: 80 } }, 'devices/press-4/signals/temp/urgent: above 5 must exceed below 80'],
    [{ scale: 0 }, 'devices/press-4/signals/temp/scale: 0 must not be 0'],
    [{ adress: 3 }, 'devices/press-4/signals/temp/adress: unknown key (did you mean "address"?)'],
  ])('refuses a signal with %j and names the place', (change, problem) => {
    expect(problemsOfSignal(change)).toEqual([problem])
  })

  it.each([
    ['oneBased', { address: 0 }, 'address: 0 does not exist where addresses count from 1 (addressing oneBased)'],
    [
      'dataSheet',
      { address: 40_001, table: 'input' },
      'table: input does not fit address 40001, which is in table holding; remove it',
    ],
    ['dataSheet', { address: 465_536, type: 'uint32' }, 'address: 465536 leaves no room for uint32'],
    ['dataSheet', { address: 40_000 }, 'address: 40000 is no data sheet address'],
    ['dataSheet', { address: 20_001 }, 'address: 20001 is no data sheet address'],
    ['dataSheet', { address: 10_001, table: undefined }, 'type: uint16 does not fit table discrete, expected bit'],
  ])('refuses with addressing %s the signal %j', (addressing, change, problem) => {
    const problems = problemsOfSignal({}, { addressing, signals: { temp: { ...signal, ...change } } })
    expect(problems).toEqual([expect.stringContaining(`devices/press-4/signals/temp/${problem}`)])
  })

  it.each([
    ['zeroBased', { table: 'holding', address: 7 }],
    ['oneBased', { table: 'holding', address: 8 }],
    ['dataSheet', { address: 40_008 }],
    ['dataSheet', { table: 'holding', address: 400_008 }],
  ])('takes the same register with addressing %s from %j', (addressing, change) => {
    const parsed = modbusConfig.schema.parse({
      links: { a: { transport: 'tcp', host: 'plc' } },
      devices: { d: { link: 'a', unitId: 1, addressing, signals: { temp: { type: 'uint16', ...change } } } },
    })
    expect(groupsOfLink(parsed, 'a').flatMap(({ requests }) => requests)).toMatchObject([
      { table: 'holding', address: 7, count: 1 },
    ])
  })

  it.each([
    [1, 'coil', 0],
    [9999, 'coil', 9998],
    [10_001, 'discrete', 0],
    [30_001, 'input', 0],
    [39_999, 'input', 9998],
    [40_001, 'holding', 0],
    [49_999, 'holding', 9998],
    [100_001, 'discrete', 0],
    [300_001, 'input', 0],
    [400_001, 'holding', 0],
    [465_536, 'holding', 65_535],
  ])('takes %d of a data sheet for %s %d on the wire', (notation, table, address) => {
    expect(dataSheetPlace(notation)).toEqual({ table, address })
  })

  it.each([0, 10_000, 20_001, 29_999, 50_001, 99_999, 100_000, 200_001, 400_000, 465_537, 500_001])(
    'takes %d for no address of a data sheet',
    (notation) => {
      expect(dataSheetPlace(notation)).toBeUndefined()
    },
  )

  it.each([
    [{ table: 'input' }, 'table input can only be read'],
    [{ type: 'int8High' }, 'int8High shares its register; write the register as uint16'],
    [{ type: 'bit', bit: 3 }, 'bit shares its register; write the register as uint16'],
    [{ type: 'int64', asText: true }, 'a number as text can only be read'],
    [{ type: 'string', length: 248 }, '124 registers exceed 123, which one request may write'],
  ])('refuses to let %j be written', (change, problem) => {
    expect(problemsOfSignal({ ...change, writable: true })).toEqual([
      expect.stringContaining(problem),
      'writeSecretFile: is missing, but signals are writable; mount a secret and name its file',
    ])
  })

  it('refuses a device on a link that is not there, and one without signals', () => {
    expect(problemsOfSignal({}, { link: 'hall-9', signals: {} })).toEqual([
      'devices/press-4/link: hall-9 is no link, expected one of hall-1',
      'devices/press-4/signals: is empty, expected at least one signal',
    ])
  })

  it.each([
    [{ requestRegistersMax: 1 }, 'type: uint32 takes 2 registers, which exceeds requestRegistersMax of the device'],
    [{ neverRead: ['holding 0-1'] }, 'address: 1 lies in what neverRead of the device names'],
  ])('refuses a signal that its device with %j could not be asked for', (quirk, problem) => {
    expect(problemsOfSignal({}, { signals: { temp: { ...signal, address: 1, type: 'uint32' } }, ...quirk })).toEqual([
      `devices/press-4/signals/temp/${problem}`,
    ])
  })

  it('refuses a first delay beyond the longest', () => {
    expect(problemsOf({ links: { a: { transport: 'tcp', host: 'plc', retryDelayMsMin: 60_000 } } })).toEqual([
      'links/a/retryDelayMsMin: 60000 exceeds retryDelayMsMax 30000',
    ])
  })

  it.each([
    [
      { transport: 'rtu', path: '/dev/ttyUSB0', dataBits: 7 },
      'links/a/dataBits: 7 does not fit transport rtu, expected 8',
    ],
    [
      { transport: 'rtu', path: 'COM1' },
      'links/a/path: "COM1" is no device path, expected /dev/ttyUSB0 or /dev/serial/by-id/…',
    ],
    [{ transport: 'rtu', path: '/dev/ttyUSB0', host: 'plc' }, 'links/a/host: unknown key'],
  ])('refuses a link with %j', (settings, problem) => {
    expect(problemsOf({ links: { a: settings } })).toEqual([expect.stringContaining(problem)])
  })

  it('refuses a line that another link holds', () => {
    const serial = { transport: 'rtu', path: '/dev/ttyUSB0' }
    const gateway = { transport: 'rtuOverTcp', host: 'gate', port: 4001 }
    expect(problemsOf({ links: { a: serial, b: { ...serial, transport: 'ascii' }, c: gateway, d: gateway } })).toEqual([
      'links/b/path: /dev/ttyUSB0 is in use by link a; put all its units on one link',
      'links/d/host: gate:4001 is in use by link c; put all its units on one link',
    ])
  })

  it('refuses ids that no twin could hold', () => {
    expect(problemsOf({ devices: { 'press.4': { link: 'a', unitId: 1, signals: {} } } })).toHaveLength(1)
  })

  it('lets signals overlap', () => {
    const signals = { low: { ...signal, address: 1 }, whole: { ...signal, type: 'uint32' } }
    expect(problemsOfSignal({}, { signals })).toEqual([])
  })
})
