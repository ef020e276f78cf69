import fc from 'fast-check'
import crc16 from 'modbus-serial/utils/crc16.js'
import { describe, expect, it } from 'vitest'
import { answerOnLine } from './line-device.ts'
import { asciiFraming, rtuFraming } from './line-framing.ts'

/** The example of MODBUS over serial line V1.02: unit 17 is asked for three holding registers from 107 on. */
const request = Buffer.from('1103006b00037687', 'hex')
const answer = answerOnLine(request)

describe('RTU', () => {
  it('finds the answer once all of it is there', () => {
    for (let length = 0; length < answer.length; length++) {
      expect(rtuFraming.take(answer.subarray(0, length), request)).toBeUndefined()
    }
    expect(rtuFraming.take(answer, request)).toEqual(answer)
    expect(rtuFraming.take(Buffer.concat([answer, Buffer.from([1, 2])]), request)).toEqual(answer)
  })

  it('finds an exception, which is shorter', () => {
    const exception = Buffer.from('118302c134', 'hex')
    expect(rtuFraming.take(exception, request)).toEqual(exception)
  })

  it.each([
    ['1101001300254e84', 10],
    ['110200c40016bba9', 8],
    ['110500acff004e8b', 8],
    ['11100001000204000a0102c6f0', 8],
  ])('knows how long the answer to %s is', (asked, bytes) => {
    const answered = Buffer.from(asked.padEnd(60, '0'), 'hex')
    expect(rtuFraming.take(answered, Buffer.from(asked, 'hex'))).toHaveLength(bytes)
  })
})

describe('ASCII', () => {
  it('writes a frame as the specification shows it', () => {
    expect(asciiFraming.encode(request).toString('latin1')).toBe(':1103006B00037E\r\n')
  })

  it('gives back any frame that was encoded, whatever lies before it', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 3, maxLength: 253 }),
        fc.stringMatching(/^[0-9A-F\n:]{0,8}$/),
        (bytes, noise) => {
          const check = Buffer.alloc(2)
          check.writeUInt16LE(crc16(bytes))
          const frame = Buffer.concat([bytes, check])
          const line = Buffer.concat([Buffer.from(noise, 'latin1'), asciiFraming.encode(frame)])
          expect(asciiFraming.take(line, request)).toEqual(frame)
        },
      ),
    )
  })

  it('takes nothing from a line that was changed', () => {
    const line = asciiFraming.encode(answer).toString('latin1')
    fc.assert(
      fc.property(fc.integer({ min: 1, max: line.length - 3 }), fc.constantFrom(...'0123456789ABCDEF'), (at, digit) => {
        fc.pre(line[at] !== digit)
        const changed = `${line.slice(0, at)}${digit}${line.slice(at + 1)}`
        expect(asciiFraming.take(Buffer.from(changed, 'latin1'), request)).toBe('damaged')
      }),
    )
  })

  it('waits for the end of the line, and takes none that is too short', () => {
    expect(asciiFraming.take(Buffer.from(':1103'), request)).toBeUndefined()
    expect(asciiFraming.take(Buffer.from(':11\r\n'), request)).toBe('damaged')
  })
})
