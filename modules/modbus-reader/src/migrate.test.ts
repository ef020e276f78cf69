import type { JsonObject } from '@weir/lib/json'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { migrateSlaveConfigs, placeOfDigits } from './migrate.ts'

const operation = (StartAddress: string, more: JsonObject = {}): JsonObject => ({
  UnitId: '1',
  Count: '1',
  StartAddress,
  ...more,
})

describe('migration from iot-edge-modbus', () => {
  it('reads the same registers over the same connections', () => {
    const { config, notes } = migrateSlaveConfigs({
      PublishInterval: '2000',
      SlaveConfigs: {
        Slave01: {
          SlaveConnection: '192.168.0.1',
          HwId: 'PowerMeter-0a:01',
          RetryCount: '3',
          Operations: {
            Op01: operation('400001', { Count: '2', DisplayName: 'Line Voltage', PollingInterval: '500' }),
            Op02: operation('00017', { UnitId: '7', DisplayName: 'Relay' }),
          },
        },
        Slave02: {
          SlaveConnection: 'ttyS0',
          HwId: 'PowerMeter-0a:01',
          BaudRate: '19200',
          Parity: 'ODD',
          Operations: { Op01: operation('30003') },
        },
      },
    })
    expect(config).toEqual({
      publishIntervalMs: 2000,
      links: {
        Slave01: { transport: 'tcp', host: '192.168.0.1', retries: 3 },
        Slave02: {
          transport: 'rtu',
          path: '/dev/ttyS0',
          baudRate: 19_200,
          dataBits: 8,
          stopBits: 1,
          parity: 'odd',
          retries: 0,
        },
      },
      devices: {
        'PowerMeter-0a-01': {
          link: 'Slave01',
          unitId: 1,
          signals: {
            'Line-Voltage-1': { table: 'holding', address: 0, type: 'uint16', pollIntervalMs: 500 },
            'Line-Voltage-2': { table: 'holding', address: 1, type: 'uint16', pollIntervalMs: 500 },
          },
        },
        'PowerMeter-0a-01-2': {
          link: 'Slave01',
          unitId: 7,
          signals: { Relay: { table: 'coil', address: 16, type: 'bit' } },
        },
        'PowerMeter-0a-01-3': {
          link: 'Slave02',
          unitId: 1,
          signals: { Op01: { table: 'input', address: 2, type: 'uint16' } },
        },
      },
    })
    expect(notes).toEqual([
      'SlaveConfigs/Slave01/Operations/Op01: 2 raw registers; join them with a type such as float32',
    ])
  })

  it('puts slaves of one connection on one link, and keeps signals of one name apart', () => {
    const slave = (Operations: JsonObject): JsonObject => ({ SlaveConnection: '10.0.0.1', HwId: 'a', Operations })
    const { config, notes } = migrateSlaveConfigs({
      SlaveConfigs: {
        a: slave({ x: operation('40001', { DisplayName: 'V' }), y: operation('40002', { DisplayName: 'V' }) }),
        b: slave({ x: operation('40001') }),
      },
    })
    expect(Object.keys(config['links'] ?? {})).toEqual(['a'])
    expect(config).toMatchObject({ devices: { a: { signals: { V: {}, 'V-2': {} } }, 'a-2': { link: 'a' } } })
    expect(notes).toEqual([])
  })

  it('says what it left out, and what the result would be refused for', () => {
    const { notes } = migrateSlaveConfigs({
      SlaveConfigs: {
        a: { SlaveConnection: 'ttyS0', StopBits: '1.5', Operations: { x: operation('20001'), y: operation('40001') } },
      },
    })
    expect(notes).toEqual([
      'SlaveConfigs/a/Operations/x: StartAddress 20001 is no address of five or six digits; left out',
      expect.stringContaining('links/a/stopBits'),
    ])
  })

  it.each([
    ['00001', { table: 'coil', address: 0 }],
    ['010001', { table: 'coil', address: 10_000 }],
    ['10001', { table: 'discrete', address: 0 }],
    ['465536', { table: 'holding', address: 65_535 }],
    ['465537', undefined],
    ['40000', undefined],
    ['4001', undefined],
    ['20001', undefined],
  ])('takes the digits %s for %j', (digits, place) => {
    expect(placeOfDigits(digits)).toEqual(place)
  })

  it('survives whatever it is given', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (slave, operations) => {
        const SlaveConfigs = JSON.parse(
          JSON.stringify({ a: slave, b: { SlaveConnection: 'x', Operations: operations } }),
        )
        expect(migrateSlaveConfigs({ SlaveConfigs }).config).toHaveProperty('links')
      }),
    )
  })
})
