/** Numbers and text as few bytes: what the records of the journal are made of. */
import { WeirError } from '@weir/lib/errors'

/** Longest varint: 53 bits, 7 to a byte. */
const varintBytesMax = 8
const bytesAtFirst = 4096

/** Writes into a buffer that grows. */
export class ByteWriter {
  #bytes = Buffer.allocUnsafe(bytesAtFirst)
  #length = 0

  /** Begins anew; what was `written` before is overwritten. */
  clear(): void {
    this.#length = 0
  }

  /** Everything since `clear`, and valid until then. */
  get written(): Buffer {
    return this.#bytes.subarray(0, this.#length)
  }

  byte(value: number): void {
    this.#reserve(1)
    this.#bytes[this.#length++] = value
  }

  uint16(value: number): void {
    this.#reserve(2)
    this.#length = this.#bytes.writeUInt16LE(value, this.#length)
  }

  /** A whole number from 0 to 2^53 - 1: seven bits to a byte, the lowest first. */
  varint(value: number): void {
    this.#reserve(varintBytesMax)
    const bytes = this.#bytes
    let at = this.#length
    let rest = value
    while (rest > 0x7fffffff) {
      bytes[at++] = (rest % 128) + 128
      rest = Math.floor(rest / 128)
    }
    while (rest > 127) {
      bytes[at++] = (rest & 127) | 128
      rest >>>= 7
    }
    bytes[at++] = rest
    this.#length = at
  }

  /** A whole number of magnitude up to 2^52 - 1: 0, -1, 1, -2 … as 0, 1, 2, 3 … */
  signed(value: number): void {
    this.varint(value < 0 ? -2 * value - 1 : 2 * value)
  }

  float32(value: number): void {
    this.#reserve(4)
    this.#length = this.#bytes.writeFloatLE(value, this.#length)
  }

  float64(value: number): void {
    this.#reserve(8)
    this.#length = this.#bytes.writeDoubleLE(value, this.#length)
  }

  /** Any string. UTF-8 cannot hold half a surrogate pair; a string with one goes as UTF-16. */
  text(value: string): void {
    const encoding = value.isWellFormed() ? 'utf8' : 'utf16le'
    const bytes = Buffer.byteLength(value, encoding)
    this.varint(2 * bytes + (encoding === 'utf8' ? 0 : 1))
    this.encoded(value, encoding, bytes)
  }

  /** A string that takes `bytes` bytes in `encoding`, without its length. */
  encoded(value: string, encoding: BufferEncoding, bytes: number): void {
    this.#reserve(bytes)
    this.#bytes.write(value, this.#length, bytes, encoding)
    this.#length += bytes
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#bytes.length) return
    const larger = Buffer.allocUnsafe(2 * (this.#length + bytes))
    this.#bytes.copy(larger, 0, 0, this.#length)
    this.#bytes = larger
  }
}

/** Reads what `ByteWriter` wrote. Throws STATE_DAMAGED where the bytes end too early. */
export class ByteReader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get atEnd(): boolean {
    return this.#at >= this.#bytes.length
  }

  byte(): number {
    const value = this.#bytes[this.#at]
    if (value === undefined) throw tooShort(this.#bytes)
    this.#at += 1
    return value
  }

  uint16(): number {
    return this.#bytes.readUInt16LE(this.#skip(2))
  }

  varint(): number {
    let value = 0
    for (let factor = 1; ; factor *= 128) {
      const byte = this.byte()
      value += (byte & 127) * factor
      if (byte < 128) return value
    }
  }

  signed(): number {
    const value = this.varint()
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2
  }

  float32(): number {
    return this.#bytes.readFloatLE(this.#skip(4))
  }

  float64(): number {
    return this.#bytes.readDoubleLE(this.#skip(8))
  }

  text(): string {
    const length = this.varint()
    return this.encoded(length % 2 === 0 ? 'utf8' : 'utf16le', Math.floor(length / 2))
  }

  encoded(encoding: BufferEncoding, bytes: number): string {
    const from = this.#skip(bytes)
    return this.#bytes.toString(encoding, from, from + bytes)
  }

  #skip(bytes: number): number {
    const from = this.#at
    if (from + bytes > this.#bytes.length) throw tooShort(this.#bytes)
    this.#at += bytes
    return from
  }
}

function tooShort(bytes: Buffer): WeirError {
  return new WeirError('STATE_DAMAGED', `record of ${bytes.length} bytes: ends before its content does`)
}
