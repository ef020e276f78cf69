import { type ByteOrder, longOrders, wordOrders } from './byte-order.ts'
import { type Converter, converterFor } from './decode.ts'
import { isHalfRegister, type RegisterType, registersOf, registerTypes } from './registers.ts'
import type { Table } from './tables.ts'

/** Registers by address; those that the unit refuses are absent. */
export type Registers = ReadonlyMap<number, number>

/** One way to read a number out of registers. */
export interface Reading {
  readonly type: RegisterType
  readonly byteOrder: ByteOrder
  readonly registers: number
  readonly convert: Converter
}

function ordersOf(type: RegisterType): readonly ByteOrder[] {
  if (isHalfRegister(type)) return ['ABCD']
  if (registersOf(type) === 1) return ['ABCD', 'BADC']
  return registersOf(type) === 2 ? wordOrders : longOrders
}

/** Every type in every order in which it can lie, the usual ones first. */
export const readings: readonly Reading[] = registerTypes.flatMap((type) =>
  ordersOf(type).map((byteOrder) => ({
    type,
    byteOrder,
    registers: registersOf(type),
    convert: converterFor({ type, byteOrder, scale: 1, offset: 0 }),
  })),
)

/** The number at `address` read in one way; undefined where registers are missing or hold none. */
export function numberAt(all: Registers, address: number, { registers, convert }: Reading): number | undefined {
  const data = Buffer.alloc(registers * 2)
  for (let index = 0; index < registers; index++) {
    const register = all.get(address + index)
    if (register === undefined) return undefined
    data.writeUInt16BE(register, index * 2)
  }
  const value = convert(data, 0)
  return typeof value === 'number' ? value : undefined
}

/** Scales that devices use, the likely ones first. */
const usualScales = [1, 0.1, 0.01, 0.001, 10, 100, 1000]

/** A place whose value fits what a display shows. */
export interface Candidate {
  readonly table: Table
  readonly address: number
  readonly type: RegisterType
  readonly byteOrder: ByteOrder
  readonly scale: number
  /** Value in the last sample, scaled. */
  readonly value: number
  /** Greatest distance from what is shown over all samples, in per cent of it. */
  readonly errorPct: number
}

/** How unlikely a way to store a value is, in per cent of error that it weighs as much as. */
function oddity({ type, byteOrder }: Reading, scale: number): number {
  const order = byteOrder === 'ABCD' || byteOrder === 'ABCDEFGH' ? 0 : byteOrder === 'CDAB' ? 0.05 : 0.2
  const rare = /^(?:bcd|float16|u?int8|u?int64|float64)/.test(type) ? 0.2 : 0
  const scaled = type.startsWith('float') && scale !== 1 ? 0.3 : usualScales.indexOf(scale) * 0.01
  return order + rare + scaled
}

/**
 * Where in the registers of a table a value lies that a display shows, the best fit first. Each sample is paired with what
 * the display shows meanwhile, which may move by `tolerancePct`.
 * @param shown not 0, which fits everything.
 */
export function findValue(
  table: Table,
  samples: readonly Registers[],
  shown: number,
  tolerancePct: number,
): Candidate[] {
  const last = samples.at(-1)
  if (last === undefined) return []
  const found: { candidate: Candidate; rank: number }[] = []
  for (const address of last.keys()) {
    const seen = new Set<string>()
    for (const reading of readings) {
      const raw = samples.map((sample) => numberAt(sample, address, reading))
      for (const scale of usualScales) {
        const errorPct = Math.max(
          ...raw.map((each) => (Math.abs((each ?? Number.NaN) * scale - shown) / Math.abs(shown)) * 100),
        )
        const value = Number(((raw.at(-1) ?? Number.NaN) * scale).toPrecision(7))
        // What reads the same in several ways is told once, in the likeliest.
        const key = `${reading.registers} ${raw.join()} ${scale}`
        if (!(errorPct <= tolerancePct) || seen.has(key)) continue
        seen.add(key)
        const { type, byteOrder } = reading
        found.push({
          candidate: { table, address, type, byteOrder, scale, value, errorPct: Number(errorPct.toFixed(3)) },
          rank: errorPct + oddity(reading, scale),
        })
      }
    }
  }
  return found.toSorted((a, b) => a.rank - b.rank).map(({ candidate }) => candidate)
}
