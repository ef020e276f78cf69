import { parseConfig } from '@weir/lib/config-parse'
import type { InputMessage } from '@weir/lib/hub'
import { MemoryFileSystem } from '@weir/lib/journal/memory-file-system'
import type { JsonObject } from '@weir/lib/json'
import { aggregateSchema, type Row, receiptSchema } from '@weir/lib/messages'
import { encodeTelemetry } from '@weir/lib/telemetry'
import { runCommand, type TestContext, testContext } from '@weir/lib/test-context'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type AggregatorConfig, aggregatorConfig } from './config.ts'
import { aggregator, startAggregator } from './module.ts'

const noonMs = Date.UTC(2026, 10, 21, 12)

function configOf(raw: unknown): AggregatorConfig {
  const parsed = parseConfig(aggregatorConfig, raw)
  if ('problems' in parsed) throw new Error(parsed.problems.join('; '))
  return parsed.config
}

const config = configOf({
  windows: { main: { lengthMs: 15_000, lateArrivalMs: 2_000 } },
  rules: { all: { select: '*', functions: ['avg', 'max'] } },
})

function start(context = testContext({ module: 'aggregator', startMs: noonMs }), settings = config) {
  return { context, module: aggregator.start(context, settings) }
}

let messages = 0
function inputOf(body: Buffer | string, input = 'telemetry', properties: Record<string, string> = {}): InputMessage {
  messages += 1
  return {
    input,
    body: Buffer.from(body),
    messageId: `m${messages}`,
    contentType: 'application/json',
    contentEncoding: 'utf-8',
    properties: { session: 'run-1', ...properties },
    sourceModuleId: 'modbus-reader',
  }
}

/** A message with rows of one device; seconds are counted from noon. */
function telemetry(deviceId: string, ...levels: readonly (readonly [second: number, level: number])[]): InputMessage {
  const rows = levels.map(
    ([second, level]): Row => ({ timestamp: new Date(noonMs + second * 1_000).toISOString(), values: { level } }),
  )
  const [message] = encodeTelemetry({ deviceId, units: { level: 'mm' } }, rows)
  return inputOf(message?.body ?? Buffer.alloc(0))
}

const recordsOf = (context: TestContext) =>
  context.published
    .filter(({ messageType }) => messageType === 'aggregate')
    .flatMap(({ body }) => aggregateSchema.parse(JSON.parse(String(body))))

function unaccounted(status: JsonObject): number {
  const number = (name: string) => Number(status[name])
  const places = ['rowsSent', 'rowsLate', 'rowsBad', 'rowsRefused', 'rowsOpen', 'rowsInUnsentRecords']
  return number('rowsTaken') - places.reduce((sum, name) => sum + number(name), 0)
}

