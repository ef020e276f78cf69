import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ByteReader, ByteWriter } from './bytes.ts'

function written(write: (writer: ByteWriter) => void): ByteReader {
  const writer = new ByteWriter()
  write(writer)
  return new ByteReader(Buffer.from(writer.written))
}

describe('bytes', () => {
  it('bring back every number and every text as it was', () => {
    const signed = fc.integer({ min: -(2 ** 52) + 1, max: 2 ** 52 - 1 })
    fc.assert(
      fc.property(
        fc.nat(255),
        fc.nat(65_535),
        fc.maxSafeNat(),
        signed,
        fc.float(),
        fc.double(),
        fc.string({ unit: 'binary' }),
        (byte, uint16, varint, number, short, long, text) => {
          const reader = written((writer) => {
            writer.byte(byte)
            writer.uint16(uint16)
            writer.varint(varint)
            writer.signed(number)
            writer.float32(short)
            writer.float64(long)
            writer.text(text)
          })
          expect(reader.byte()).toBe(byte)
          expect(reader.uint16()).toBe(uint16)
          expect(reader.varint()).toBe(varint)
          expect(reader.signed()).toBe(number)
          expect(reader.float32()).toBe(short)
          expect(reader.float64()).toBe(long)
          expect(reader.text()).toBe(text)
          expect(reader.atEnd).toBe(true)
        },
      ),
    )
  })

  it('hold half a surrogate pair, which UTF-8 cannot', () => {
    const text = 'a\ud800b'
    expect(written((writer) => writer.text(text)).text()).toBe(text)
  })

  it('take one byte for numbers near zero', () => {
    for (const number of [-64, 0, 63]) {
      const writer = new ByteWriter()
      writer.signed(number)
      expect(writer.written).toHaveLength(1)
    }
  })

  it.each([
    ['a byte', (reader: ByteReader) => reader.byte()],
    ['a varint', (reader: ByteReader) => reader.varint()],
    ['a float', (reader: ByteReader) => reader.float64()],
    ['a text', (reader: ByteReader) => reader.encoded('utf8', 2)],
  ])('that end before %s does are damaged', (_what, read) => {
    const reader = new ByteReader(Buffer.from([0xff]))
    expect(() => {
      read(reader)
      read(reader)
    }).toThrow(expect.objectContaining({ code: 'STATE_DAMAGED' }))
  })
})
