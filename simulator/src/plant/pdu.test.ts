import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { answerRequest, type ModbusUnit } from './pdu.ts'

function unit(): ModbusUnit {
  return {
    coil: Uint8Array.of(1, 0, 1, 1, 0, 0, 0, 0, 1, 1),
    discrete: Uint8Array.of(0, 1),
    holding: Uint16Array.of(0x022b, 0, 0x0064),
    input: Uint16Array.of(0x000a),
  }
}

function answer(request: readonly number[], of: ModbusUnit | undefined = unit()): number[] {
  return [...answerRequest(of, Uint8Array.from(request))]
}

describe('a Modbus unit', () => {
  test('answers reads as sections 6.1 to 6.4 say', () => {
    expect(answer([1, 0, 0, 0, 10])).toEqual([1, 2, 0b00001101, 0b11])
    expect(answer([2, 0, 1, 0, 1])).toEqual([2, 1, 1])
    expect(answer([3, 0, 0, 0, 3])).toEqual([3, 6, 0x02, 0x2b, 0, 0, 0, 0x64])
    expect(answer([4, 0, 0, 0, 1])).toEqual([4, 2, 0, 0x0a])
  })

  test('takes writes and echoes them', () => {
    const written = unit()
    expect(answer([5, 0, 1, 0xff, 0], written)).toEqual([5, 0, 1, 0xff, 0])
    expect(answer([6, 0, 2, 0x12, 0x34], written)).toEqual([6, 0, 2, 0x12, 0x34])
    expect(answer([15, 0, 4, 0, 3, 1, 0b101], written)).toEqual([15, 0, 4, 0, 3])
    expect(answer([16, 0, 0, 0, 2, 4, 0, 1, 0, 2], written)).toEqual([16, 0, 0, 0, 2])
    expect([...written.coil]).toEqual([1, 1, 1, 1, 1, 0, 1, 0, 1, 1])
    expect([...written.holding]).toEqual([1, 2, 0x1234])
  })

  test.each([
    ['an unknown function', [7], [0x87, 1]],
    ['an address past the end', [3, 0, 2, 0, 2], [0x83, 2]],
    ['an address in an empty stretch', [4, 1, 0, 0, 1], [0x84, 2]],
    ['a quantity of 0', [3, 0, 0, 0, 0], [0x83, 3]],
    ['a quantity over 125', [3, 0, 0, 0, 126], [0x83, 3]],
    ['a request cut short', [3, 0], [0x83, 3]],
    ['a coil that is neither on nor off', [5, 0, 0, 1, 0], [0x85, 3]],
    ['a byte count that does not fit', [16, 0, 0, 0, 2, 3, 0, 1, 0], [0x90, 3]],
  ])('refuses %s', (_name, request, refusal) => {
    expect(answer(request)).toEqual(refusal)
  })

  test('that nobody has is answered for by the gateway', () => {
    expect([...answerRequest(undefined, Uint8Array.of(3, 0, 0, 0, 1))]).toEqual([0x83, 11])
  })

  test('answers anything, and a refused write changes nothing', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 260 }), (request) => {
        const of = unit()
        const answered = answerRequest(of, request)
        expect(answered.length).toBeGreaterThan(1)
        if (((answered[0] ?? 0) & 0x80) !== 0) expect(of).toEqual(unit())
      }),
    )
  })
})