describe('the aggregator', () => {
  it('turns rows into records, a second after their window has closed', () => {
    const { context, module } = start()
    module.input?.(telemetry('press-4', [0, 1], [1, 3], [17, 5]))
    expect(context.published).toEqual([])
    context.clock.advance(1_000)
    expect(recordsOf(context)).toMatchObject([{ deviceId: 'press-4', sampleCount: 2, avg_level: 2, max_level: 3 }])
    expect(module.status()).toMatchObject({ rowsTaken: 3, rowsSent: 2, rowsOpen: 1, records: 1, messagesSent: 1 })
  })

  it('closes the windows of an idle device however busy the others are', () => {
    const { context, module } = start()
    module.input?.(telemetry('press-4', [0, 1]))
    for (let second = 1; second < 40; second++) {
      context.clock.advance(990)
      module.input?.(telemetry('pump-2', [second, 1]))
    }
    expect(recordsOf(context).filter(({ deviceId }) => deviceId === 'press-4')).toHaveLength(1)
  })

  it('counts a message that the hub delivers twice once, and says so', () => {
    const { context, module } = start()
    const message = telemetry('press-4', [0, 1], [1, 2])
    module.input?.(message)
    module.input?.(message)
    expect(module.status()).toMatchObject({ rowsTaken: 2, rowsOpen: 2, rowsDuplicate: 2, messagesDuplicate: 1 })
    expect(context.rejected.get('duplicateMessage')).toHaveLength(1)
  })

  it('names rows that the hub has not taken as unsent, until it has', () => {
    const { context, module } = start()
    context.queuedMessages = 1
    module.input?.(telemetry('press-4', [0, 1], [1, 3], [17, 5]))
    expect(module.status()).toMatchObject({ rowsInUnsentRecords: 2, rowsSent: 0 })
    context.clock.advance(1_000)
    expect(module.status()).toMatchObject({ rowsInUnsentRecords: 2, rowsSent: 0 })
    context.queuedMessages = 0
    expect(module.status()).toMatchObject({ rowsInUnsentRecords: 0, rowsSent: 2 })
  })

  it('finishes open windows under the old configuration when a new one comes', () => {
    const { context, module } = start()
    module.input?.(telemetry('press-4', [0, 1]))
    module.apply({ ...config, rules: {} })
    module.input?.(telemetry('press-4', [1, 3], [17, 5], [40, 5]))
    context.clock.advance(1_000)
    expect(recordsOf(context).map((record) => record['avg_level'])).toEqual([2, undefined])
  })

  it('sends a receipt a day with the units of the signals', () => {
    const { context, module } = start()
    module.input?.(telemetry('press-4', [0, 1]))
    context.clock.advance(12 * 3_600_000)
    const receipts = context.published.filter(({ output }) => output === 'receipts')
    expect(receipts).toHaveLength(1)
    expect(receiptSchema.parse(JSON.parse(String(receipts[0]?.body)))).toMatchObject({
      rows: 1,
      units: { 'press-4': { level: 'mm' } },
    })
  })

  it('counts captures, and turns away those that follow no contract', () => {
    const { context, module } = start()
    const capture = {
      schemaVersion: 1,
      captureId: 'c1',
      deviceId: 'press-4',
      from: '2026-11-21T12:00:00.000Z',
      to: '2026-11-21T12:01:00.000Z',
      reason: 'HIGH_TEMPERATURE',
    }
    module.input?.(inputOf(JSON.stringify(capture), 'captures'))
    module.input?.(inputOf(JSON.stringify({ ...capture, deviceId: '__proto__' }), 'captures'))
    module.input?.(inputOf('[', 'captures'))
    expect(module.status()).toMatchObject({ capturesTaken: 1 })
    expect([...context.rejected.keys()]).toEqual(['badCapture', 'malformedJson'])
  })

  it('brings its metrics up to date every second', () => {
    const { context, module } = start()
    module.input?.(telemetry('press-4', [0, 1], [17, 5]))
    context.clock.advance(1_000)
    expect(context.metrics.value('aggregator_rows_total', { what: 'taken' })).toBe(2)
    expect(context.metrics.value('aggregator_windows_total', { what: 'closed' })).toBe(1)
    expect(context.metrics.value('aggregator_open_windows')).toBe(1)
    expect(context.metrics.value('aggregator_traffic_bytes_total', { what: 'sent' })).toBeGreaterThan(100)
  })
})

describe('a restart of the aggregator', () => {
  it('keeps open windows and sends none of them at the stop', async () => {
    const { context, module } = start()
    module.input?.(telemetry('press-4', [0, 1], [1, 3]))
    await module.stop()
    expect(context.published).toEqual([])
    const next = start(testContext({ startMs: noonMs + 60_000, stateFolder: context.stateFolder }))
    expect(next.module.status()).toMatchObject({ rowsTaken: 2, rowsOpen: 2 })
    next.module.input?.(telemetry('press-4', [2, 8], [17, 1]))
    next.context.clock.advance(1_000)
    expect(recordsOf(next.context)).toMatchObject([{ sampleCount: 3, avg_level: 4 }])
    expect(unaccounted(next.module.status())).toBe(0)
  })

  it('keeps records that wait for their message', async () => {
    const { context, module } = start()
    module.input?.(telemetry('press-4', [0, 1], [17, 1]))
    await module.stop()
    const next = start(testContext({ startMs: noonMs + 60_000, stateFolder: context.stateFolder }))
    next.context.clock.advance(1_000)
    expect(recordsOf(next.context)).toHaveLength(1)
  })

  it('hands over again, under the same messageId, what may not be on the disk in the queue of the host', async () => {
    const { context, module } = start()
    context.queuedMessages = 1
    module.input?.(telemetry('press-4', [0, 1], [17, 1]))
    context.clock.advance(context.fsyncIntervalMs)
    await module.stop()
    const next = start(testContext({ startMs: noonMs + 60_000, stateFolder: context.stateFolder }))
    expect(next.context.published).toEqual(context.published)
    expect(unaccounted(next.module.status())).toBe(0)
  })

  it.each([
    ['the hub has taken', 0, 2_000],
    ['is on the disk in the queue of the host', 1, 7_000],
  ])('hands over once what %s', async (_what, queuedMessages, elapsedMs) => {
    const { context, module } = start()
    context.queuedMessages = queuedMessages
    module.input?.(telemetry('press-4', [0, 1], [17, 1]))
    context.clock.advance(elapsedMs + 1_000)
    await module.stop()
    expect(context.published).toHaveLength(1)
    const next = testContext({ startMs: noonMs + 60_000, stateFolder: context.stateFolder })
    next.queuedMessages = queuedMessages
    const { module: later } = start(next)
    expect(next.published).toEqual([])
    expect(later.status()).toMatchObject({ rowsInUnsentRecords: queuedMessages, rowsSent: 1 - queuedMessages })
  })

  it('does not let time pass for a device while the aggregator is stopped', async () => {
    const { context, module } = start()
    module.input?.(telemetry('press-4', [10, 1]))
    await module.stop()
    const next = start(testContext({ startMs: noonMs + 3_600_000, stateFolder: context.stateFolder }))
    next.context.clock.advance(29_000)
    expect(next.module.status()).toMatchObject({ rowsOpen: 1 })
    next.context.clock.advance(2_000)
    expect(recordsOf(next.context)).toHaveLength(1)
  })

  it('takes the place of no other process that runs on the same state', () => {
    const { context } = start()
    expect(() => start(testContext({ stateFolder: context.stateFolder }))).toThrow(
      expect.objectContaining({ code: 'STATE_LOCKED' }),
    )
  })
})

