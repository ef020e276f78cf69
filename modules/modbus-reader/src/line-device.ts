/** An RTU line with devices on it, for tests: answers reads over a socket, after as long as the test says. */
import { createServer, type Socket } from 'node:net'
import crc16 from 'modbus-serial/utils/crc16.js'

/** What becomes of a request: its answer is sent after `delayMs`; undefined: none ever. */
export interface Fate {
  readonly delayMs: number
  /** Changes the answer's bytes on their way. */
  readonly spoil?: (bytes: Buffer) => Buffer
}

export interface LineDevice {
  readonly port: number
  /** Requests as they came: unit, function code, address, count. */
  readonly asked: readonly string[]
  setFate(fate: (unitId: number, requestIndex: number) => Fate | undefined): void
  /** Puts bytes on the line that nobody asked for. */
  say(bytes: Buffer): void
  stop(): Promise<void>
}

const requestBytes = 8

/** A frame with its CRC. */
export function withCheck(body: Buffer): Buffer {
  const check = Buffer.alloc(2)
  check.writeUInt16LE(crc16(body))
  return Buffer.concat([body, check])
}

/** Each register holds 1000 × unit + address; unit 99 refuses every address. A single write is repeated, and forgotten. */
export function answerOnLine(request: Buffer): Buffer {
  const [unitId = 0, functionCode = 0] = request
  if (unitId === 99) return withCheck(Buffer.from([unitId, functionCode | 0x80, 2]))
  if (functionCode === 5 || functionCode === 6) return request
  const address = request.readUInt16BE(2)
  const count = request.readUInt16BE(4)
  const body = Buffer.alloc(3 + count * 2)
  body.set([unitId, functionCode, count * 2])
  for (let index = 0; index < count; index++) body.writeUInt16BE(1000 * unitId + address + index, 3 + index * 2)
  return withCheck(body)
}

export async function startLineDevice(): Promise<LineDevice> {
  const sockets = new Set<Socket>()
  const asked: string[] = []
  let fate: (unitId: number, requestIndex: number) => Fate | undefined = () => ({ delayMs: 0 })
  const server = createServer((socket) => {
    sockets.add(socket)
    let received = Buffer.alloc(0)
    socket.on('error', () => {})
    socket.on('data', (bytes: Buffer) => {
      received = Buffer.concat([received, bytes])
      while (received.length >= requestBytes) {
        const request = received.subarray(0, requestBytes)
        received = received.subarray(requestBytes)
        const [unitId = 0, functionCode = 0] = request
        const its = fate(unitId, asked.length)
        asked.push(`${unitId} ${functionCode} ${request.readUInt16BE(2)} ${request.readUInt16BE(4)}`)
        if (its === undefined) continue
        const answer = answerOnLine(request)
        setTimeout(() => socket.write(its.spoil?.(answer) ?? answer), its.delayMs)
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const at = server.address()
  return {
    port: typeof at === 'object' && at !== null ? at.port : 0,
    asked,
    setFate: (next) => {
      fate = next
    },
    say: (bytes) => {
      for (const socket of sockets) socket.write(bytes)
    },
    stop: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
