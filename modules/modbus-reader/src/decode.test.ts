import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { byteOrders, longOrders, wordOrders } from './byte-order.ts'
import { converterFor, type Decoded, decode, type Encoding, invalidValue, outOfRange } from './decode.ts'
import { encodeRegisters } from './encode.ts'
import { isHalfRegister, type RegisterType, rangeOf, registersOf, registerTypes } from './registers.ts'
import { signalTypes } from './signal-config.ts'

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
  if (type === 'float64') return fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0)
  if (type === 'float16')
    return fc
      .tuple(fc.integer({ min: -2047, max: 2047 }), fc.integer({ min: -24, max: 5 }))
      .map(([fraction, power]) => fraction * 2 ** power + 0)
  return fc.integer({ min: rangeOf(type).min, max: rangeOf(type).max })
}

const wholeTypes = registerTypes.filter((type) => !isHalfRegister(type))
const encodings = fc
  .constantFrom(...wholeTypes)
  .chain((type) =>
    fc.record({
      type: fc.constant(type),
      byteOrder: fc.constantFrom(...(registersOf(type) === 4 ? byteOrders : wordOrders)),
    }),
  )
  .map((encoding) => ({ ...encoding, ...plain }))

const read = (encoding: Partial<Encoding> & Pick<Encoding, 'type'>, hex: string, at = 0) =>
  converterFor({ byteOrder: 'ABCD', ...plain, ...encoding })(Buffer.from(hex, 'hex'), at)

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
    ['int8High', 'ABCD', 'fe7f', -2],
    ['int8Low', 'ABCD', '7ffe', -2],
    ['uint8High', 'BADC', '01ff', 255],
    ['uint8Low', 'ABCD', '01ff', 255],
    ['int64', 'ABCD', 'fffffffffffffffe', -2],
    ['uint64', 'CDAB', '3344112200000000', 0x11223344],
    ['uint64', 'DCBA', '0807060504030000', 0x0000030405060708],
    ['float16', 'ABCD', '3c00', 1],
    ['float16', 'ABCD', 'c000', -2],
    ['float16', 'ABCD', '7bff', 65_504],
    ['float16', 'BADC', '0100', 2 ** -24],
    ['float64', 'ABCD', '3ff8000000000000', 1.5],
    ['float64', 'CDAB', '0000000000003ff8', 1.5],
    ['bcd16', 'ABCD', '1234', 1234],
    ['bcd32', 'CDAB', '56781234', 12_345_678],
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
        fc.constantFrom(...wordOrders),
        fc.uint8Array({ minLength: 8, maxLength: 8 }),
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        (type, byteOrder, bytes, scale) => {
          const value = converterFor({ type, byteOrder, scale, offset: 0 })(Buffer.from(bytes), 0)
          if (typeof value === 'number') expect(Number.isFinite(value)).toBe(true)
        },
      ),
    )
  })

  it.each(['7fc00000', '7f800000', 'ff800000'])('takes the float %s for no value', (hex) => {
    expect(read({ type: 'float32' }, hex)).toBe(invalidValue)
  })

  it('reads bits from the lowest of the first byte on', () => {
    const bits = Array.from({ length: 16 }, (_, at) =>
      converterFor({ type: 'bit', byteOrder: 'ABCD', ...plain })(Buffer.from([0b0000_0101, 0b1000_0000]), at),
    )
    expect(bits.flatMap((bit, at) => (bit === true ? [at] : []))).toEqual([0, 2, 15])
  })

  it.each(longOrders)('reads 64 bits in order %s as its letters say', (byteOrder) => {
    const hex = [...byteOrder].map((letter) => `0${'ABCDEFGH'.indexOf(letter) + 1}`).join('')
    expect(read({ type: 'int64', asText: true, byteOrder }, hex)).toBe(String(0x0102030405060708n))
  })

  it('gives 64-bit integers beyond 2^53 as text, or not at all', () => {
    expect(read({ type: 'uint64', asText: true }, 'ffffffffffffffff')).toBe('18446744073709551615')
    expect(read({ type: 'int64', asText: true }, '8000000000000000')).toBe('-9223372036854775808')
    expect(read({ type: 'uint64' }, '001fffffffffffff')).toBe(Number.MAX_SAFE_INTEGER)
    for (const hex of ['0020000000000000', '0020000000000001', 'ffffffffffffffff']) {
      expect(read({ type: 'uint64' }, hex)).toBe(outOfRange)
    }
    expect(read({ type: 'int64' }, 'ffdfffffffffffff')).toBe(outOfRange)
  })

  it.each([
    [{ type: 'bcd16' }, '12a4'],
    [{ type: 'bcd32' }, '0000000f'],
    [{ type: 'float16' }, '7e00'],
    [{ type: 'float16' }, 'fc00'],
    [{ type: 'int16', invalid: ['0x8000'] }, '8000'],
    [{ type: 'int16', invalid: [-1], scale: 0.1 }, 'ffff'],
    [{ type: 'uint16', invalid: ['0xFFFF'], byteOrder: 'BADC' }, 'ffff'],
    [{ type: 'uint32', invalid: ['0xFFFFFFFE'], byteOrder: 'CDAB' }, 'fffeffff'],
    [{ type: 'uint64', invalid: ['0xFFFFFFFFFFFFFFFF'] }, 'ffffffffffffffff'],
    [{ type: 'int64', invalid: ['0x8000000000000000'], asText: true }, '8000000000000000'],
    [{ type: 'int8High', invalid: ['0x80'] }, '8001'],
    [{ type: 'uint8Low', invalid: ['0xFF'] }, '01ff'],
    [{ type: 'float32', invalid: ['0xFF7FFFFF'] }, 'ff7fffff'],
  ] as const)('takes what the device means as no value for none: %j from %s', (encoding, hex) => {
    expect(read(encoding, hex)).toBe(invalidValue)
  })

  it('keeps what lies beside a sentinel', () => {
    expect(read({ type: 'int16', invalid: ['0x8000'] }, '8001')).toBe(-32_767)
    expect(read({ type: 'int8High', invalid: ['0x80'] }, '8180')).toBe(-127)
  })

  it('holds a value to what is possible, after scaling', () => {
    const range = { min: -40, max: 85.5, clamp: false }
    const values = (clamp: boolean) =>
      ['fe6f', 'fe70', '0357', '0358'].map((hex) =>
        read({ type: 'int16', scale: 0.1, range: { ...range, clamp } }, hex),
      )
    expect(values(false)).toEqual([outOfRange, -40, 85.5, outOfRange])
    expect(values(true)).toEqual([-40, -40, 85.5, 85.5])
    expect(read({ type: 'float32', range: { ...range, clamp: true } }, '7fc00000')).toBe(invalidValue)
  })

  it.each([
    [{ length: 5 }, '48656c6c6f20', 'Hello'],
    [{ length: 6 }, '41422000ffff', 'AB'],
    [{ length: 6, trim: false }, '204142200000', ' AB '],
    [{ length: 4, byteOrder: 'BADC' }, '42414443', 'ABCD'],
    [{ length: 2, byteOrder: 'CDAB' }, '4142', 'AB'],
    [{ length: 2 }, 'b043', '°C'],
  ] as const)('reads the string %j from %s as %s', (encoding, hex, text) => {
    expect(read({ type: 'string', ...encoding }, hex)).toBe(text)
  })

  it('gives back a string that was encoded', () => {
    fc.assert(
      fc.property(
        fc.stringMatching(/^[A-Za-z0-9 °ä]{0,9}$/),
        fc.constantFrom('ABCD' as const, 'BADC' as const),
        (text, byteOrder) => {
          const encoding = { type: 'string', byteOrder, length: 9, trim: false, ...plain } as const
          expect(converterFor(encoding)(toBuffer(encodeRegisters(encoding, text)), 0)).toBe(text)
        },
      ),
    )
  })

  it('reads a bit of a register, counted from the lowest', () => {
    const bits = Array.from({ length: 16 }, (_, bit) => read({ type: 'bit', bit }, '8005'))
    expect(bits.flatMap((isSet, bit) => (isSet === true ? [bit] : []))).toEqual([0, 2, 15])
    expect(read({ type: 'bit', bit: 0, byteOrder: 'BADC' }, '0100')).toBe(true)
  })

  it('names the reason of each column without a value', () => {
    const values: Decoded[] = [1, 2, 3]
    const reasons: (string | undefined)[] = [undefined, undefined, undefined]
    const fields = [
      { at: 0, column: 0, convert: () => invalidValue },
      { at: 0, column: 1, convert: () => 7 },
      { at: 0, column: 2, convert: () => outOfRange },
    ]
    decode(Buffer.alloc(2), fields, values, reasons as never[])
    expect(values).toEqual([undefined, 7, undefined])
    expect(reasons).toEqual(['invalidValue', undefined, 'outOfRange'])
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
    [{ type: 'int8Low' }, 1],
    [{ type: 'bcd16' }, 10_000],
    [{ type: 'bcd16' }, -1],
    [{ type: 'float16' }, 65_505],
    [{ type: 'uint64' }, 2 ** 53],
    [{ type: 'string', length: 3 }, 'four'],
    [{ type: 'string', length: 3 }, '€'],
  ] as const)('refuses for %j the value %s, which it cannot hold', (encoding, value) => {
    expect(() => encodeRegisters({ byteOrder: 'ABCD', ...plain, ...encoding }, value)).toThrow(RangeError)
  })
})