describe('a fault of the disk', () => {
  /** Starts on a disk in memory, which fails on demand. */
  function startOn(fileSystem: MemoryFileSystem) {
    const context = testContext({ startMs: noonMs, stateFolder: '/state' })
    return { context, module: startAggregator(context, config, { fileSystem }) }
  }

  it('leaves the message at hand with the hub, and ends the process', () => {
    const fileSystem = new MemoryFileSystem()
    const { context, module } = startOn(fileSystem)
    fileSystem.fault = () => ({ code: 'EIO' })
    expect(() => module.input?.(telemetry('press-4', [0, 1]))).toThrow(
      expect.objectContaining({ code: 'STATE_UNWRITABLE' }),
    )
    expect(context.failures[0]).toMatchObject({ code: 'STATE_UNWRITABLE' })
    expect(module.status()).toMatchObject({ rowsTaken: 0, devices: 0 })
  })

  it('ends the process where no message is at hand, and nothing leaves', () => {
    const fileSystem = new MemoryFileSystem()
    const { context, module } = startOn(fileSystem)
    module.input?.(telemetry('press-4', [0, 1], [17, 5]))
    fileSystem.fault = () => ({ code: 'EIO' })
    context.clock.advance(10_000)
    expect(context.failures[0]).toMatchObject({ code: 'STATE_UNWRITABLE' })
    expect(context.published).toEqual([])
  })

  it('at the stop is a failure, and what was acknowledged is there at the next start', async () => {
    const fileSystem = new MemoryFileSystem()
    const { context, module } = startOn(fileSystem)
    module.input?.(telemetry('press-4', [0, 1]))
    fileSystem.fault = ({ name }) => (name === 'sync' ? { code: 'EIO' } : undefined)
    await expect(module.stop()).rejects.toMatchObject({ code: 'STATE_UNWRITABLE' })
    expect(context.failures).not.toEqual([])
    fileSystem.fault = undefined
    fileSystem.kill()
    expect(startOn(fileSystem).module.status()).toMatchObject({ rowsTaken: 1, rowsOpen: 1 })
  })
})

describe('the commands', () => {
  it('windows shows what is open, of one device or all', async () => {
    const { module } = start()
    module.input?.(telemetry('press-4', [0, 1]))
    module.input?.(telemetry('pump-2', [0, 1], [1, 1]))
    expect(await runCommand(module.commands, 'windows')).toHaveLength(2)
    expect(await runCommand(module.commands, 'windows', { deviceId: 'pump-2' })).toEqual([
      {
        deviceId: 'pump-2',
        window: '15s',
        windowStart: '2026-11-21T12:00:00.000Z',
        closesAfter: '2026-11-21T12:00:17.000Z',
        newestRow: '2026-11-21T12:00:01.000Z',
        sampleCount: 2,
        badCount: 0,
      },
    ])
  })

  it('receipt shows the day at hand', async () => {
    const { context, module } = start()
    module.input?.(telemetry('press-4', [0, 1], [17, 1]))
    context.clock.advance(1_000)
    const receipt = receiptSchema.parse(await runCommand(module.commands, 'receipt'))
    expect(receipt).toMatchObject({ rows: 2, values: 2, messages: 1, records: 1 })
    expect(receipt.perRow.raw.messages).toBe(2)
    expect(receipt.perMessage.sent.messages).toBe(1)
  })
})

