import { sleep } from '@weir/lib/clock'
import { eventSchema, type ReaderEvent, type Row, telemetrySchema } from '@weir/lib/messages'
import type { ModuleInstance } from '@weir/lib/module'
import { runCommand, testContext } from '@weir/lib/test-context'
import { describe, expect, it } from 'vitest'
import { type ModbusConfig, modbusConfig } from './config.ts'
import { startReader } from './module.ts'
import type { ReadAnswer, ReadRequest, WriteRequest } from './transport.ts'

const secret = 'four score and seven'

const timeout: ReadAnswer = { failure: 'timeout', detail: 'no answer within 1000 ms' }
const refused: ReadAnswer = { failure: 'exception', detail: 'Illegal data address', exceptionCode: 2 }

function registers(...values: number[]): ReadAnswer {
  const data = Buffer.alloc(values.length * 2)
  values.forEach((value, index) => {
    data.writeUInt16BE(value, index * 2)
  })
  return { data }
}

const signal = { table: 'holding', address: 0, type: 'uint16' }
const baseConfig = {
  publishIntervalMs: 1000,
  pollIntervalMs: 250,
  links: { 'hall-1': { transport: 'tcp', host: 'plc-1' }, 'hall-2': { transport: 'tcp', host: 'plc-2' } },
  devices: {
    'press-4': { link: 'hall-1', unitId: 1, signals: { temperature: { ...signal, urgent: { above: 80 } } } },
    'mill-3': { link: 'hall-2', unitId: 3, deviceType: 'mill', signals: { speed: signal } },
  },
}

function configOf(change: object = {}): ModbusConfig {
  return modbusConfig.schema.parse({ ...baseConfig, ...change })
}

/** A reader on links that answer what the test says, on a clock that the test moves. */
function startBench(config = configOf()) {
  const context = testContext({ module: 'modbus-reader' })
  const opened: string[] = []
  const closed: string[] = []
  const asked: (ReadRequest & { host: string })[] = []
  const written: WriteRequest[] = []
  const bench = {
    answer: (_: ReadRequest, __: string): ReadAnswer => registers(20),
    canOpen: (_: string) => true,
    delayMs: (_: ReadRequest) => 0,
    writeAnswer: (_: WriteRequest): ReadAnswer => ({ data: Buffer.alloc(0) }),
    secretFile: (_: string): string => `${secret}\n`,
  }
  // Off the grid, so that whole seconds hold whole numbers of polls.
  context.clock.advance(5)
  const reader: ModuleInstance<ModbusConfig> = startReader(context, config, {
    random: () => 0.999_999,
    readFile: async (path) => bench.secretFile(path),
    open: (settings) => () => {
      const host = 'host' in settings ? settings.host : settings.path
      opened.push(host)
      if (!bench.canOpen(host)) return Promise.reject(new Error('connection refused'))
      return Promise.resolve({
        read: async (request) => {
          asked.push({ ...request, host })
          const delayMs = bench.delayMs(request)
          if (delayMs > 0) await sleep(context.clock, delayMs)
          return bench.answer(request, host)
        },
        write: (request) => {
          written.push(request)
          return Promise.resolve(bench.writeAnswer(request))
        },
        close: () => closed.push(host),
      })
    },
  })
  /** Lets time pass in small steps, with all that follows from each. */
  const pass = async (milliseconds: number) => {
    for (let ms = 0; ms < milliseconds; ms += 10) {
      context.clock.advance(10)
      await new Promise(setImmediate)
    }
  }
  const messages = (deviceId: string) =>
    context.published
      .filter(({ messageType, properties }) => messageType === 'telemetry' && properties['deviceId'] === deviceId)
      .map(({ body }) => telemetrySchema.parse(JSON.parse(body.toString())))
  const rows = (deviceId: string): Row[] => messages(deviceId).flatMap(({ readings }) => readings)
  const events = (): ReaderEvent[] =>
    context.published
      .filter(({ messageType }) => messageType === 'event')
      .map(({ body }) => eventSchema.parse(JSON.parse(body.toString())))
  return { ...context, context, bench, reader, opened, closed, asked, written, pass, messages, rows, events }
}

