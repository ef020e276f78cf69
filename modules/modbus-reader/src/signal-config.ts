import { idPattern } from '@weir/lib/limits'
import { z } from 'zod'
import { type ByteOrder, byteOrders, isLongOrder, swapsBytes, type WordOrder } from './byte-order.ts'
import type { Encoding } from './decode.ts'
import { tableAddresses } from './limits.ts'
import { isHalfRegister, isInteger, registersOf, registerTypes } from './registers.ts'
import { isBitTable, type Table, tables } from './tables.ts'

export const id = z.string().regex(idPattern, 'must match ^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$')

export const signalTypes = ['bit', 'string', ...registerTypes] as const
export type SignalType = (typeof signalTypes)[number]

export const addressings = ['zeroBased', 'oneBased', 'dataSheet'] as const
export type Addressing = (typeof addressings)[number]

/** Longest text: 125 registers of two characters. */
const stringCharactersMax = 250
const dataSheetAddressMax = 465_536

export const pollIntervalMs = z.int().min(10).max(86_400_000)

export const signal = z.strictObject({
  table: z.enum(tables).optional().meta({
    description:
      'Where the signal lies: coil, discrete (input), input or holding (register). Required, but with addressing dataSheet, where the address says it.',
  }),
  address: z.int().min(0).max(dataSheetAddressMax).meta({
    description:
      'Address of the bit or of the first register, counted as addressing of the device says: from 0 as on the wire, or 40001.',
  }),
  type: z.enum(signalTypes).meta({
    description:
      'How the value is stored: bit for coils and discrete inputs, or, with the setting bit, for one bit of a register; else a number type, or string.',
  }),
  bit: z
    .int()
    .min(0)
    .max(15)
    .optional()
    .meta({ description: 'Bit of the register, 0 the lowest, for type bit in a register.' }),
  length: z
    .int()
    .min(1)
    .max(stringCharactersMax)
    .optional()
    .meta({ description: 'Characters of a string, two in each register.' }),
  trim: z
    .boolean()
    .optional()
    .meta({ description: 'Whether blanks around a string are removed. Absent: true. A string ends at the first NUL.' }),
  asText: z.boolean().optional().meta({
    description:
      'true: int64 and uint64 as decimal digits, exact whatever their size. Absent: as a number, and outOfRange beyond 2^53.',
  }),
  byteOrder: z.enum(byteOrders).optional().meta({
    description:
      'Order of the bytes: ABCD high word and high byte first, CDAB low word first, BADC and DCBA with the bytes of each register swapped. For 64 bits CDAB stands for GHEFCDAB; orders of eight letters name the others. Absent: the order of the device.',
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
  invalid: z
    .array(
      z.union([
        z.number(),
        z.string().regex(/^0x[0-9A-Fa-f]{1,16}$/, 'is no raw value; write a number, or bits as 0x8000'),
      ]),
    )
    .max(16)
    .optional()
    .meta({
      description:
        'Raw values by which the device says that it has none, before scaling: numbers, or bits as "0x8000". They become invalidValue.',
    }),
  range: z
    .strictObject({
      min: z.number().optional().meta({ description: 'Least value that is possible.' }),
      max: z.number().optional().meta({ description: 'Greatest value that is possible.' }),
      clamp: z
        .boolean()
        .default(false)
        .meta({ description: 'true: a value beyond becomes the limit. false: it is outOfRange.' }),
    })
    .optional()
    .meta({ description: 'What is possible, after scaling.' }),
  unit: z.string().max(32).optional().meta({ description: 'Unit of the value, for people.' }),
  name: z.string().max(128).optional().meta({ description: 'Name of the signal, for people.' }),
  pollIntervalMs: pollIntervalMs
    .optional()
    .meta({ description: 'Time between two polls of this signal. Absent: that of the device.' }),
  writable: z.boolean().optional().meta({
    description: 'true: the command write may write it. Needs writeSecretFile. Absent: nobody writes it.',
  }),
  deadband: z
    .strictObject({
      absolute: z
        .number()
        .min(0)
        .optional()
        .meta({ description: 'A value is told where it differs by more than this from the one told last.' }),
      percent: z
        .number()
        .positive()
        .max(1000)
        .optional()
        .meta({ description: 'The same, in per cent of the value told last.' }),
      maxSilenceMs: z
        .int()
        .min(100)
        .max(86_400_000)
        .default(600_000)
        .meta({ description: 'A value is told after this time, however little it changes.' }),
    })
    .optional()
    .meta({
      description: 'Report by exception. Absent: every value is told. Bits and strings are told as they change.',
    }),
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

const neverReadPattern = /^(coil|discrete|input|holding) (\d{1,5})(?:-(\d{1,5}))?$/

/** A range of addresses on the wire, both ends included: `holding 120` or `holding 120-130`. */
const neverReadRange = z
  .string()
  .regex(neverReadPattern, 'is no range, expected a table and addresses on the wire, as "holding 120-130"')
export const neverRead = z.array(neverReadRange).max(100)

/** Whether any of `from` up to, not including, `to` lies in one of the `ranges`. */
export function isNeverRead(ranges: readonly string[], table: Table, from: number, to: number): boolean {
  return ranges.some((range) => {
    const [, ofTable, first, last = first] = neverReadPattern.exec(range) ?? []
    return ofTable === table && from <= Number(last) && to > Number(first)
  })
}

/** Where a signal lies on the wire; `length` in bits or registers. */
export interface Place {
  readonly table: Table
  readonly address: number
  readonly length: number
}

/** Settings of a device that its signals share. */
export interface SignalDefaults {
  readonly addressing: Addressing
  readonly byteOrder: WordOrder
  readonly neverRead: readonly string[]
  readonly requestRegistersMax: number
}

/** Bits or registers that a signal takes. */
function lengthOf({ type, length = 0 }: SignalConfig): number {
  if (type === 'bit') return 1
  return type === 'string' ? Math.ceil(length / 2) : registersOf(type)
}

const dataSheetTables: readonly (Table | undefined)[] = ['coil', 'discrete', undefined, 'input', 'holding']

/**
 * The table and address of a data sheet's notation: 40001 is holding register 0 on the wire, and so is 400001. Undefined
 * for a number that is none. A number has no leading zeros: below 10000 it is a coil, 10001 the first discrete input.
 */
export function dataSheetPlace(notation: number): { table: Table; address: number } | undefined {
  const size = notation > 99_999 ? 100_000 : 10_000
  const table = dataSheetTables[Math.floor(notation / size)]
  const number = notation % size
  return table === undefined || number < 1 || number > tableAddresses ? undefined : { table, address: number - 1 }
}

/** Where a signal lies, or what is wrong with its address. */
export function placeOf(signal: SignalConfig, addressing: Addressing): Place | string {
  const { table, address } = signal
  const length = lengthOf(signal)
  if (addressing !== 'dataSheet') {
    if (table === undefined) return 'table: is missing, expected coil, discrete, input or holding'
    const first = addressing === 'oneBased' ? address - 1 : address
    if (first < 0) return 'address: 0 does not exist where addresses count from 1 (addressing oneBased)'
    return fits(first, length, signal) ?? { table, address: first, length }
  }
  const place = dataSheetPlace(address)
  if (place === undefined) {
    return `address: ${address} is no data sheet address, expected 1 to 9999, 10001 to 19999, 30001 to 39999, 40001 to 49999, or one of six digits such as 400001`
  }
  if (table !== undefined && table !== place.table) {
    return `table: ${table} does not fit address ${address}, which is in table ${place.table}; remove it`
  }
  return fits(place.address, length, signal) ?? { ...place, length }
}

function fits(first: number, length: number, { address, type }: SignalConfig): string | undefined {
  if (first + length <= tableAddresses) return undefined
  return `address: ${address} leaves no room for ${type}, the last address is ${tableAddresses - 1} on the wire`
}

/** How the values of a signal are stored. */
export function encodingOf(signal: SignalConfig, device: Pick<SignalDefaults, 'byteOrder'>): Encoding {
  return { ...signal, byteOrder: signal.byteOrder ?? device.byteOrder }
}

type Key = keyof SignalConfig

function isSet(signal: SignalConfig, key: Key): boolean {
  if (key === 'scale') return signal.scale !== 1
  if (key === 'offset') return signal.offset !== 0
  return signal[key] !== undefined
}

function is64(type: SignalType): boolean {
  return type === 'int64' || type === 'uint64'
}

const numeric: readonly Key[] = ['scale', 'offset', 'decimals', 'urgent', 'range']

/** Keys that say nothing about a signal of this type. */
function meaningless(signal: SignalConfig, table: Table): readonly Key[] {
  const { type, asText } = signal
  if (type === 'bit') {
    const forRegister: readonly Key[] = isBitTable(table) ? ['bit', 'byteOrder'] : []
    return [...forRegister, ...numeric, 'invalid', 'length', 'trim', 'asText']
  }
  if (type === 'string') return ['bit', ...numeric, 'invalid', 'asText']
  return ['bit', 'length', 'trim', ...(is64(type) ? (asText === true ? numeric : []) : (['asText'] as const))]
}

function checkType(at: string, signal: SignalConfig, table: Table): string[] {
  const { type, byteOrder } = signal
  if (isBitTable(table) && type !== 'bit') return [`${at}/type: ${type} does not fit table ${table}, expected bit`]
  if (!isBitTable(table) && type === 'bit' && signal.bit === undefined) {
    return [`${at}/bit: is missing, expected 0 to 15, the bit of the register`]
  }
  if (type === 'string' && signal.length === undefined) return [`${at}/length: is missing, expected the characters`]
  return byteOrder === undefined ? [] : checkOrder(at, type, byteOrder)
}

function checkOrder(at: string, type: SignalType, order: ByteOrder): string[] {
  if (type === 'string' && order !== 'ABCD' && order !== 'BADC') {
    return [`${at}/byteOrder: ${order} does not fit a string, expected ABCD, or BADC where the bytes are swapped`]
  }
  if (!isLongOrder(order) || (type !== 'bit' && type !== 'string' && registersOf(type) === 4)) return []
  const short = swapsBytes(order) ? 'BADC' : 'ABCD'
  return [`${at}/byteOrder: ${order} is for 64 bits, expected an order of four letters such as ${short}`]
}

function checkUrgent(at: string, { above, below }: NonNullable<SignalConfig['urgent']>): string[] {
  if (above === undefined && below === undefined) return [`${at}/urgent: has no limit; set above, below or both`]
  if (above !== undefined && below !== undefined && above <= below) {
    return [`${at}/urgent: above ${above} must exceed below ${below}`]
  }
  return []
}

function checkDeadband(at: string, signal: SignalConfig): string[] {
  const { deadband, type, asText } = signal
  if (deadband === undefined) return []
  const given = (['absolute', 'percent'] as const).filter((key) => deadband[key] !== undefined)
  if (type === 'bit' || type === 'string' || asText === true) {
    return given.map((key) => `${at}/deadband/${key}: has no meaning for what is no number; remove it`)
  }
  return given.length === 1 ? [] : [`${at}/deadband: needs one of absolute and percent`]
}

/** Registers that one request may write (MODBUS Application Protocol V1.1b3, section 6.12). */
const writeRegistersMax = 123

function checkWritable(at: string, signal: SignalConfig, { table, length }: Place): string[] {
  if (signal.writable !== true) return []
  const { type, asText } = signal
  if (table !== 'coil' && table !== 'holding') return [`${at}/writable: table ${table} can only be read`]
  if (length > writeRegistersMax) {
    return [`${at}/writable: ${length} registers exceed ${writeRegistersMax}, which one request may write`]
  }
  const isHalf = type !== 'bit' && type !== 'string' && isHalfRegister(type)
  if (isHalf || (type === 'bit' && table === 'holding')) {
    return [`${at}/writable: ${type} shares its register; write the register as uint16`]
  }
  return asText === true ? [`${at}/writable: a number as text can only be read`] : []
}

function checkRange(at: string, { min, max }: NonNullable<SignalConfig['range']>): string[] {
  if (min === undefined && max === undefined) return [`${at}/range: has no limit; set min, max or both`]
  if (min !== undefined && max !== undefined && min >= max) return [`${at}/range: max ${max} must exceed min ${min}`]
  return []
}

/** A sentinel must be one that the type can hold, or it would never be met. */
function checkInvalid(at: string, { type, invalid = [] }: SignalConfig): string[] {
  if (type === 'bit' || type === 'string') return []
  const bytes = isHalfRegister(type) ? 1 : registersOf(type) * 2
  return invalid.flatMap((each, index) => {
    if (typeof each === 'string') {
      if (each.length - 2 <= bytes * 2) return []
      return [`${at}/invalid/${index}: ${each} has more bits than ${type}, expected up to ${bytes * 2} digits`]
    }
    if (isInteger(type) && !Number.isSafeInteger(each)) {
      return [`${at}/invalid/${index}: ${each} is no raw value of ${type}, expected a whole number`]
    }
    return []
  })
}

/** A signal that its device's own limits would not let be read. */
function checkLimits(at: string, signal: SignalConfig, place: Place, device: SignalDefaults): string[] {
  const { table, address, length } = place
  if (isNeverRead(device.neverRead, table, address, address + length)) {
    return [`${at}/address: ${signal.address} lies in what neverRead of the device names`]
  }
  if (isBitTable(table) || length <= device.requestRegistersMax) return []
  return [`${at}/type: ${signal.type} takes ${length} registers, which exceeds requestRegistersMax of the device`]
}

/** Problems of a signal at the path `at`. */
export function checkSignal(at: string, signal: SignalConfig, device: SignalDefaults): string[] {
  const place = placeOf(signal, device.addressing)
  if (typeof place === 'string') return [`${at}/${place}`]
  const word =
    signal.type === 'bit' ? 'a bit' : is64(signal.type) && signal.asText === true ? 'a number as text' : signal.type
  return [
    ...checkType(at, signal, place.table),
    ...meaningless(signal, place.table)
      .filter((key) => isSet(signal, key))
      .map((key) => `${at}/${key}: has no meaning for ${word}; remove it`),
    ...(signal.urgent === undefined ? [] : checkUrgent(at, signal.urgent)),
    ...(signal.range === undefined ? [] : checkRange(at, signal.range)),
    ...checkDeadband(at, signal),
    ...checkWritable(at, signal, place),
    ...checkInvalid(at, signal),
    ...checkLimits(at, signal, place, device),
  ]
}
