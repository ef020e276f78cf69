/** The number types that registers hold, and how many registers each takes. */
const types = {
  int16: { registers: 1, min: -(2 ** 15), max: 2 ** 15 - 1 },
  uint16: { registers: 1, min: 0, max: 2 ** 16 - 1 },
  int32: { registers: 2, min: -(2 ** 31), max: 2 ** 31 - 1 },
  uint32: { registers: 2, min: 0, max: 2 ** 32 - 1 },
  float32: { registers: 2, min: -3.4028234663852886e38, max: 3.4028234663852886e38 },
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
  return type !== 'float32'
}