function intervalsMs(rows: readonly Row[]): number[] {
  const timesMs = rows.map(({ timestamp }) => Date.parse(timestamp))
  return timesMs.slice(1).map((ms, index) => ms - (timesMs[index] ?? Number.NaN))
}

describe('the reader', () => {
  it('polls at once, then on the interval, and publishes the rows of a publish interval in one message', async () => {
    const { pass, messages, rows, asked } = startBench()
    await pass(4000)
    expect(asked.filter(({ host }) => host === 'plc-1').length).toBe(17)
    expect(messages('press-4').map(({ readings }) => readings.length)).toEqual([4, 4, 4, 4])
    expect(messages('mill-3')[0]).toMatchObject({ deviceType: 'mill' })
    expect(new Set(intervalsMs(rows('press-4')).slice(1))).toEqual(new Set([250]))
  })

  it('reports links and units as they come up, once', async () => {
    const { pass, events } = startBench()
    await pass(2000)
    expect(events().map(({ kind, link, deviceId }) => [kind, link, deviceId])).toEqual([
      ['linkUp', 'hall-1', undefined],
      ['linkUp', 'hall-2', undefined],
      ['unitUp', 'hall-1', 'press-4'],
      ['unitUp', 'hall-2', 'mill-3'],
    ])
  })

  it('publishes at once, and past nothing that waits, when a value crosses its urgent limit, either way', async () => {
    const { pass, messages, bench, context } = startBench()
    await pass(900)
    const before = messages('press-4').length
    bench.answer = () => registers(81)
    await pass(250)
    expect(messages('press-4').slice(before)).toMatchObject([{ readings: [{ values: { temperature: 81 } }] }])
    await pass(500)
    expect(messages('press-4')).toHaveLength(before + 1)
    bench.answer = () => registers(79)
    await pass(250)
    expect(messages('press-4')).toHaveLength(before + 2)
    expect(context.published.filter(({ urgent }) => urgent === true)).toEqual([])
  })

  it('tells a signal with a deadband by exception, and the device not at all while nothing is to be told', async () => {
    const deadband = { absolute: 2, maxSilenceMs: 5000 }
    const devices = { 'press-4': { link: 'hall-1', unitId: 1, signals: { x: { ...signal, deadband } } } }
    const { pass, rows, bench } = startBench(configOf({ devices }))
    await pass(4000)
    expect(rows('press-4')).toMatchObject([{ values: { x: 20 } }])
    bench.answer = () => registers(23)
    await pass(1500)
    expect(rows('press-4')).toMatchObject([{ values: { x: 20 } }, { values: { x: 23 } }])
    await pass(6000)
    expect(rows('press-4')).toHaveLength(3)
  })

  it('sends one row per change for a unit that is away, says so once, and asks it ever less', async () => {
    const { pass, rows, events, bench, asked } = startBench()
    await pass(900)
    bench.answer = ({ unitId }) => (unitId === 1 ? timeout : registers(5))
    const before = rows('press-4').length
    const askedBefore = asked.length
    await pass(60_000)
    expect(rows('press-4').slice(before)).toMatchObject([{ values: {}, quality: { temperature: 'noAnswer' } }])
    expect(events().filter(({ kind }) => kind === 'unitDown')).toMatchObject([
      {
        link: 'hall-1',
        deviceId: 'press-4',
        detail: expect.stringContaining('press-4 (unit 1 on link hall-1) does not answer'),
      },
    ])
    expect(asked.slice(askedBefore).filter(({ host }) => host === 'plc-1').length).toBeLessThan(15)
    bench.answer = () => registers(20)
    await pass(31_000)
    expect(rows('press-4').at(-1)).toMatchObject({ values: { temperature: 20 } })
    expect(events().at(-1)).toMatchObject({ kind: 'unitUp', deviceId: 'press-4' })
  })

  it('one dead unit of eight on a slow line costs the others less than 5 % of their polls', async () => {
    const units = [1, 2, 3, 4, 5, 6, 7, 8]
    const devices = units.map((unitId) => [`d${unitId}`, { link: 'hall-1', unitId, signals: { x: signal } }])
    const links = { 'hall-1': { transport: 'tcp', host: 'plc-1', timeoutMs: 300, retryDelayMsMax: 15_000 } }
    const { pass, rows, bench, asked, reader } = startBench(
      configOf({ pollIntervalMs: 200, links, devices: Object.fromEntries(devices) }),
    )
    // A line of 19,200 baud (11 bits a byte) moves 8 bytes asked and 7 answered in about 9 ms; devices think 10 ms.
    bench.delayMs = ({ unitId }) => (unitId === 8 ? 300 : 20)
    bench.answer = ({ unitId }) => (unitId === 8 ? timeout : registers(unitId))
    await pass(40_000)
    const before = asked.length
    const seconds = 60
    await pass(seconds * 1000)
    const asks = Map.groupBy(asked.slice(before), ({ unitId }) => unitId)
    expect(asks.get(8)?.length).toBeLessThanOrEqual((seconds * 1000) / 7500)
    for (const unitId of units.slice(0, 7)) {
      expect(asks.get(unitId)?.length).toBeGreaterThanOrEqual(0.95 * seconds * 5)
      expect(rows(`d${unitId}`).every(({ quality }) => quality === undefined)).toBe(true)
    }
    await reader.stop()
  })

  it('reports a link that is down, and its devices, once; and their return', async () => {
    const { pass, rows, events, bench, reader } = startBench()
    bench.canOpen = (host) => host !== 'plc-1'
    await pass(20_000)
    expect(rows('press-4')).toMatchObject([{ values: {}, quality: { temperature: 'linkDown' } }])
    expect(rows('mill-3').length).toBeGreaterThan(70)
    expect(reader.status()).toMatchObject({
      overruns: 0,
      links: { 'hall-1': 'down: connection refused; 0 of 1 units answer', 'hall-2': 'up; 1 of 1 units answer' },
    })
    bench.canOpen = () => true
    await pass(31_000)
    expect(rows('press-4').at(-1)).toMatchObject({ values: { temperature: 20 } })
    expect(events().map(({ kind, link }) => `${kind} ${link}`)).toEqual([
      'linkDown hall-1',
      'linkUp hall-2',
      'unitDown hall-1',
      'unitUp hall-2',
      'linkUp hall-1',
      'unitUp hall-1',
    ])
  })

  it('reports a unit that refuses as up, and what it refuses as bad', async () => {
    const { pass, rows, events, bench } = startBench()
    bench.answer = () => refused
    await pass(2000)
    expect(rows('press-4')).toMatchObject([{ quality: { temperature: 'notFound' } }])
    expect(events().map(({ kind }) => kind)).toEqual(['linkUp', 'linkUp', 'unitUp', 'unitUp'])
  })

  it('counts and logs answers that do not fit, and goes on', async () => {
    const { pass, rejected, bench, failures, rows, metrics } = startBench()
    await pass(500)
    bench.answer = () => ({ failure: 'malformed', detail: '1 bytes of data, expected 2' })
    await pass(500)
    bench.answer = () => registers(20)
    await pass(3000)
    expect(rejected.get('answerMalformed')?.[0]).toContain('1 bytes of data')
    expect(metrics.value('modbus_request_failures_total', { link: 'hall-1', kind: 'malformed' })).toBeGreaterThan(0)
    expect(failures).toEqual([])
    expect(rows('press-4').at(-1)).toMatchObject({ values: { temperature: 20 } })
  })

  it('on a line that is too slow polls less often, and counts what it left out', async () => {
    const { pass, reader, bench, asked } = startBench()
    await pass(900)
    bench.delayMs = () => 600
    const before = asked.length
    await pass(6000)
    expect(asked.length - before).toBe(2 * 10)
    const { overruns } = reader.status()
    expect(overruns).toBeGreaterThan(20)
    expect(overruns).toBeLessThan(30)
  })

  it('does not count polls as overruns that a silent unit misses', async () => {
    const { pass, reader, bench } = startBench()
    await pass(900)
    bench.delayMs = () => 600
    bench.answer = () => timeout
    await pass(6000)
    expect(reader.status()).toMatchObject({ overruns: 0 })
  })

  it('takes nothing from an answer that comes after it stopped', async () => {
    const { pass, reader, rows, bench } = startBench()
    bench.delayMs = () => 100
    await pass(50)
    await reader.stop()
    await pass(3000)
    expect(rows('press-4')).toEqual([])
    expect(reader.status()).toMatchObject({ polls: 0 })
  })

  it('tells of each device in a unit that stops answering', async () => {
    const { pass, events, bench } = startBench(
      configOf({
        devices: { ...baseConfig.devices, twin: { ...baseConfig.devices['press-4'], signals: { x: signal } } },
      }),
    )
    await pass(900)
    bench.answer = () => timeout
    await pass(2000)
    const down = events().filter(({ kind }) => kind === 'unitDown')
    expect(down.map(({ deviceId }) => deviceId).toSorted()).toEqual(['mill-3', 'press-4', 'twin'])
  })

  it('marks rows of a clock that was never set', async () => {
    const { pass, context, messages } = startBench()
    context.clock.step(Date.UTC(1970, 0, 1) - context.clock.nowMs())
    await pass(1000)
    expect(messages('press-4')[0]).toMatchObject({ clockTrusted: false })
  })

  it('counts what it did', async () => {
    const { pass, reader, metrics } = startBench()
    await pass(900)
    const { polls, rows, values } = reader.status()
    expect([polls, values]).toEqual([8, 8])
    expect(rows).toBe(8)
    expect(metrics.value('modbus_polls_total', { link: 'hall-1' })).toBe(4)
    expect(metrics.value('modbus_request_seconds', { link: 'hall-1' })).toBe(4)
  })

  it('sends what it holds when it stops, and nothing after', async () => {
    const { pass, reader, rows, closed, events } = startBench()
    await pass(500)
    const before = events().length
    await reader.stop()
    expect(rows('press-4').length).toBe(3)
    await pass(1000)
    expect(rows('press-4').length).toBe(3)
    expect(closed.toSorted()).toEqual(['plc-1', 'plc-2'])
    expect(events()).toHaveLength(before)
  })
})

