import crc16 from 'modbus-serial/utils/crc16.js'

/**
 * How frames stand on a line without transaction ids. modbus-serial makes and checks RTU frames (address, PDU, CRC); a
 * framing brings them onto the line and finds the answer in what came back.
 */
export interface Framing {
  encode(frame: Buffer): Buffer
  /** The whole answer to `asked` as an RTU frame; undefined while bytes are missing; `damaged` where none can come of it. */
  take(received: Buffer, asked: Buffer): Buffer | 'damaged' | undefined
}

const exceptionBytes = 5
const writtenBytes = 8

/** Length of the answer to a request: MODBUS over serial line V1.02, section 2.5.1; Application Protocol V1.1b3, section 6. */
function answerBytes(asked: Buffer): number {
  const functionCode = asked.readUInt8(1)
  if (functionCode > 4) return writtenBytes
  const count = asked.readUInt16BE(4)
  return 5 + (functionCode < 3 ? Math.ceil(count / 8) : count * 2)
}

export const rtuFraming: Framing = {
  encode: (frame) => frame,
  take(received, asked) {
    if (received.length < exceptionBytes) return undefined
    const isException = received.readUInt8(1) === (asked.readUInt8(1) | 0x80)
    const length = isException ? exceptionBytes : answerBytes(asked)
    return received.length < length ? undefined : received.subarray(0, length)
  },
}

function lrcOf(bytes: Buffer): number {
  let sum = 0
  for (const byte of bytes) sum += byte
  return -sum & 0xff
}

/** MODBUS over serial line V1.02, section 2.5.2: a colon, two hexadecimal digits a byte, LRC, carriage return, line feed. */
export const asciiFraming: Framing = {
  encode(frame) {
    const body = frame.subarray(0, -2)
    const bytes = Buffer.concat([body, Buffer.from([lrcOf(body)])])
    return Buffer.from(`:${bytes.toString('hex').toUpperCase()}\r\n`, 'latin1')
  },
  take(received) {
    const end = received.indexOf('\r\n', 0, 'latin1')
    if (end === -1) return undefined
    const digits = received.toString('latin1', received.lastIndexOf(':', end, 'latin1') + 1, end)
    if (!/^(?:[0-9A-Fa-f]{2}){4,}$/.test(digits)) return 'damaged'
    const bytes = Buffer.from(digits, 'hex')
    const body = bytes.subarray(0, -1)
    if (lrcOf(body) !== bytes.at(-1)) return 'damaged'
    const check = Buffer.alloc(2)
    check.writeUInt16LE(crc16(body))
    return Buffer.concat([body, check])
  },
}