describe('bad input', () => {
  const body = (fields: object) => JSON.stringify({ schemaVersion: 1, deviceId: 'press-4', readings: [], ...fields })
  const row = (fields: object) => ({ timestamp: '2026-11-21T12:00:00.000Z', values: { level: 1 }, ...fields })

  it.each([
    ['malformed JSON', inputOf('{"schemaVersion":1,'), 'malformedJson'],
    ['no object', inputOf('[]'), 'wrongType'],
    ['another schema', inputOf(body({ schemaVersion: 2 })), 'unknownSchema'],
    ['no readings', inputOf(body({ readings: undefined })), 'missingField'],
    ['readings that are no list', inputOf(body({ readings: {} })), 'wrongType'],
    ['a device called __proto__', inputOf(body({ deviceId: '__proto__' })), 'badName'],
    ['10 MB', inputOf(Buffer.alloc(10 * 1024 * 1024, 0x20)), 'tooLarge'],
    ['another message type', inputOf(body({}), 'telemetry', { messageType: 'alert' }), 'unknownMessage'],
    ['an unknown input', inputOf(body({}), 'somewhere'), 'unknownInput'],
  ])('%s is counted by its reason and kept out', (_what, message, reason) => {
    const { context, module } = start()
    module.input?.(message)
    expect([...context.rejected.keys()]).toEqual([reason])
    expect(module.status()).toMatchObject({ rowsTaken: 0, devices: 0 })
  })

  it.each([
    ['a timestamp of 1970', row({ timestamp: '1970-01-01T00:00:00.000Z' }), 'badTimestamp', { rowsRefused: 1 }],
    ['a timestamp that is none', row({ timestamp: 'yesterday' }), 'badTimestamp', { rowsRefused: 1 }],
    ['a timestamp of tomorrow', row({ timestamp: '2026-11-22T12:00:00.000Z' }), 'fromFuture', { rowsRefused: 1 }],
    ['no values', row({ values: undefined }), 'missingField', { rowsRefused: 1 }],
    ['a signal called __proto__', row({ values: JSON.parse('{"__proto__": 1}') }), 'badName', { rowsBad: 1 }],
    ['a value that is null', row({ values: { level: null } }), 'wrongType', { rowsBad: 1 }],
  ])('a row with %s is accounted for, and the next is taken', (_what, bad, reason, account) => {
    const { context, module } = start()
    module.input?.(inputOf(body({ readings: [bad, row({})] })))
    expect([...context.rejected.keys()]).toEqual([reason])
    expect(module.status()).toMatchObject({ rowsTaken: 2, rowsOpen: 1, ...account })
    expect(unaccounted(module.status())).toBe(0)
  })

  it('from 100,000 devices fills no more than the places there are', () => {
    let refused = 0
    const reject = (reason: string) => {
      if (reason === 'tooManyDevices') refused += 1
    }
    const { module } = start(Object.assign(testContext({ startMs: noonMs }), { reject }))
    for (let device = 0; device < 100_000; device++) module.input?.(telemetry(`d${device}`, [0, 1]))
    expect(module.status()).toMatchObject({ devices: 1_000, rowsTaken: 100_000, rowsOpen: 1_000, rowsRefused: 99_000 })
    expect(refused).toBe(99_000)
  })

  it('of any kind leaves every row accounted for, and the aggregator running', () => {
    const text = fc.oneof(fc.constantFrom('2026-11-21T12:00:00.000Z', 'level', '__proto__', 'constructor'), fc.string())
    const junk = fc.oneof(
      fc.anything({ maxDepth: 3 }),
      fc.record(
        {
          schemaVersion: fc.constantFrom(1, 2, '1'),
          deviceId: fc.oneof(fc.constant('press-4'), text),
          part: fc.oneof(fc.nat(3), text),
          units: fc.anything({ maxDepth: 1 }),
          readings: fc.array(
            fc.oneof(
              fc.anything({ maxDepth: 2 }),
              fc.record({
                timestamp: text,
                values: fc.oneof(fc.dictionary(text, fc.anything({ maxDepth: 1 })), fc.anything()),
                quality: fc.option(fc.oneof(fc.dictionary(text, text), fc.anything({ maxDepth: 1 })), {
                  nil: undefined,
                }),
              }),
            ),
            { maxLength: 5 },
          ),
        },
        { requiredKeys: [] },
      ),
    )
    const json = junk.map((value) => {
      try {
        return JSON.stringify(value) ?? ''
      } catch {
        return String(typeof value)
      }
    })
    fc.assert(
      fc.property(fc.array(fc.oneof(json, fc.string()), { maxLength: 10 }), (bodies) => {
        const { context, module } = start()
        for (const each of bodies) {
          module.input?.(inputOf(each))
          context.clock.advance(10_000)
        }
        module.input?.(telemetry('oven-1', [0, 1], [17, 1]))
        context.clock.advance(60_000)
        expect(recordsOf(context).some(({ deviceId }) => deviceId === 'oven-1')).toBe(true)
        expect(unaccounted(module.status())).toBe(0)
      }),
      { numRuns: 200 },
    )
  })
})