describe('a register that a device does not have', () => {
  const four = Object.fromEntries([0, 1, 2, 9].map((address) => [`r${address}`, { ...signal, address }]))
  const config = () =>
    configOf({
      devices: { 'press-4': { link: 'hall-1', unitId: 1, gapRegistersMax: 20, signals: four } },
    })

  it('voids no neighbour, is told once, and is tried again rarely', async () => {
    const { pass, rows, events, bench, asked } = startBench(config())
    const missing = [1, 5]
    bench.answer = ({ address, count }) =>
      missing.some((each) => each >= address && each < address + count)
        ? refused
        : registers(...Array.from({ length: count }, (_, index) => address + index))
    await pass(1000)
    expect(rows('press-4')).toHaveLength(4)
    for (const row of rows('press-4')) {
      expect(row).toMatchObject({ values: { r0: 0, r2: 2, r9: 9 }, quality: { r1: 'notFound' } })
    }
    expect(events().filter(({ deviceId, kind }) => deviceId !== undefined && kind !== 'unitUp')).toMatchObject([
      { kind: 'registerForbidden', deviceId: 'press-4', signal: 'r1', detail: expect.stringContaining('holding 1') },
      { kind: 'blockHealed', deviceId: 'press-4', detail: expect.stringContaining('holding 3-8') },
    ])
    const before = asked.length
    await pass(1000)
    expect(new Set(asked.slice(before).map(({ address, count }) => `${address} ${count}`))).toEqual(
      new Set(['0 1', '2 1', '9 1']),
    )
    missing.length = 0
    await pass(60_000)
    expect(rows('press-4').at(-1)).toMatchObject({ values: { r0: 0, r1: 1, r2: 2, r9: 9 } })
    expect(rows('press-4').at(-1)?.quality).toBeUndefined()
    expect(events().filter(({ kind }) => kind === 'registerForbidden')).toHaveLength(1)
  })

  it('is not remembered of a device that refuses everything for a while', async () => {
    const { pass, rows, events, bench } = startBench(config())
    bench.answer = () => refused
    await pass(2000)
    bench.answer = ({ count }) => registers(...new Array(count).fill(7))
    await pass(1000)
    expect(rows('press-4').at(-1)).toMatchObject({ values: { r0: 7, r1: 7, r2: 7, r9: 7 } })
    expect(events().some(({ kind }) => kind === 'registerForbidden')).toBe(false)
  })
})

