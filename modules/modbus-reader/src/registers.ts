/**
 * The number types that registers hold: registers of each, and least and greatest raw value. Of 64-bit integers only what
 * a number holds exactly (±2^53). `int8High` and its like lie in one half of a register, beside something else.
 */
const types = {
  int8High: { registers: 1, min: -(2 ** 7), max: 2 ** 7 - 1 },
  int8Low: { registers: 1, min: -(2 ** 7), max: 2 ** 7 - 1 },
  uint8High: { registers: 1, min: 0, max: 2 ** 8 - 1 },
  uint8Low: { registers: 1, min: 0, max: 2 ** 8 - 1 },
  int16: { registers: 1, min: -(2 ** 15), max: 2 ** 15 - 1 },
  uint16: { registers: 1, min: 0, max: 2 ** 16 - 1 },
  int32: { registers: 2, min: -(2 ** 31), max: 2 ** 31 - 1 },
  uint32: { registers: 2, min: 0, max: 2 ** 32 - 1 },
  int64: { registers: 4, min: -Number.MAX_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER },
  uint64: { registers: 4, min: 0, max: Number.MAX_SAFE_INTEGER },
  float16: { registers: 1, min: -65_504, max: 65_504 },
  float32: { registers: 2, min: -3.4028234663852886e38, max: 3.4028234663852886e38 },
  float64: { registers: 4, min: -Number.MAX_VALUE, max: Number.MAX_VALUE },
  bcd16: { registers: 1, min: 0, max: 9999 },
  bcd32: { registers: 2, min: 0, max: 99_999_999 },
} as const

export type RegisterType = keyof typeof types
export const registerTypes = Object.keys(types) as [RegisterType, ...RegisterType[]]

export function registersOf(type: RegisterType): number {
  return types[type].registers
}

/** Least and greatest raw value, both included. */
export function rangeOf(type: RegisterType): { min: number; max: number } {
  return types[type]
}

export function isInteger(type: RegisterType): boolean {
  return !type.startsWith('float')
}

/** true: the value takes one half of a register, and the other half is something else's. */
export function isHalfRegister(type: RegisterType): boolean {
  return type.endsWith('High') || type.endsWith('Low')
}
