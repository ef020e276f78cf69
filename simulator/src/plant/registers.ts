/** How values lie in registers: the inverse of what a reader configured alike does. */
import type { ModbusUnit } from './pdu.ts'

export type RegisterTable = 'coil' | 'discrete' | 'holding' | 'input'

interface NumberKind {
  readonly words: 1 | 2
  readonly min: number
  readonly max: number
}

const integers = {
  int16: { words: 1, min: -(2 ** 15), max: 2 ** 15 - 1 },
  uint16: { words: 1, min: 0, max: 2 ** 16 - 1 },
  int32: { words: 2, min: -(2 ** 31), max: 2 ** 31 - 1 },
  uint32: { words: 2, min: 0, max: 2 ** 32 - 1 },
} as const satisfies Record<string, NumberKind>

export type RegisterType = keyof typeof integers | 'float32' | 'bit'

/** Order of the bytes of a value, A the most significant of four. */
export const byteOrders = ['ABCD', 'BADC', 'CDAB', 'DCBA'] as const
export type ByteOrder = (typeof byteOrders)[number]

/** Where a signal lies. The value a reader shows is `raw × scale + offset`. */
export interface RegisterPlace {
  readonly table: RegisterTable
  readonly address: number
  readonly type: RegisterType
  readonly scale: number
  readonly offset: number
  readonly byteOrder: ByteOrder
}

export function isRegisterType(text: string): text is RegisterType {
  return text in integers || text === 'float32' || text === 'bit'
}

/** Registers (or coils) that a value of `type` takes. */
export function wordsOf(type: RegisterType): number {
  if (type === 'bit') return 1
  return type === 'float32' ? 2 : integers[type].words
}

export interface Encoded {
  /** Registers from the place's address on; for a bit 0 or 1. */
  readonly words: readonly number[]
  /** The value that a reader of these registers shows, before it rounds. */
  readonly shown: number
}

/** Puts registers, most significant first, into `order`. */
function ordered(words: readonly number[], order: ByteOrder): number[] {
  const placed = order === 'CDAB' || order === 'DCBA' ? words.toReversed() : [...words]
  if (order === 'ABCD' || order === 'CDAB') return placed
  return placed.map((word) => ((word & 0xff) << 8) | (word >> 8))
}

/** Encodes `value`; what the type cannot hold becomes its nearest, NaN in an integer 0. */
export function encode(value: number, place: Omit<RegisterPlace, 'table' | 'address'>): Encoded {
  const { type, scale, offset, byteOrder } = place
  if (type === 'bit') return { words: [value >= 0.5 ? 1 : 0], shown: value >= 0.5 ? 1 : 0 }
  const raw = (value - offset) / scale
  if (type === 'float32') {
    const bytes = new DataView(new ArrayBuffer(4))
    bytes.setFloat32(0, raw)
    const shown = bytes.getFloat32(0) * scale + offset
    return { words: ordered([bytes.getUint16(0), bytes.getUint16(2)], byteOrder), shown }
  }
  const { words, min, max } = integers[type]
  const whole = Number.isNaN(raw) ? 0 : Math.min(max, Math.max(min, Math.round(raw)))
  const unsigned = whole < 0 ? whole + 2 ** (16 * words) : whole
  const low = unsigned % 65536
  const plain = words === 1 ? [low] : [Math.floor(unsigned / 65536), low]
  return { words: ordered(plain, byteOrder), shown: whole * scale + offset }
}

/** An empty unit whose tables reach just as far as `places` need: addresses between them read 0, as on real devices. */
export function unitFor(places: readonly RegisterPlace[]): ModbusUnit {
  const length = (table: RegisterTable): number =>
    places.reduce(
      (longest, place) => (place.table === table ? Math.max(longest, place.address + wordsOf(place.type)) : longest),
      0,
    )
  return {
    coil: new Uint8Array(length('coil')),
    discrete: new Uint8Array(length('discrete')),
    holding: new Uint16Array(length('holding')),
    input: new Uint16Array(length('input')),
  }
}

/** Writes `words` at `place`; says whether any register changed. */
export function store(unit: ModbusUnit, place: RegisterPlace, words: readonly number[]): boolean {
  const table = unit[place.table]
  let changed = false
  words.forEach((word, index) => {
    if (table[place.address + index] === word) return
    table[place.address + index] = word
    changed = true
  })
  return changed
}
