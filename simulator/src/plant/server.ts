import { createServer, type Server, type Socket } from 'node:net'
import type { AnswerFilter } from '../faults/device-faults.ts'
import { answerRequest, type ModbusUnit } from './pdu.ts'

/** Longest Modbus TCP frame: 7 bytes of header and a PDU of 253 (MODBUS Messaging on TCP/IP V1.0b, section 3.1.3). */
const headerBytes = 7
const unitIdAt = 6
const pduBytesMax = 253

/** A Modbus TCP server for several units behind one port. */
export interface ModbusServer {
  readonly host: string
  readonly port: number
  /** Closes the port and every connection. */
  close(): Promise<void>
}

function answerFrame(units: ReadonlyMap<number, ModbusUnit>, frame: Buffer): Buffer {
  const answer = answerRequest(units.get(frame.readUInt8(unitIdAt)), frame.subarray(headerBytes))
  const header = Buffer.from(frame.subarray(0, headerBytes))
  header.writeUInt16BE(answer.length + 1, 4)
  return Buffer.concat([header, answer])
}

/** Answers each whole frame in `bytes`; returns the rest, or undefined where the stream is no Modbus TCP. */
export function answerFrames(
  units: ReadonlyMap<number, ModbusUnit>,
  bytes: Buffer,
  answer: (frame: Buffer) => void,
): Buffer | undefined {
  let at = 0
  while (bytes.length - at >= headerBytes) {
    const protocol = bytes.readUInt16BE(at + 2)
    const length = bytes.readUInt16BE(at + 4)
    if (protocol !== 0 || length < 2 || length > pduBytesMax + 1) return undefined
    const end = at + 6 + length
    if (bytes.length < end) break
    answer(answerFrame(units, bytes.subarray(at, end)))
    at = end
  }
  return bytes.subarray(at)
}

function serve(units: ReadonlyMap<number, ModbusUnit>, socket: Socket, filter: AnswerFilter): void {
  let rest: Buffer = Buffer.alloc(0)
  const send = (frame: Buffer): void => {
    if (!socket.destroyed) socket.write(frame)
  }
  socket.setNoDelay(true)
  socket.on('data', (chunk: Buffer) => {
    const left = answerFrames(units, rest.length === 0 ? chunk : Buffer.concat([rest, chunk]), (frame) => {
      filter(frame.readUInt8(unitIdAt), frame, send)
    })
    if (left === undefined) socket.destroy()
    else rest = left
  })
  // A client that goes away is no fault of the device.
  socket.on('error', () => socket.destroy())
}

/** Starts a server on `host`; port 0 takes a free one. Its answers go through `filter`. Rejects where the port is taken. */
export async function startModbusServer(
  units: ReadonlyMap<number, ModbusUnit>,
  filter: AnswerFilter,
  host = '127.0.0.1',
  port = 0,
): Promise<ModbusServer> {
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    serve(units, socket, filter)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('a TCP server has no port')
  return {
    host,
    port: address.port,
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}
