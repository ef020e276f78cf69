import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { systemClock } from '@weir/lib/clock'
import { temporaryFolder } from '@weir/lib/test-context'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { type LineDevice, startLineDevice, withCheck } from './line-device.ts'
import { link } from './link-config.ts'
import { openLink } from './open-link.ts'
import type { ReadAnswer, Transport } from './transport.ts'

const timeoutMs = 60
const lateAnswerMs = 60
const cleanups: (() => unknown)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function startDevice(): Promise<LineDevice> {
  const device = await startLineDevice()
  cleanups.push(() => device.stop())
  return device
}

async function open(settings: object, onClosed: (reason: string) => void = () => {}): Promise<Transport> {
  const parsed = link.parse({ lateAnswerMs, ...settings })
  const transport = await openLink(parsed, systemClock)(onClosed, new AbortController().signal)
  cleanups.push(() => transport.close())
  return transport
}

const overTcp = (device: LineDevice) => ({ transport: 'rtuOverTcp', host: '127.0.0.1', port: device.port })
const readOf = (address: number, unitId = 1) => ({ unitId, table: 'holding', address, count: 1 }) as const

function shown(answer: ReadAnswer): number | string {
  return answer.failure ?? answer.data.readUInt16BE(0)
}

describe('RTU over TCP', () => {
  it('brings the registers that were asked for', async () => {
    const transport = await open(overTcp(await startDevice()))
    const answer = await transport.read({ unitId: 3, table: 'input', address: 7, count: 2 }, 500)
    expect(answer).toEqual({ data: Buffer.from([3007 >> 8, 3007 & 255, 3008 >> 8, 3008 & 255]) })
  })

  it('says what the unit refuses', async () => {
    const transport = await open(overTcp(await startDevice()))
    expect(await transport.read(readOf(0, 99), 500)).toMatchObject({ failure: 'exception', exceptionCode: 2 })
  })

  it('writes, and believes only an answer that repeats what was written', async () => {
    const device = await startDevice()
    const transport = await open(overTcp(device))
    const request = { unitId: 1, address: 7, isMultiple: false }
    expect(await transport.write({ ...request, values: [500] }, 500)).toEqual({ data: Buffer.alloc(0) })
    expect(await transport.write({ ...request, values: true }, 500)).toEqual({ data: Buffer.alloc(0) })
    const other = Buffer.from('010600070000', 'hex')
    device.setFate(() => ({ delayMs: 0, spoil: () => withCheck(other) }))
    expect(shown(await transport.write({ ...request, values: [500] }, 500))).toBe('malformed')
  })

  it('takes no value from an answer that comes late', async () => {
    const device = await startDevice()
    // Every third answer comes when its request has timed out, but before the line counts as silent.
    device.setFate((_, index) => ({ delayMs: index % 3 === 1 ? timeoutMs + 30 : 0 }))
    const transport = await open(overTcp(device))
    const found: (number | string)[] = []
    for (let address = 0; address < 9; address++) found.push(shown(await transport.read(readOf(address), timeoutMs)))
    expect(found).toEqual([1000, 'timeout', 1002, 1003, 'timeout', 1005, 1006, 'timeout', 1008])
  })

  it('sends nothing after a time-out until the line has been silent', async () => {
    const device = await startDevice()
    device.setFate((_, index) => (index === 0 ? undefined : { delayMs: 0 }))
    const transport = await open(overTcp(device))
    expect(shown(await transport.read(readOf(0), timeoutMs))).toBe('timeout')
    const second = transport.read(readOf(1), timeoutMs)
    for (let index = 0; index < 4; index++) {
      await setTimeout(lateAnswerMs / 2)
      device.say(Buffer.from([1, 3]))
    }
    expect(device.asked).toHaveLength(1)
    expect(shown(await second)).toBe(1001)
  })

  it('gives up on a line that never falls silent', async () => {
    const device = await startDevice()
    const transport = await open({ ...overTcp(device), lateAnswerMs: 5 })
    const babble = setInterval(() => device.say(Buffer.from([0x55])), 1)
    cleanups.push(() => clearInterval(babble))
    await vi.waitFor(async () => {
      expect(await transport.read(readOf(0), timeoutMs)).toMatchObject({
        failure: 'malformed',
        detail: 'the line never falls silent; something else sends on it',
      })
    })
  })

  it('takes damaged bytes, and the answer of another unit, for no answer, and finds its place again', async () => {
    const device = await startDevice()
    const spoils = [
      (bytes: Buffer) => Buffer.from(bytes.map((byte, at) => (at === 3 ? byte ^ 1 : byte))),
      (bytes: Buffer) => Buffer.concat([Buffer.from([0]), bytes]),
      () => Buffer.from('09030203e8d8fa', 'hex'),
      () => Buffer.from('0283027131', 'hex'),
    ]
    device.setFate((_, index) => {
      const spoil = spoils[index]
      return spoil === undefined ? { delayMs: 0 } : { delayMs: 0, spoil }
    })
    const transport = await open(overTcp(device))
    for (const _ of spoils) expect(shown(await transport.read(readOf(5), 500))).toBe('malformed')
    expect(shown(await transport.read(readOf(5), 500))).toBe(1005)
  })

  it('ends a request when the line closes', async () => {
    const device = await startDevice()
    device.setFate(() => undefined)
    const closed = Promise.withResolvers<string>()
    const transport = await open(overTcp(device), closed.resolve)
    const answer = transport.read(readOf(0), 5000)
    await vi.waitFor(() => expect(device.asked).toHaveLength(1))
    await device.stop()
    expect(shown(await answer)).toBe('closed')
    await closed.promise
    expect(shown(await transport.read(readOf(0), 5000))).toBe('closed')
  })
})