describe('a new configuration', () => {
  it('disturbs neither the links nor the devices that it does not change', async () => {
    const { pass, reader, opened, closed, rows, asked } = startBench()
    await pass(2000)
    const devices = {
      ...baseConfig.devices,
      'press-5': { link: 'hall-1', unitId: 5, signals: { temperature: signal } },
    }
    reader.apply(configOf({ devices }))
    await pass(2000)
    expect(opened).toEqual(['plc-1', 'plc-2'])
    expect(closed).toEqual([])
    expect(new Set(intervalsMs(rows('press-4')).slice(1))).toEqual(new Set([250]))
    expect(asked.some(({ unitId }) => unitId === 5)).toBe(true)
  })

  it('with other settings of a link opens that one anew, and no other', async () => {
    const { pass, reader, opened, closed, asked } = startBench()
    await pass(1000)
    reader.apply(configOf({ links: { ...baseConfig.links, 'hall-2': { transport: 'tcp', host: 'plc-9' } } }))
    await pass(1000)
    expect(opened).toEqual(['plc-1', 'plc-2', 'plc-9'])
    expect(closed).toEqual(['plc-2'])
    expect(asked.filter(({ host }) => host === 'plc-9')).toHaveLength(5)
    expect(asked.filter(({ host }) => host === 'plc-1')).toHaveLength(9)
  })

  it('without a device sends what was held of it and asks it no more', async () => {
    const { pass, reader, rows, asked } = startBench()
    await pass(600)
    reader.apply(configOf({ devices: { 'mill-3': baseConfig.devices['mill-3'] } }))
    const askedBefore = asked.filter(({ host }) => host === 'plc-1').length
    expect(rows('press-4')).toHaveLength(askedBefore)
    await pass(1000)
    expect(asked.filter(({ host }) => host === 'plc-1')).toHaveLength(askedBefore)
  })

  it('with another poll interval polls on it', async () => {
    const { pass, reader, asked } = startBench()
    await pass(1000)
    reader.apply(configOf({ pollIntervalMs: 100 }))
    const before = asked.length
    await pass(1000)
    expect(asked.length - before).toBe(22)
  })
})

