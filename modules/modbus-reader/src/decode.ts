import type { ByteOrder, SignalType } from './config.ts'
import type { RegisterType } from './registers.ts'
import { scalingFor } from './scale.ts'

/** A value, or undefined where the device's bytes are no valid one (a float that is not finite). */
export type Decoded = number | boolean | undefined

/** Reads one value out of an answer's data: `at` is a byte for registers, a bit for coils and discrete inputs. */
export type Converter = (data: Buffer, at: number) => Decoded

/** Where a value lies in an answer, and the column of the result that it fills. */
export interface Field {
  readonly at: number
  readonly column: number
  readonly convert: Converter
}

export interface Encoding {
  readonly type: SignalType
  readonly byteOrder: ByteOrder
  readonly scale: number
  readonly offset: number
  readonly decimals?: number | undefined
}

type RawReader = (data: Buffer, at: number) => number

const scratch = Buffer.alloc(4)

/** The four bytes at `at` brought into ABCD order in `scratch`. */
function loadCdab(data: Buffer, at: number): Buffer {
  scratch.writeUInt16BE(data.readUInt16BE(at + 2), 0)
  scratch.writeUInt16BE(data.readUInt16BE(at), 2)
  return scratch
}

function loadBadc(data: Buffer, at: number): Buffer {
  scratch.writeUInt16BE(data.readUInt16LE(at), 0)
  scratch.writeUInt16BE(data.readUInt16LE(at + 2), 2)
  return scratch
}

const readers16: Record<'int16' | 'uint16', { high: RawReader; low: RawReader }> = {
  int16: { high: (data, at) => data.readInt16BE(at), low: (data, at) => data.readInt16LE(at) },
  uint16: { high: (data, at) => data.readUInt16BE(at), low: (data, at) => data.readUInt16LE(at) },
}

const readers32: Record<'int32' | 'uint32' | 'float32', Record<ByteOrder, RawReader>> = {
  int32: {
    ABCD: (data, at) => data.readInt32BE(at),
    DCBA: (data, at) => data.readInt32LE(at),
    CDAB: (data, at) => loadCdab(data, at).readInt32BE(0),
    BADC: (data, at) => loadBadc(data, at).readInt32BE(0),
  },
  uint32: {
    ABCD: (data, at) => data.readUInt32BE(at),
    DCBA: (data, at) => data.readUInt32LE(at),
    CDAB: (data, at) => loadCdab(data, at).readUInt32BE(0),
    BADC: (data, at) => loadBadc(data, at).readUInt32BE(0),
  },
  float32: {
    ABCD: (data, at) => data.readFloatBE(at),
    DCBA: (data, at) => data.readFloatLE(at),
    CDAB: (data, at) => loadCdab(data, at).readFloatBE(0),
    BADC: (data, at) => loadBadc(data, at).readFloatBE(0),
  },
}

/** true: the two bytes of each register are swapped. */
export function swapsBytes(order: ByteOrder): boolean {
  return order === 'BADC' || order === 'DCBA'
}

function rawReaderFor(type: RegisterType, order: ByteOrder): RawReader {
  if (type === 'int16' || type === 'uint16') return readers16[type][swapsBytes(order) ? 'low' : 'high']
  return readers32[type][order]
}

const readBit: Converter = (data, at) => (((data[at >> 3] ?? 0) >> (at & 7)) & 1) === 1

/** The converter of a signal, decided once at start, so that decoding branches on no configuration. */
export function converterFor({ type, byteOrder, scale, offset, decimals }: Encoding): Converter {
  if (type === 'bit') return readBit
  const read = rawReaderFor(type, byteOrder)
  const toValue = scalingFor(type, scale, offset, decimals)
  return (data, at) => {
    const value = toValue(read(data, at))
    return Number.isFinite(value) ? value : undefined
  }
}

/** Decodes every field of an answer into its column of `out`. `data` must be as long as its request asked for. */
export function decode(data: Buffer, fields: readonly Field[], out: Decoded[]): void {
  for (const { at, column, convert } of fields) out[column] = convert(data, at)
}
