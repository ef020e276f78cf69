/** The reader against servers on loopback: modbus-serial's own, and ones that misbehave. */
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { systemClock } from '@weir/lib/clock'
import { eventSchema, type Row, telemetrySchema } from '@weir/lib/messages'
import type { ModuleInstance } from '@weir/lib/module'
import { runCommand, temporaryFolder, testContext } from '@weir/lib/test-context'
import { type IServiceVector, ServerTCP } from 'modbus-serial'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { type ModbusConfig, modbusConfig } from './config.ts'
import type { Encoding } from './decode.ts'
import { encodeRegisters } from './encode.ts'
import { startReader } from './module.ts'
import type { SignalType } from './signal-config.ts'

const waitMsMax = 8000
const cleanups: (() => Promise<unknown> | unknown)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function listen(server: Server, port = 0): Promise<number> {
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

async function freePort(): Promise<number> {
  const server = createServer()
  const port = await listen(server)
  await new Promise((resolve) => server.close(resolve))
  return port
}

const silence = new Promise<never>(() => {})
const deadUnit = 9

/** Every register holds 1000 × unit + address, but for those in `registers`; bits with an even address are set. Unit 9 is silent. */
function deviceVector(registers: ReadonlyMap<number, number> = new Map()): IServiceVector {
  const register = (address: number, unitId: number) =>
    unitId === deadUnit ? silence : Promise.resolve(registers.get(address) ?? 1000 * unitId + address)
  return {
    getHoldingRegister: register,
    getInputRegister: register,
    getCoil: (address: number) => Promise.resolve(address % 2 === 0),
    getDiscreteInput: (address: number) => Promise.resolve(address % 2 === 0),
  }
}

async function startDevice(port: number, vector = deviceVector()): Promise<{ stop(): Promise<void> }> {
  const server = new ServerTCP(vector, { host: '127.0.0.1', port })
  server.on('socketError', () => {})
  await once(server, 'initialized')
  const stop = () => new Promise<void>((resolve) => server.close(() => resolve()))
  cleanups.push(stop)
  return { stop }
}

/** Between reader and device: a cable that can be pulled, so that nothing passes and nobody is told. */
async function startCable(devicePort: number): Promise<{ port: number; setPulled(isPulled: boolean): void }> {
  let isPulled = false
  const sockets = new Set<Socket>()
  const server = createServer((near) => {
    const far = connect(devicePort, '127.0.0.1')
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from)
      from.on('data', (bytes) => {
        if (!isPulled) to.write(bytes)
      })
      from.on('error', () => to.destroy())
      from.on('close', () => to.destroy())
    }
  })
  const port = await listen(server)
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy()
    return new Promise((resolve) => server.close(resolve))
  })
  return {
    port,
    setPulled: (value) => {
      isPulled = value
    },
  }
}

function linkTo(port: number) {
  return {
    transport: 'tcp',
    host: '127.0.0.1',
    port,
    timeoutMs: 60,
    connectTimeoutMs: 500,
    retryDelayMsMin: 40,
    retryDelayMsMax: 160,
  }
}

function start(config: object) {
  const context = { ...testContext(), clock: systemClock }
  const parsed = modbusConfig.schema.parse({ publishIntervalMs: 60, pollIntervalMs: 20, ...config })
  const reader: ModuleInstance<ModbusConfig> = startReader(context, parsed)
  cleanups.push(() => reader.stop())
  const rows = (deviceId: string): Row[] =>
    context.published
      .filter(({ messageType, properties }) => messageType === 'telemetry' && properties['deviceId'] === deviceId)
      .flatMap(({ body }) => telemetrySchema.parse(JSON.parse(body.toString())).readings)
  const events = (): string[] =>
    context.published
      .filter(({ messageType }) => messageType === 'event')
      .map(({ body }) => eventSchema.parse(JSON.parse(body.toString())))
      .map(({ kind, link, deviceId }) => [kind, deviceId ?? link].join(' '))
  return { reader, rows, events, failures: context.failures }
}

const word = { table: 'holding', address: 5, type: 'uint16' }
const isGood = (row: Row | undefined) => row !== undefined && row.quality === undefined
const until = (check: () => void) => vi.waitFor(check, { timeout: waitMsMax, interval: 10 })

