import { isInteger, type RegisterType, rangeOf } from './registers.ts'

/** A decimal number as `integer / 10^places`, read from its shortest decimal form. */
function asDecimal(value: number): { integer: number; places: number } {
  const [mantissa = '', exponent = '0'] = String(value).split('e')
  const fraction = mantissa.split('.')[1]?.length ?? 0
  const places = Math.max(0, fraction - Number(exponent))
  return { integer: Number(`${mantissa}e${Number(exponent) + places}`), places }
}

/** `value` with `decimals` decimals, halves rounded up; values too large to have decimals stay as they are. */
export function roundTo(value: number, decimals: number): number {
  const power = 10 ** decimals
  const shifted = value * power
  if (!(Math.abs(shifted) < Number.MAX_SAFE_INTEGER)) return value
  return Math.round(shifted) / power + 0
}

/**
 * raw × scale + offset over integers alone, with one division at the end, so that 3 × 0.1 is 0.3 and halves are
 * rounded where the decimal form has them. Undefined where the integers would pass 2^53.
 */
function exactScaling(
  type: RegisterType,
  scale: number,
  offset: number,
  decimals: number | undefined,
): ((raw: number) => number) | undefined {
  const scaleDecimal = asDecimal(scale)
  const offsetDecimal = asDecimal(offset)
  const places = Math.max(scaleDecimal.places, offsetDecimal.places)
  const factor = scaleDecimal.integer * 10 ** (places - scaleDecimal.places)
  const addend = offsetDecimal.integer * 10 ** (places - offsetDecimal.places)
  const { min, max } = rangeOf(type)
  const largest = Math.max(-min, max) * Math.abs(factor) + Math.abs(addend)
  // 10^22 is the last power of ten that a double holds exactly.
  if (places > 22 || !(largest <= Number.MAX_SAFE_INTEGER)) return undefined
  const kept = Math.min(decimals ?? places, places)
  const power = 10 ** kept
  if (kept === places) return (raw) => (raw * factor + addend) / power + 0
  const dropped = 10 ** (places - kept)
  return (raw) => Math.round((raw * factor + addend) / dropped) / power + 0
}

/** raw → value for a signal, decided once. Where nothing is to be done, a value passes unchanged. */
export function scalingFor(
  type: RegisterType,
  scale: number,
  offset: number,
  decimals: number | undefined,
): (raw: number) => number {
  const exact = isInteger(type) ? exactScaling(type, scale, offset, decimals) : undefined
  if (exact !== undefined) return exact
  if (decimals !== undefined) return (raw) => roundTo(raw * scale + offset, decimals)
  return (raw) => raw * scale + offset + 0
}