describe('commands', () => {
  it('read shows raw registers in their usual forms', async () => {
    const { reader, bench, asked } = startBench()
    bench.answer = ({ address }) => (address === 100 ? registers(65_534, 7) : registers(20))
    const input = { deviceId: 'press-4', table: 'holding', address: 100, count: 2 }
    expect(await runCommand(reader.commands, 'read', input)).toEqual([
      { address: 100, hex: 'fffe', uint16: 65_534, int16: -2 },
      { address: 101, hex: '0007', uint16: 7, int16: 7 },
    ])
    expect(asked.at(-1)).toMatchObject({ host: 'plc-1', unitId: 1 })
  })

  it('read shows bits', async () => {
    const { reader, bench } = startBench()
    bench.answer = ({ table }) => (table === 'coil' ? { data: Buffer.from([0b101]) } : registers(20))
    const input = { link: 'hall-2', unitId: 3, table: 'coil', address: 8, count: 3 }
    expect(await runCommand(reader.commands, 'read', input)).toEqual([
      { address: 8, value: true },
      { address: 9, value: false },
      { address: 10, value: true },
    ])
  })

  it('read shows numbers in every type and order', async () => {
    const { reader, bench } = startBench()
    bench.answer = () => registers(0x4367, 0x8000)
    const input = { deviceId: 'press-4', table: 'holding', address: 100, count: 2, types: true }
    const rows = await runCommand(reader.commands, 'read', input)
    expect(rows).toContainEqual({ address: 100, type: 'float32', byteOrder: 'ABCD', value: 231.5 })
    expect(rows).toContainEqual({ address: 101, type: 'int16', byteOrder: 'ABCD', value: -32_768 })
    expect(rows).toContainEqual({ address: 100, type: 'uint8High', byteOrder: 'ABCD', value: 0x43 })
    expect(rows).not.toContainEqual(expect.objectContaining({ address: 101, type: 'float32' }))
  })

  it('find names the register behind a display, ready to paste, around what the unit refuses', async () => {
    const { reader, bench } = startBench()
    bench.answer = ({ address, count, table }) => {
      if (table === 'input' || (address <= 30 && address + count > 30)) return refused
      return registers(...Array.from({ length: count }, (_, index) => (address + index === 70 ? 2315 : 3)))
    }
    const found = await runCommand(reader.commands, 'find', { deviceId: 'press-4', shows: 231.5, to: 99 })
    expect(found).toMatchObject([
      {
        value: 231.5,
        errorPct: 0,
        dataSheet: 400_071,
        signal: '{"table":"holding","address":70,"type":"int16","scale":0.1}',
      },
    ])
  })

  it.each([
    [{ shows: 0 }, '0 fits nearly every register'],
    [{ shows: 5, from: 9, to: 1 }, 'from 9 to 1 is no range'],
    [{ shows: 5, to: 60_000 }, 'is no range of 1 to 2000 registers'],
    [{ shows: 4711 }, 'nothing between 0 and 199 fits 4711'],
  ])('find refuses %j and says why', async (change, text) => {
    const { reader, bench } = startBench()
    bench.answer = ({ count }) => registers(...new Array(count).fill(3))
    await expect(runCommand(reader.commands, 'find', { deviceId: 'press-4', ...change })).rejects.toThrow(text)
  })

  it('find says why there is no answer', async () => {
    const { reader, bench } = startBench()
    bench.answer = () => timeout
    await expect(runCommand(reader.commands, 'find', { deviceId: 'press-4', shows: 5 })).rejects.toThrow(
      'unit 1, holding 0 count 64: no answer within 1000 ms',
    )
  })

  it.each([
    [{ deviceId: 'press-9' }, 'no device press-9; there are press-4, mill-3'],
    [{ link: 'hall-9', unitId: 1 }, 'no link hall-9; there are hall-1, hall-2'],
    [{ link: 'hall-1' }, 'give deviceId, or link and unitId'],
    [{ deviceId: 'press-4', count: 126 }, 'count 126 exceeds 125 for table holding'],
    [{ deviceId: 'press-4', address: 65_535, count: 2 }, 'passes 65535'],
  ])('read refuses %j and says why', async (change, text) => {
    const { reader } = startBench()
    const input = { table: 'holding', address: 0, ...change }
    await expect(runCommand(reader.commands, 'read', input)).rejects.toThrow(text)
  })

  it('read says why there is no answer', async () => {
    const { reader, bench } = startBench()
    bench.answer = () => refused
    await expect(
      runCommand(reader.commands, 'read', { deviceId: 'press-4', table: 'holding', address: 0 }),
    ).rejects.toThrow('unit 1 on link hall-1, holding 0 count 1: Illegal data address')
  })

  it('scan finds the units that answer, whatever they answer, and leaves the polls alone', async () => {
    const { reader, bench, events, pass, opened } = startBench()
    await pass(500)
    bench.answer = ({ unitId }) => {
      if (unitId === 1) return registers(20)
      if (unitId === 4) return refused
      return unitId === 6 ? { failure: 'exception', detail: 'gateway target', exceptionCode: 11 } : timeout
    }
    expect(await runCommand(reader.commands, 'scan', { link: 'hall-1', from: 1, to: 10 })).toEqual([
      { unitId: 1, roundTripMs: 0, answer: 'holding register 0 read' },
      { unitId: 4, roundTripMs: 0, answer: 'Illegal data address' },
    ])
    expect(opened).toEqual(['plc-1', 'plc-2'])
    expect(events().some(({ kind }) => kind === 'unitDown')).toBe(false)
  })

  it('scan refuses a range that is none, and a link that is down', async () => {
    const { reader, bench } = startBench()
    bench.canOpen = () => false
    await expect(runCommand(reader.commands, 'scan', { link: 'hall-1', from: 9, to: 1 })).rejects.toThrow('exceeds')
    await expect(runCommand(reader.commands, 'scan', { link: 'hall-1' })).rejects.toThrow('is down: connection refused')
  })

  it('doctor says of each link and unit what is wrong, and what to do', async () => {
    const { reader, bench, pass } = startBench()
    bench.canOpen = (host) => host !== 'plc-2'
    bench.answer = () => timeout
    await pass(3000)
    const found = await runCommand(reader.commands, 'doctor', { all: false })
    expect(found).toMatchObject([
      { what: 'unit 1 on hall-1 (press-4)', advice: expect.stringContaining('check unitId') },
      { what: 'link hall-2', finding: 'is down: connection refused', advice: expect.stringContaining('host and port') },
      { what: 'unit 3 on hall-2 (mill-3)', finding: 'was not asked yet', advice: 'see its link' },
    ])
    expect(await runCommand(reader.commands, 'doctor')).toHaveLength(7)
  })

  it('plan shows each request and the signals that it reads', async () => {
    const { reader } = startBench()
    const request = { table: 'holding', address: 0, count: 1, intervalMs: 250 }
    expect(await runCommand(reader.commands, 'plan')).toEqual([
      { ...request, link: 'hall-1', unitId: 1, signals: 'press-4/temperature' },
      { ...request, link: 'hall-2', unitId: 3, signals: 'mill-3/speed' },
    ])
    expect(await runCommand(reader.commands, 'plan', { link: 'hall-2' })).toHaveLength(1)
  })
})

