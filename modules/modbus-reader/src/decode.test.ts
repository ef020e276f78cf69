import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type ByteOrder, signalTypes } from './config.ts'
import { converterFor, type Decoded, decode, type Encoding } from './decode.ts'
import { encodeRegisters } from './encode.ts'
import { type RegisterType, rangeOf, registerTypes } from './registers.ts'

const byteOrders: readonly ByteOrder[] = ['ABCD', 'BADC', 'CDAB', 'DCBA']
const plain = { scale: 1, offset: 0 } as const

function toBuffer(registers: readonly number[]): Buffer {
  const bytes = Buffer.alloc(registers.length * 2)
  registers.forEach((register, index) => {
    bytes.writeUInt16BE(register, index * 2)
  })
  return bytes
}

/** Raw values that the type holds, its limits among them. */
function rawValues(type: RegisterType): fc.Arbitrary<number> {
  if (type === 'float32') return fc.float({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0)
  return fc.integer({ min: rangeOf(type).min, max: rangeOf(type).max })
}

const encodings = fc
  .record({ type: fc.constantFrom(...registerTypes), byteOrder: fc.constantFrom(...byteOrders) })
  .map((encoding) => ({ ...encoding, ...plain }))

describe('decoding', () => {
  it.each([
    ['ABCD', '42c80000'],
    ['CDAB', '000042c8'],
    ['BADC', 'c8420000'],
    ['DCBA', '0000c842'],
  ] as const)('reads the float 100 in order %s from %s', (byteOrder, hex) => {
    expect(converterFor({ type: 'float32', byteOrder, ...plain })(Buffer.from(hex, 'hex'), 0)).toBe(100)
  })

  it.each([
    ['int16', 'ABCD', 'fffe', -2],
    ['uint16', 'ABCD', 'fffe', 65_534],
    ['uint16', 'BADC', 'feff', 65_534],
    ['int32', 'CDAB', 'fffeffff', -2],
    ['uint32', 'ABCD', 'fffffffe', 4_294_967_294],
    ['uint32', 'BADC', '34127856', 0x12345678],
  ] as const)('reads %s in order %s from %s as %d', (type, byteOrder, hex, value) => {
    expect(converterFor({ type, byteOrder, ...plain })(Buffer.from(hex, 'hex'), 0)).toBe(value)
  })

  it('gives back whatever was encoded, for every type and order, wherever it lies', () => {
    fc.assert(
      fc.property(
        encodings.chain((encoding) => fc.tuple(fc.constant(encoding), rawValues(encoding.type))),
        fc.array(fc.integer({ min: 0, max: 65_535 }), { maxLength: 5 }),
        ([encoding, value], before) => {
          const data = toBuffer([...before, ...encodeRegisters(encoding, value), 0xffff])
          expect(converterFor(encoding)(data, before.length * 2)).toBe(value)
        },
      ),
    )
  })

  it('gives back a scaled value to within half a step', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(0.1, 0.01, 0.5, 2, -0.1),
        fc.constantFrom(0, -40, 12.5),
        fc.integer({ min: -32_768, max: 32_767 }),
        (scale, offset, raw) => {
          const encoding: Encoding = { type: 'int16', byteOrder: 'ABCD', scale, offset }
          const value = raw * scale + offset
          expect(converterFor(encoding)(toBuffer(encodeRegisters(encoding, value)), 0)).toBeCloseTo(value, 9)
        },
      ),
    )
  })

  it('never gives a number that is not finite', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...signalTypes),
        fc.constantFrom(...byteOrders),
        fc.uint8Array({ minLength: 4, maxLength: 4 }),
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        (type, byteOrder, bytes, scale) => {
          const value = converterFor({ type, byteOrder, scale, offset: 0 })(Buffer.from(bytes), 0)
          if (typeof value === 'number') expect(Number.isFinite(value)).toBe(true)
        },
      ),
    )
  })

  it.each(['7fc00000', '7f800000', 'ff800000'])('takes the float %s for no value', (hex) => {
    expect(converterFor({ type: 'float32', byteOrder: 'ABCD', ...plain })(Buffer.from(hex, 'hex'), 0)).toBeUndefined()
  })

  it('reads bits from the lowest of the first byte on', () => {
    const bits = Array.from({ length: 16 }, (_, at) =>
      converterFor({ type: 'bit', byteOrder: 'ABCD', ...plain })(Buffer.from([0b0000_0101, 0b1000_0000]), at),
    )
    expect(bits.flatMap((bit, at) => (bit === true ? [at] : []))).toEqual([0, 2, 15])
  })

  it('fills the column of each field and no other', () => {
    const convert = converterFor({ type: 'uint16', byteOrder: 'ABCD', ...plain })
    const out: Decoded[] = [undefined, undefined, undefined]
    decode(
      toBuffer([11, 22]),
      [
        { at: 2, column: 0, convert },
        { at: 0, column: 2, convert },
      ],
      out,
    )
    expect(out).toEqual([22, undefined, 11])
  })
})

describe('encoding', () => {
  it.each([
    [{ type: 'int16' }, 32_768],
    [{ type: 'uint16' }, -1],
    [{ type: 'uint16', scale: 0.1 }, 7000],
    [{ type: 'uint32' }, 2 ** 32],
    [{ type: 'float32' }, Number.NaN],
    [{ type: 'bit' }, 1],
  ] as const)('refuses for %j the value %d, which it cannot hold', (encoding, value) => {
    expect(() => encodeRegisters({ byteOrder: 'ABCD', ...plain, ...encoding }, value)).toThrow(RangeError)
  })
})
