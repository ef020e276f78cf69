import { ManualClock } from '@weir/lib/clock'
import { expect, it } from 'vitest'
import { modbusConfig } from './config.ts'
import { Device } from './device.ts'

const config = modbusConfig.schema.parse({
  links: { line: { transport: 'tcp', host: 'plc' } },
  devices: {
    'press-4': {
      link: 'line',
      unitId: 1,
      deviceType: 'press',
      signals: {
        temperature: { table: 'holding', address: 0, type: 'int16', unit: '°C' },
        strokes: { table: 'holding', address: 1, type: 'uint16' },
      },
    },
  },
})

it('units go with the first message and then every ten minutes', () => {
  const clock = new ManualClock()
  const deviceConfig = config.devices['press-4']
  if (deviceConfig === undefined) throw new Error('press-4 is not configured')
  const device = new Device('press-4', config, deviceConfig, clock, () => undefined)
  expect(device.labels()).toEqual({ deviceType: 'press', location: undefined, units: { temperature: '°C' } })
  clock.advance(599_999)
  expect(device.labels()).toEqual({ deviceType: 'press', location: undefined })
  clock.advance(1)
  expect(device.labels().units).toEqual({ temperature: '°C' })
})