describe('write', () => {
  const setpoint = {
    table: 'holding',
    address: 40,
    type: 'int16',
    scale: 0.1,
    range: { min: 0, max: 90 },
    writable: true,
  }
  const config = () =>
    configOf({
      writeSecretFile: '/run/secrets/write',
      devices: {
        'press-4': {
          link: 'hall-1',
          unitId: 1,
          signals: {
            setpoint,
            temperature: signal,
            enable: { table: 'coil', address: 3, type: 'bit', writable: true },
          },
        },
      },
    })
  const input = { deviceId: 'press-4', signal: 'setpoint', value: 21.5, by: 'anna', secret }
  const writeEvents = (bench: ReturnType<typeof startBench>) =>
    bench.events().filter(({ kind }) => kind.startsWith('write'))

  it('writes a signal that is marked so, and says who claimed to ask', async () => {
    const bench = startBench(config())
    await runCommand(bench.reader.commands, 'write', input)
    await runCommand(bench.reader.commands, 'write', { ...input, signal: 'enable', value: true })
    expect(bench.written).toEqual([
      { unitId: 1, address: 40, values: [215], isMultiple: false },
      { unitId: 1, address: 3, values: true, isMultiple: false },
    ])
    expect(writeEvents(bench)).toMatchObject([
      {
        kind: 'writeDone',
        deviceId: 'press-4',
        signal: 'setpoint',
        by: 'anna',
        detail: expect.stringContaining('21.5'),
      },
      { kind: 'writeDone', signal: 'enable' },
    ])
  })

  it('reads the value again where it is asked to', async () => {
    const bench = startBench(config())
    bench.bench.answer = ({ address }) => registers(address === 40 ? 214 : 20)
    expect(await runCommand(bench.reader.commands, 'write', { ...input, readBack: true })).toEqual({
      deviceId: 'press-4',
      signal: 'setpoint',
      value: 21.5,
      readBack: 21.4,
    })
  })

  it.each([
    [{ secret: 'four score and six..' }, 'the secret is wrong'],
    [{ secret: '' }, 'the secret is wrong'],
    [{ signal: 'temperature' }, 'the configuration does not mark the signal as writable'],
    [{ signal: 'pressure' }, 'device press-4 has no signal pressure'],
    [{ deviceId: 'press-9' }, 'there is no device press-9'],
    [{ value: 90.1 }, '90.1 is beyond the range of the signal, expected 0 to 90'],
    [{ value: -0.1 }, '-0.1 is beyond the range of the signal, expected 0 to 90'],
    [{ value: true }, 'true does not fit int16, expected a number'],
    [{ value: '21.5' }, '"21.5" does not fit int16, expected a number'],
    [{ signal: 'enable', value: 1 }, '1 does not fit bit, expected true or false'],
  ])('refuses %j, writes nothing, and tells of it without the secret', async (change, reason) => {
    const bench = startBench(config())
    await expect(runCommand(bench.reader.commands, 'write', { ...input, ...change })).rejects.toThrow(reason)
    expect(bench.written).toEqual([])
    expect(writeEvents(bench)).toMatchObject([
      { kind: 'writeRefused', by: 'anna', detail: expect.stringContaining(reason) },
    ])
    expect(JSON.stringify([bench.events(), bench.logLines])).not.toContain(secret)
  })

  it('refuses where the secret file is too short, or cannot be read', async () => {
    const bench = startBench(config())
    bench.bench.secretFile = () => 'short'
    const attempt = (given: string) => runCommand(bench.reader.commands, 'write', { ...input, secret: given })
    await expect(attempt('short')).rejects.toThrow('fewer than 16 bytes')
    bench.bench.secretFile = () => {
      throw new Error('ENOENT')
    }
    await expect(attempt(secret)).rejects.toThrow('the secret file cannot be read: ENOENT')
    expect(bench.written).toEqual([])
  })

  it('refuses everything where nothing is configured to be written', async () => {
    const bench = startBench()
    await expect(runCommand(bench.reader.commands, 'write', input)).rejects.toThrow('writing is switched off')
    expect(bench.written).toEqual([])
  })

  it.each([
    [refused, 'the device refuses: Illegal data address'],
    [timeout, 'no answer within 1000 ms; it may or may not have been written'],
  ])('says what the device made of it: %j', async (answer, reason) => {
    const bench = startBench(config())
    bench.bench.writeAnswer = () => answer
    await expect(runCommand(bench.reader.commands, 'write', input)).rejects.toThrow(reason)
    expect(bench.written).toHaveLength(1)
    expect(writeEvents(bench)).toMatchObject([{ kind: 'writeRefused' }])
  })
})