describe('a backup host', () => {
  it('is used where the first cannot be reached', async () => {
    const device = await startDevice()
    const transport = await open({ ...overTcp(device), host: '127.0.0.2', backupHost: '127.0.0.1' })
    expect(shown(await transport.read(readOf(5), 500))).toBe(1005)
  })

  it('that cannot be reached either leaves the fault of the first', async () => {
    const device = await startDevice()
    await device.stop()
    await expect(open({ ...overTcp(device), host: '127.0.0.2', backupHost: '127.0.0.3' })).rejects.toMatchObject({
      code: 'DEVICE_AWAY',
      message: expect.stringContaining('127.0.0.2'),
    })
  })
})

describe('a serial port', () => {
  it('that is not there is a device that is away', async () => {
    await expect(open({ transport: 'rtu', path: '/dev/weir-has-no-such-port' })).rejects.toMatchObject({
      code: 'DEVICE_AWAY',
      message: expect.stringContaining('cannot open /dev/weir-has-no-such-port'),
    })
  })

  const hasSocat = spawnSync('socat', ['-V']).error === undefined
  it.skipIf(!hasSocat)('reads RTU over a pty (needs socat), and has no value once its cable is pulled', async () => {
    const device = await startDevice()
    const path = join(temporaryFolder(), 'tty')
    const socat = spawn('socat', [`pty,raw,echo=0,link=${path}`, `tcp:127.0.0.1:${device.port}`])
    cleanups.push(() => socat.kill())
    await vi.waitFor(() => expect(existsSync(path)).toBe(true), { timeout: 5000 })
    const settings = { transport: 'rtu' as const, baudRate: 19_200, lateAnswerMs }
    const parsed = { ...link.parse({ ...settings, path: '/dev/tty' }), path }
    const transport = await openLink(parsed, systemClock)(() => {}, new AbortController().signal)
    cleanups.push(() => transport.close())
    expect(shown(await transport.read(readOf(5), 1000))).toBe(1005)
    socat.kill()
    expect(['closed', 'timeout']).toContain(shown(await transport.read(readOf(5), 1000)))
  })
})
