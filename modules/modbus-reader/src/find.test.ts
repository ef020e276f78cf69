import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeRegisters } from './encode.ts'
import { findValue, numberAt, type Registers, readings } from './find.ts'
import { isHalfRegister } from './registers.ts'

const quiet = Array.from({ length: 60 }, (_, index) => index % 10)

function registersWith(at: number, values: readonly number[]): Registers {
  const all = new Map(quiet.map((value, address) => [address, value]))
  values.forEach((value, index) => {
    all.set(at + index, value)
  })
  return all
}

describe('finding what a display shows', () => {
  it.each([
    ['float32', 'CDAB', 1, 231.5],
    ['int16', 'ABCD', 0.1, 231.5],
    ['int32', 'ABCD', 0.01, -4711.25],
    ['float64', 'ABCDEFGH', 1, 98.76],
    ['int32', 'CDAB', 0.001, 1_234_567],
  ] as const)('puts %s in order %s with scale %d among the first three', (type, byteOrder, scale, shown) => {
    const encoding = { type, byteOrder, scale, offset: 0 }
    const samples = [0, 0.0005, -0.0005].map((drift) =>
      registersWith(20, encodeRegisters(encoding, shown * (1 + drift))),
    )
    expect(findValue('holding', samples, shown, 1).slice(0, 3)).toContainEqual(
      expect.objectContaining({ table: 'holding', address: 20, type, byteOrder, scale }),
    )
  })

  it('drops what fits in one sample only', () => {
    const here = registersWith(5, [2315])
    const gone = registersWith(5, [9])
    expect(findValue('input', [here], 231.5, 0).some(({ address }) => address === 5)).toBe(true)
    expect(findValue('input', [here, gone], 231.5, 0).some(({ address }) => address === 5)).toBe(false)
  })

  it('tells nothing that lies further off than the tolerance', () => {
    const registers = fc.array(fc.nat({ max: 65_535 }), { minLength: 1, maxLength: 12 })
    fc.assert(
      fc.property(registers, fc.double({ min: 0.1, max: 10_000, noNaN: true }), (values, shown) => {
        const sample = new Map(values.map((value, address) => [address, value]))
        for (const { value } of findValue('holding', [sample], shown, 2)) {
          expect(Math.abs(value - shown) / shown).toBeLessThan(0.0201)
        }
      }),
      { numRuns: 30 },
    )
  })

  it('reads around registers that are missing', () => {
    const registers = new Map([
      [0, 0x4367],
      [2, 0x8000],
    ])
    for (const reading of readings.filter((each) => each.registers > 1)) {
      expect(numberAt(registers, 0, reading)).toBeUndefined()
    }
  })

  it('knows every number type in every order', () => {
    const whole = readings.filter(({ type }) => !isHalfRegister(type))
    expect(whole.filter(({ registers }) => registers === 2)).toHaveLength(4 * 4)
    expect(whole.filter(({ registers }) => registers === 4)).toHaveLength(3 * 8)
  })
})