describe('against a real server', () => {
  it('every type of every table is read right', async () => {
    const values: Record<string, Partial<Encoding> & { address: number; type: SignalType; value: number | string }> = {
      i16: { address: 0, type: 'int16', value: -1234 },
      u16: { address: 1, type: 'uint16', value: 65_535 },
      scaled: { address: 2, type: 'uint16', scale: 0.1, value: 21.5 },
      i32: { address: 10, type: 'int32', byteOrder: 'CDAB', value: -2_000_000_000 },
      u32: { address: 12, type: 'uint32', byteOrder: 'DCBA', value: 4_000_000_000 },
      f32: { address: 14, type: 'float32', byteOrder: 'BADC', value: 0.5 },
      f16: { address: 16, type: 'float16', byteOrder: 'BADC', value: -1.5 },
      f64: { address: 17, type: 'float64', byteOrder: 'CDAB', value: 1 / 3 },
      i64: { address: 21, type: 'int64', byteOrder: 'CDABGHEF', value: -9_000_000_000_000 },
      u64: { address: 25, type: 'uint64', byteOrder: 'DCBA', value: 2 ** 53 - 1 },
      bcd: { address: 29, type: 'bcd32', byteOrder: 'CDAB', value: 12_345_678 },
      name: { address: 31, type: 'string', length: 9, byteOrder: 'BADC', value: 'METER 4.2' },
      far: { address: 30_000, type: 'float32', value: -1.25e9 },
    }
    const registers = new Map<number, number>()
    const expected: Record<string, number | string | boolean> = {}
    const signals: Record<string, object> = {}
    for (const [id, { value, ...signal }] of Object.entries(values)) {
      const encoding = { byteOrder: 'ABCD', scale: 1, offset: 0, ...signal } as const
      encodeRegisters(encoding, value).forEach((register, index) => {
        registers.set(signal.address + index, register)
      })
      for (const table of ['holding', 'input']) {
        signals[`${id}-${table}`] = { table, ...signal }
        expected[`${id}-${table}`] = value
      }
    }
    for (const [table, address] of [
      ['coil', 0],
      ['coil', 1],
      ['discrete', 70],
      ['discrete', 71],
    ] as const) {
      signals[`${table}-${address}`] = { table, address, type: 'bit' }
      expected[`${table}-${address}`] = address % 2 === 0
    }
    const port = await freePort()
    await startDevice(port, deviceVector(registers))
    const { rows } = start({ links: { a: linkTo(port) }, devices: { plc: { link: 'a', unitId: 1, signals } } })
    await until(() => expect(rows('plc').at(-1)?.values).toEqual(expected))
  })

  it('every kind of write arrives, by each function code', async () => {
    const registers = new Map<number, number | boolean>()
    const port = await freePort()
    const vector: IServiceVector = {
      ...deviceVector(),
      getHoldingRegister: (address: number) => Promise.resolve(Number(registers.get(address) ?? 0)),
      setRegister: (address: number, value: number) => {
        registers.set(address, value)
      },
      setCoil: (address: number, state: boolean) => {
        registers.set(address, state)
      },
    }
    await startDevice(port, vector)
    const secretFile = join(temporaryFolder(), 'secret')
    writeFileSync(secretFile, 'four score and seven\n')
    const signals = {
      word: { table: 'holding', address: 0, type: 'uint16' },
      level: { table: 'holding', address: 10, type: 'float32', byteOrder: 'CDAB' },
      label: { table: 'holding', address: 20, type: 'string', length: 6 },
      coil: { table: 'coil', address: 300, type: 'bit' },
    }
    const writable = Object.fromEntries(Object.entries(signals).map(([id, each]) => [id, { ...each, writable: true }]))
    const { reader } = start({
      writeSecretFile: secretFile,
      links: { a: linkTo(port) },
      devices: {
        single: { link: 'a', unitId: 1, signals: writable },
        multiple: { link: 'a', unitId: 1, signals: writable, writeMultiple: true },
      },
    })
    const values = { word: 4711, level: -1.5, label: 'PUMP 4', coil: true }
    for (const deviceId of ['single', 'multiple']) {
      registers.clear()
      for (const [signal, value] of Object.entries(values)) {
        const readBack = signal !== 'coil'
        const input = { deviceId, signal, value, by: 'test', secret: 'four score and seven', readBack }
        expect(await runCommand(reader.commands, 'write', input)).toMatchObject(readBack ? { readBack: value } : {})
      }
      expect([registers.get(0), registers.get(300), registers.has(299), registers.has(301)]).toEqual([
        4711,
        true,
        false,
        false,
      ])
    }
  })

  it('a server that restarts is read again, and its absence was told once', async () => {
    const port = await freePort()
    const first = await startDevice(port)
    const { rows, events } = start({
      links: { a: linkTo(port) },
      devices: { plc: { link: 'a', unitId: 2, signals: { x: word } } },
    })
    await until(() => expect(rows('plc').filter(isGood).length).toBeGreaterThan(3))
    await first.stop()
    await until(() => expect(rows('plc').at(-1)?.quality).toEqual({ x: 'linkDown' }))
    await startDevice(port)
    await until(() => expect(rows('plc').at(-1)?.values).toEqual({ x: 2005 }))
    expect(events()).toEqual(['linkUp a', 'unitUp plc', 'linkDown a', 'unitDown plc', 'linkUp a', 'unitUp plc'])
    expect(rows('plc').filter((row) => !isGood(row))).toHaveLength(1)
  })

  it('a cable that is pulled and put back loses only the time between', async () => {
    const port = await freePort()
    await startDevice(port)
    const cable = await startCable(port)
    const { rows, events } = start({
      links: { a: linkTo(cable.port) },
      devices: { plc: { link: 'a', unitId: 2, signals: { x: word } } },
    })
    await until(() => expect(rows('plc').filter(isGood).length).toBeGreaterThan(3))
    cable.setPulled(true)
    await until(() => expect(events()).toContain('unitDown plc'))
    expect(rows('plc').at(-1)?.quality).toEqual({ x: 'noAnswer' })
    cable.setPulled(false)
    const before = rows('plc').length
    await until(() => expect(rows('plc').length).toBeGreaterThan(before + 3))
    expect(rows('plc').at(-1)?.values).toEqual({ x: 2005 })
    expect(events().filter((event) => event.startsWith('unit'))).toEqual(['unitUp plc', 'unitDown plc', 'unitUp plc'])
  })

  it('a unit that never answers does not stop the others on its link', async () => {
    const port = await freePort()
    await startDevice(port)
    const { rows, events } = start({
      links: { a: { ...linkTo(port), retryDelayMsMin: 400, retryDelayMsMax: 30_000 } },
      devices: {
        dead: { link: 'a', unitId: deadUnit, signals: { x: word } },
        live: { link: 'a', unitId: 2, signals: { x: word } },
      },
    })
    await until(() => expect(events()).toContain('unitDown dead'))
    const before = rows('live').length
    await until(() => expect(rows('live').length).toBeGreaterThan(before + 20))
    expect(rows('live').every(isGood)).toBe(true)
    expect(rows('dead')).toMatchObject([{ values: {}, quality: { x: 'noAnswer' } }])
    expect(events().filter((event) => event.startsWith('link'))).toEqual(['linkUp a'])
  })

  it('a server that hangs up after every few answers is read without a gap', async () => {
    const port = await freePort()
    await startDevice(port)
    let answers = 0
    const server = createServer((near) => {
      const far = connect(port, '127.0.0.1')
      near
        .on('data', (bytes) => far.write(bytes))
        .on('close', () => far.destroy())
        .on('error', () => {})
      far.on('data', (bytes) => {
        answers++
        if (answers % 4 === 0) near.destroy()
        else near.write(bytes)
      })
      far.on('error', () => {})
    })
    const proxyPort = await listen(server)
    cleanups.push(() => new Promise((resolve) => server.close(resolve)))
    const { rows, events } = start({
      links: { a: linkTo(proxyPort) },
      devices: { plc: { link: 'a', unitId: 2, signals: { x: word } } },
    })
    await until(() => expect(rows('plc').length).toBeGreaterThan(20))
    expect(rows('plc').every(isGood)).toBe(true)
    expect(events()).toEqual(['linkUp a', 'unitUp plc'])
  })

  it('a server that sends garbage harms neither the module nor the other links', async () => {
    const port = await freePort()
    await startDevice(port)
    let seed = 1
    const garbage = createServer((socket) => {
      socket.on('error', () => {})
      socket.on('data', () => {
        const bytes = Buffer.alloc(seed % 300)
        for (let index = 0; index < bytes.length; index++) {
          seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0
          bytes[index] = seed >>> 16
        }
        seed++
        socket.write(bytes)
      })
    })
    const garbagePort = await listen(garbage)
    const sockets = new Set<Socket>()
    garbage.on('connection', (socket) => sockets.add(socket))
    cleanups.push(() => {
      for (const socket of sockets) socket.destroy()
      return new Promise((resolve) => garbage.close(resolve))
    })
    const { rows, failures } = start({
      links: { a: linkTo(port), bad: linkTo(garbagePort) },
      devices: {
        plc: { link: 'a', unitId: 2, signals: { x: word } },
        noise: { link: 'bad', unitId: 2, signals: { x: word } },
      },
    })
    await until(() => expect(rows('plc').length).toBeGreaterThan(40))
    expect(rows('plc').every(isGood)).toBe(true)
    expect(rows('noise').some(({ values }) => 'x' in values)).toBe(false)
    expect(failures).toEqual([])
  })

  it('scan and read share the connection with the polls', async () => {
    const port = await freePort()
    await startDevice(port)
    const { reader, rows, events } = start({
      links: { a: linkTo(port) },
      devices: { plc: { link: 'a', unitId: 2, signals: { x: word } } },
    })
    const found = await runCommand(reader.commands, 'scan', { link: 'a', from: 8, to: 10, timeoutMs: 30 })
    expect(found).toMatchObject([{ unitId: 8 }, { unitId: 10 }])
    const read = await runCommand(reader.commands, 'read', { deviceId: 'plc', table: 'holding', address: 7, count: 2 })
    expect(read).toMatchObject([
      { address: 7, uint16: 2007 },
      { address: 8, uint16: 2008 },
    ])
    await until(() => expect(rows('plc').filter(isGood).length).toBeGreaterThan(3))
    expect(events()).toEqual(['linkUp a', 'unitUp plc'])
  })
})
