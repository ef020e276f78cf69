import { createServer, type Server, type Socket } from 'node:net'
import { systemClock } from '@weir/lib/clock'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { openTcp, qualityOf, type ReadAnswer, type ReadRequest, type Transport } from './transport.ts'

const request: ReadRequest = { unitId: 1, table: 'holding', address: 0, count: 2 }
const timeoutMs = 40

const servers: Server[] = []
const sockets = new Set<Socket>()
const transports: Transport[] = []

/** A server that does with each request what the test says. */
async function serve(onRequest: (request: Buffer, socket: Socket) => void): Promise<number> {
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('data', (bytes: Buffer) => onRequest(bytes, socket)).on('error', () => {})
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

async function openTo(
  port: number,
  onClosed: (reason: string) => void = () => {},
  host = '127.0.0.1',
): Promise<Transport> {
  const open = openTcp({ host, port, connectTimeoutMs: 1000 }, systemClock)
  const transport = await open(onClosed, new AbortController().signal)
  transports.push(transport)
  return transport
}

/** The answer with `registers` to a request of function 3 or 4. */
function answerTo(asked: Buffer, registers: readonly number[]): Buffer {
  const answer = Buffer.alloc(9 + registers.length * 2)
  asked.copy(answer, 0, 0, 8)
  answer.writeUInt16BE(3 + registers.length * 2, 4)
  answer.writeUInt8(registers.length * 2, 8)
  registers.forEach((register, index) => {
    answer.writeUInt16BE(register, 9 + index * 2)
  })
  return answer
}

function exceptionTo(asked: Buffer, code: number): Buffer {
  const answer = Buffer.alloc(9)
  asked.copy(answer, 0, 0, 8)
  answer.writeUInt16BE(3, 4)
  answer.writeUInt8(asked.readUInt8(7) | 0x80, 7)
  answer.writeUInt8(code, 8)
  return answer
}

function registersOf(answer: ReadAnswer): number[] | string {
  if (answer.failure !== undefined) return answer.failure
  return Array.from({ length: answer.data.length / 2 }, (_, index) => answer.data.readUInt16BE(index * 2))
}

afterEach(async () => {
  for (const transport of transports.splice(0)) transport.close()
  for (const socket of sockets) socket.destroy()
  sockets.clear()
  await Promise.all(servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve))))
})

