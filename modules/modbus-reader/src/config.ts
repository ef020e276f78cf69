import type { ConfigDeclaration } from '@weir/lib/config'
import { z } from 'zod'
import { wordOrders } from './byte-order.ts'
import { requestBitsMax, requestRegistersMax, unitIdMax } from './limits.ts'
import { checkLinks, link } from './link-config.ts'
import { addressings, checkSignal, id, neverRead, pollIntervalMs, signal } from './signal-config.ts'

const gapRegistersMax = z.int().min(0).max(123)
const gapBitsMax = z.int().min(0).max(1998)

const device = z.strictObject({
  link: id.meta({ description: 'The link that leads to the device.' }),
  unitId: z.int().min(0).max(unitIdMax).meta({ description: 'Unit id (slave address) of the device on the link.' }),
  name: z.string().max(128).optional().meta({ description: 'Name of the device, for people.' }),
  deviceType: z.string().max(128).optional().meta({ description: 'Kind of device; travels with every reading.' }),
  location: z
    .string()
    .max(128)
    .optional()
    .meta({ description: 'Where the device stands; travels with every reading.' }),
  byteOrder: z
    .enum(wordOrders)
    .default('ABCD')
    .meta({ description: 'Order of the bytes in registers, for signals that state none.' }),
  addressing: z.enum(addressings).default('zeroBased').meta({
    description:
      'How addresses are written: from 0 as on the wire, from 1, or as data sheets do, where 40001 (or 400001) is the first holding register, 30001 the first input register, 10001 the first discrete input and 1 the first coil.',
  }),
  pollIntervalMs: pollIntervalMs
    .optional()
    .meta({ description: 'Time between two polls of this device. Absent: that of the module.' }),
  gapRegistersMax: gapRegistersMax.optional().meta({ description: 'As the setting of the module, for this device.' }),
  gapBitsMax: gapBitsMax.optional().meta({ description: 'As the setting of the module, for this device.' }),
  timeoutMs: z
    .int()
    .min(10)
    .max(60_000)
    .optional()
    .meta({ description: 'How long this unit may take to answer. Absent: as the link says.' }),
  requestRegistersMax: z
    .int()
    .min(1)
    .max(requestRegistersMax)
    .default(requestRegistersMax)
    .meta({ description: 'Registers that the device lets one request read.' }),
  requestBitsMax: z
    .int()
    .min(1)
    .max(requestBitsMax)
    .default(requestBitsMax)
    .meta({ description: 'Coils or discrete inputs that the device lets one request read.' }),
  oneSignalPerRequest: z
    .boolean()
    .default(false)
    .meta({ description: 'true: no two signals share a request, for devices that answer nothing else.' }),
  writeMultiple: z.boolean().default(false).meta({
    description: 'true: even one register or coil is written with function code 16 or 15, for devices without 6 and 5.',
  }),
  neverRead: neverRead.default([]).meta({
    description:
      'Addresses on the wire that no poll may touch, as "holding 120-130": for registers that do something when they are read.',
  }),
  signals: z.record(id, signal).meta({ description: 'Signals by id.' }),
})
export type DeviceConfig = z.infer<typeof device>

const schema = z.strictObject({
  publishIntervalMs: z.int().min(10).max(3_600_000).default(1000).meta({
    description: 'Rows of a device are collected this long, then sent in one message.',
  }),
  pollIntervalMs: pollIntervalMs
    .default(1000)
    .meta({ description: 'Time between two polls, for devices and signals that state none.' }),
  gapRegistersMax: gapRegistersMax.default(16).meta({
    description:
      'Unused registers that a request may read along to spare another request. 0: never read an unused register.',
  }),
  gapBitsMax: gapBitsMax.default(64).meta({ description: 'The same for coils and discrete inputs.' }),
  refusedRetryMs: z.int().min(1000).max(86_400_000).default(3_600_000).meta({
    description:
      'Longest time that a register which a device refuses is left alone before it is tried again. It begins with a minute and doubles.',
  }),
  writeSecretFile: z
    .string()
    .regex(/^\/.{1,250}$/, 'is no absolute path')
    .optional()
    .meta({
      description:
        'Mounted file with the secret that the command write must give, at least 16 bytes. Required where a signal is writable.',
    }),
  properties: z
    .record(id, z.string().max(256))
    .default({})
    .meta({ description: 'Fixed application properties on every message, for routes.' }),
  links: z
    .record(id, link)
    .default({})
    .meta({ description: 'Connections by id. Units behind one gateway share one link.' }),
  devices: z.record(id, device).default({}).meta({ description: 'Devices by id.' }),
})
export type ModbusConfig = z.infer<typeof schema>

function check(config: ModbusConfig): string[] {
  const problems = checkLinks(config.links)
  const known = Object.keys(config.links)
  for (const [deviceId, device] of Object.entries(config.devices)) {
    const at = `devices/${deviceId}`
    if (!known.includes(device.link)) {
      problems.push(
        `${at}/link: ${device.link} is no link, expected ${known.length === 0 ? 'one under links, which is empty' : `one of ${known.join(', ')}`}`,
      )
    }
    const signals = Object.entries(device.signals)
    if (signals.length === 0) problems.push(`${at}/signals: is empty, expected at least one signal`)
    for (const [signalId, signal] of signals) {
      problems.push(...checkSignal(`${at}/signals/${signalId}`, signal, device))
    }
  }
  return [...problems, ...checkWritable(config)]
}

function checkWritable({ devices, writeSecretFile }: ModbusConfig): string[] {
  if (writeSecretFile !== undefined) return []
  const isAny = Object.values(devices).some(({ signals }) => Object.values(signals).some(({ writable }) => writable))
  return isAny ? ['writeSecretFile: is missing, but signals are writable; mount a secret and name its file'] : []
}

const sample = {
  publishIntervalMs: 1000,
  pollIntervalMs: 1000,
  links: {
    'hall-1': { transport: 'tcp', host: '192.168.10.20', port: 502, timeoutMs: 1000 },
  },
  devices: {
    'press-4': {
      link: 'hall-1',
      unitId: 1,
      deviceType: 'press',
      location: 'hall-1',
      signals: {
        temperature: {
          table: 'holding',
          address: 0,
          type: 'float32',
          byteOrder: 'CDAB',
          unit: '°C',
          decimals: 2,
          urgent: { above: 80 },
        },
        pressure: { table: 'input', address: 0, type: 'int16', scale: 0.1, unit: 'bar' },
        strokes: { table: 'input', address: 2, type: 'uint32', pollIntervalMs: 10_000 },
        running: { table: 'coil', address: 0, type: 'bit' },
      },
    },
  },
}

export const modbusConfig: ConfigDeclaration<ModbusConfig> = { module: 'modbus-reader', schema, sample, check }
