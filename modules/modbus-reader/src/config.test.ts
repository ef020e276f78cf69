import { parseConfig } from '@weir/lib/config-parse'
import { describe, expect, it } from 'vitest'
import { modbusConfig } from './config.ts'

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

  it('takes an empty configuration, which reads nothing', () => {
    expect(problemsOf({})).toEqual([])
  })

  it.each([
    [{ table: 'coil' }, 'devices/press-4/signals/temp/type: uint16 does not fit table coil, expected bit'],
    [
      { type: 'bit' },
      'devices/press-4/signals/temp/type: bit does not fit table holding, expected int16, uint16, int32, uint32, float32',
    ],
    [
      { address: 65_535, type: 'float32' },
      'devices/press-4/signals/temp/address: 65535 leaves no room for float32, the last address is 65535',
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

  it('refuses a device on a link that is not there, and one without signals', () => {
    expect(problemsOfSignal({}, { link: 'hall-9', signals: {} })).toEqual([
      'devices/press-4/link: hall-9 is no link, expected one of hall-1',
      'devices/press-4/signals: is empty, expected at least one signal',
    ])
  })

  it('refuses a first delay beyond the longest', () => {
    expect(problemsOf({ links: { a: { transport: 'tcp', host: 'plc', retryDelayMsMin: 60_000 } } })).toEqual([
      'links/a/retryDelayMsMin: 60000 exceeds retryDelayMsMax 30000',
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