describe('Modbus TCP', () => {
  it('brings the registers of the answer', async () => {
    const port = await serve((asked, socket) => socket.write(answerTo(asked, [7, 65_535])))
    const transport = await openTo(port)
    expect(registersOf(await transport.read(request, timeoutMs))).toEqual([7, 65_535])
  })

  it.each([
    [1, 'deviceError'],
    [2, 'notFound'],
    [4, 'deviceError'],
    [10, 'noAnswer'],
    [11, 'noAnswer'],
  ])('takes exception %d for %s', async (code, quality) => {
    const port = await serve((asked, socket) => socket.write(exceptionTo(asked, code)))
    const answer = await (await openTo(port)).read(request, timeoutMs)
    expect(answer).toMatchObject({ failure: 'exception', exceptionCode: code })
    if (answer.failure !== undefined) expect(qualityOf(answer)).toBe(quality)
  })

  it('puts an answer that comes in pieces together', async () => {
    const port = await serve((asked, socket) => {
      const answer = answerTo(asked, [1, 2])
      socket.setNoDelay(true)
      socket.write(answer.subarray(0, 5))
      setTimeout(() => socket.write(answer.subarray(5)), 10)
    })
    expect(registersOf(await (await openTo(port)).read(request, 500))).toEqual([1, 2])
  })

  it('never takes a late answer for that of a later request', async () => {
    const late: Buffer[] = []
    const port = await serve((asked, socket) => {
      if (late.length === 0) {
        late.push(answerTo(asked, [666, 666]))
        return
      }
      for (const answer of late) socket.write(answer)
      setTimeout(() => socket.write(answerTo(asked, [1, 2])), 10)
    })
    const transport = await openTo(port)
    expect(registersOf(await transport.read(request, timeoutMs))).toBe('timeout')
    for (let index = 0; index < 3; index++) expect(registersOf(await transport.read(request, 500))).toEqual([1, 2])
  })

  it('gives the connection up before the transaction id of an unanswered request comes around', async () => {
    let asked = 0
    const port = await serve((bytes, socket) => {
      asked++
      if (asked > 1) socket.write(answerTo(bytes, [1, 2]))
    })
    const transport = await openTo(port)
    expect(registersOf(await transport.read(request, timeoutMs))).toBe('timeout')
    for (let index = 1; index < 256; index++) await transport.read(request, 1000)
    expect(asked).toBe(256)
    expect(registersOf(await transport.read(request, 1000))).toBe('closed')
  })

  it('ends a request whose connection the device closes or resets', async () => {
    for (const hangUp of [(socket: Socket) => socket.end(), (socket: Socket) => socket.resetAndDestroy()]) {
      const port = await serve((_, socket) => hangUp(socket))
      const { promise: isClosed, resolve } = Promise.withResolvers<string>()
      const transport = await openTo(port, resolve)
      expect(registersOf(await transport.read(request, 5000))).toBe('closed')
      await isClosed
      expect(registersOf(await transport.read(request, 5000))).toBe('closed')
    }
  })

  it.each(['127.0.0.1', 'localhost'])('says that nobody listens at %s', async (host) => {
    const port = await serve(() => {})
    const [server] = servers.splice(0)
    await new Promise((resolve) => server?.close(resolve))
    await expect(openTo(port, () => {}, host)).rejects.toMatchObject({
      code: 'DEVICE_AWAY',
      message: expect.stringContaining('ECONNREFUSED'),
    })
  })

  it('stops connecting when it is told to', async () => {
    const stopping = new AbortController()
    const opening = openTcp({ host: '127.0.0.1', port: await serve(() => {}), connectTimeoutMs: 60_000 }, systemClock)(
      () => {},
      stopping.signal,
    )
    stopping.abort()
    await expect(opening).rejects.toMatchObject({ code: 'DEVICE_AWAY' })
  })

  it('takes an answer of another length than asked for malformed', async () => {
    for (const registers of [[1], [1, 2, 3], []]) {
      const port = await serve((asked, socket) => socket.write(answerTo(asked, registers)))
      expect(registersOf(await (await openTo(port)).read(request, timeoutMs))).toBe('malformed')
    }
  })

  it('takes an answer whose byte count does not fit its data for malformed', async () => {
    for (const byteCount of [0, 1, 3, 5, 6, 255]) {
      const port = await serve((asked, socket) => {
        const answer = answerTo(asked, [1, 2])
        answer.writeUInt8(byteCount, 8)
        socket.write(answer)
      })
      expect(registersOf(await (await openTo(port)).read(request, timeoutMs))).toBe('malformed')
    }
  })

  it('survives any bytes of a server, and takes none for data that was not asked for', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { minLength: 1, maxLength: 4 }),
        async (chunks) => {
          const port = await serve((_, socket) => {
            for (const chunk of chunks) socket.write(chunk)
          })
          const answer = await (await openTo(port)).read(request, 15)
          expect(answer.failure).toBeDefined()
        },
      ),
      { numRuns: 60 },
    )
  })

  it('survives answers that are right but for some bytes', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.integer({ min: 4, max: 8 }), fc.integer({ min: 0, max: 255 })), {
          minLength: 1,
          maxLength: 4,
        }),
        async (changes) => {
          const port = await serve((asked, socket) => {
            const answer = answerTo(asked, [0x1234, 0x5678])
            for (const [at, byte] of changes) answer.writeUInt8(byte, at)
            socket.write(answer)
          })
          const answer = await (await openTo(port)).read(request, 15)
          if (answer.failure === undefined) expect(registersOf(answer)).toEqual([0x1234, 0x5678])
        },
      ),
      { numRuns: 60 },
    )
  })
})
