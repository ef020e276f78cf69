import { type Encoding, swapsBytes } from './decode.ts'
import { isInteger, rangeOf, registersOf } from './registers.ts'

/**
 * Registers, in the order of their addresses, that decode to `value`: the inverse of decode.ts.
 * Integers are rounded to the nearest raw value.
 * @throws RangeError where the type cannot hold the value, or for a bit, which lies in no register.
 */
export function encodeRegisters({ type, byteOrder, scale, offset }: Encoding, value: number): number[] {
  if (type === 'bit') throw new RangeError('a bit lies in no register')
  const exact = (value - offset) / scale
  const raw = isInteger(type) ? Math.round(exact) : exact
  const { min, max } = rangeOf(type)
  if (Number.isNaN(raw) || raw < min || raw > max) {
    throw new RangeError(`${value} is outside ${type}: raw ${raw}, expected ${min} to ${max}`)
  }
  const bytes = Buffer.alloc(registersOf(type) * 2)
  if (type === 'float32') bytes.writeFloatBE(raw)
  else bytes.writeIntBE(raw > 2 ** (bytes.length * 8 - 1) - 1 ? raw - 2 ** (bytes.length * 8) : raw, 0, bytes.length)
  if (swapsBytes(byteOrder)) bytes.swap16()
  const registers: number[] = []
  for (let at = 0; at < bytes.length; at += 2) registers.push(bytes.readUInt16BE(at))
  return byteOrder === 'CDAB' || byteOrder === 'DCBA' ? registers.reverse() : registers
}
