import type { ConfigDeclaration } from '@weir/lib/config'
import { idPattern } from '@weir/lib/limits'
import { z } from 'zod'
import { tableAddresses, unitIdMax } from './limits.ts'
import { registersOf, registerTypes } from './registers.ts'

const id = z.string().regex(idPattern, 'must match ^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$')

export const tables = ['coil', 'discrete', 'input', 'holding'] as const
export type Table = (typeof tables)[number]

export const signalTypes = ['bit', ...registerTypes] as const
export type SignalType = (typeof signalTypes)[number]

const byteOrder = z.enum(['ABCD', 'BADC', 'CDAB', 'DCBA'])
export type ByteOrder = z.infer<typeof byteOrder>

const pollIntervalMs = z.int().min(10).max(86_400_000)
const gapRegistersMax = z.int().min(0).max(123)
const gapBitsMax = z.int().min(0).max(1998)

const signal = z.strictObject({
  table: z
    .enum(tables)
    .meta({ description: 'Where the signal lies: coil, discrete (input), input or holding (register).' }),
  address: z
    .int()
    .min(0)
    .max(tableAddresses - 1)
    .meta({ description: 'Address of the bit or of the first register, counted from 0 as on the wire.' }),
  type: z
    .enum(signalTypes)
    .meta({ description: 'How the value is stored: bit for coils and discrete inputs, a number type for registers.' }),
  byteOrder: byteOrder.optional().meta({
    description:
      'Order of the bytes: ABCD high word and high byte first, CDAB low word first, BADC and DCBA with the bytes of each register swapped. Absent: the order of the device.',
  }),
  scale: z
    .number()
    .refine((scale) => scale !== 0, 'must not be 0')
    .default(1)
    .meta({ description: 'The value is raw × scale + offset.' }),
  offset: z.number().default(0).meta({ description: 'Added after scaling.' }),
  decimals: z.int().min(0).max(10).optional().meta({
    description: 'Decimals kept. Absent: integers keep all that scale and offset give, floats all they have.',
  }),
  unit: z.string().max(32).optional().meta({ description: 'Unit of the value, for people.' }),
  name: z.string().max(128).optional().meta({ description: 'Name of the signal, for people.' }),
  pollIntervalMs: pollIntervalMs
    .optional()
    .meta({ description: 'Time between two polls of this signal. Absent: that of the device.' }),
  urgent: z
    .strictObject({
      above: z
        .number()
        .optional()
        .meta({ description: 'A value that rises above it, or comes back, is published at once.' }),
      below: z
        .number()
        .optional()
        .meta({ description: 'A value that falls below it, or comes back, is published at once.' }),
    })
    .optional()
    .meta({ description: 'Limits at which readings do not wait for publishIntervalMs.' }),
})
export type SignalConfig = z.infer<typeof signal>

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
  byteOrder: byteOrder
    .default('ABCD')
    .meta({ description: 'Order of the bytes in registers, for signals that state none.' }),
  pollIntervalMs: pollIntervalMs
    .optional()
    .meta({ description: 'Time between two polls of this device. Absent: that of the module.' }),
  gapRegistersMax: gapRegistersMax.optional().meta({ description: 'As the setting of the module, for this device.' }),
  gapBitsMax: gapBitsMax.optional().meta({ description: 'As the setting of the module, for this device.' }),
  signals: z.record(id, signal).meta({ description: 'Signals by id.' }),
})
export type DeviceConfig = z.infer<typeof device>

const link = z.strictObject({
  transport: z.literal('tcp').meta({ description: 'Modbus TCP.' }),
  host: z.string().min(1).max(253).meta({ description: 'Host name, IPv4 or IPv6 address.' }),
  port: z.int().min(1).max(65_535).default(502).meta({ description: 'TCP port.' }),
  connectTimeoutMs: z
    .int()
    .min(50)
    .max(60_000)
    .default(3000)
    .meta({ description: 'How long opening the connection may take.' }),
  timeoutMs: z.int().min(10).max(60_000).default(1000).meta({ description: 'How long a unit may take to answer.' }),
  pauseMs: z.int().min(0).max(10_000).default(0).meta({ description: 'Rest between an answer and the next request.' }),
  timeoutsMax: z.int().min(1).max(100).default(3).meta({
    description:
      'Time-outs in a row after which a unit counts as away, and after which a link where nobody answers is opened anew.',
  }),
  retryDelayMsMin: z.int().min(10).max(600_000).default(500).meta({
    description: 'First delay before a closed link, or a unit that is away, is tried again. Doubles with each failure.',
  }),
  retryDelayMsMax: z.int().min(10).max(3_600_000).default(30_000).meta({ description: 'Ceiling of that delay.' }),
})
export type LinkConfig = z.infer<typeof link>

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

/** Bits or registers that a signal takes. */
export function lengthOf(type: SignalType): number {
  return type === 'bit' ? 1 : registersOf(type)
}

export function isBitTable(table: Table): boolean {
  return table === 'coil' || table === 'discrete'
}

function checkUrgent(at: string, { above, below }: NonNullable<SignalConfig['urgent']>): string[] {
  if (above === undefined && below === undefined) return [`${at}/urgent: has no limit; set above, below or both`]
  if (above !== undefined && below !== undefined && above <= below) {
    return [`${at}/urgent: above ${above} must exceed below ${below}`]
  }
  return []
}

function checkBit(at: string, signal: SignalConfig): string[] {
  const numeric = {
    byteOrder: signal.byteOrder !== undefined,
    scale: signal.scale !== 1,
    offset: signal.offset !== 0,
    decimals: signal.decimals !== undefined,
    urgent: signal.urgent !== undefined,
  }
  return Object.entries(numeric)
    .filter(([, isSet]) => isSet)
    .map(([key]) => `${at}/${key}: has no meaning for a bit; remove it`)
}

function checkSignal(at: string, signal: SignalConfig): string[] {
  const problems: string[] = []
  if (isBitTable(signal.table) !== (signal.type === 'bit')) {
    const expected = isBitTable(signal.table) ? 'bit' : registerTypes.join(', ')
    problems.push(`${at}/type: ${signal.type} does not fit table ${signal.table}, expected ${expected}`)
  }
  const end = signal.address + lengthOf(signal.type)
  if (end > tableAddresses) {
    problems.push(
      `${at}/address: ${signal.address} leaves no room for ${signal.type}, the last address is ${tableAddresses - 1}`,
    )
  }
  if (signal.type === 'bit') return [...problems, ...checkBit(at, signal)]
  return signal.urgent === undefined ? problems : [...problems, ...checkUrgent(at, signal.urgent)]
}

function check(config: ModbusConfig): string[] {
  const problems: string[] = []
  for (const [linkId, { retryDelayMsMin, retryDelayMsMax }] of Object.entries(config.links)) {
    if (retryDelayMsMin > retryDelayMsMax) {
      problems.push(`links/${linkId}/retryDelayMsMin: ${retryDelayMsMin} exceeds retryDelayMsMax ${retryDelayMsMax}`)
    }
  }
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
    for (const [signalId, signal] of signals) problems.push(...checkSignal(`${at}/signals/${signalId}`, signal))
  }
  return problems
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
