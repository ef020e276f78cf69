import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { modbusConfig } from './config.ts'
import { groupsOfLink, type PollGroup } from './groups.ts'
import { pollGroup, rowOf } from './poll.ts'
import { UnitRefusals } from './refusals.ts'
import type { ReadAnswer, ReadRequest } from './transport.ts'

const timestamp = '2026-01-01T00:00:00.000Z'

function configOf(devices: unknown) {
  return modbusConfig.schema.parse({ links: { a: { transport: 'tcp', host: 'plc' } }, devices })
}

const groups = groupsOfLink(
  configOf({
    'press-4': {
      link: 'a',
      unitId: 1,
      signals: {
        level: { table: 'holding', address: 0, type: 'float32' },
        speed: { table: 'holding', address: 2, type: 'uint16', scale: 0.1 },
        running: { table: 'coil', address: 9, type: 'bit' },
      },
    },
  }),
  'a',
)
const group = groups[0] as PollGroup

const data = (hex: string): ReadAnswer => ({ data: Buffer.from(hex, 'hex') })

/** Polls with one answer by table; says what was asked. */
async function pollWith(answers: Partial<Record<ReadRequest['table'], ReadAnswer>>) {
  const asked: string[] = []
  const polled = await pollGroup(group, ({ unitId, table, address, count }) => {
    asked.push(`${unitId} ${table} ${address} ${count}`)
    return Promise.resolve(answers[table] ?? { failure: 'timeout', detail: 'no answer' })
  })
  const [row] = group.rows.map((of) => rowOf(of, polled, timestamp))
  return { asked, unit: polled.unit, row }
}

describe('a poll', () => {
  it('makes one row of all its answers', async () => {
    const { asked, unit, row } = await pollWith({ holding: data('41a4000000d7'), coil: data('01') })
    expect(asked).toEqual(['1 holding 0 3', '1 coil 9 1'])
    expect(unit).toBe('answered')
    expect(row).toEqual({ timestamp, values: { level: 20.5, speed: 21.5, running: true } })
  })

  it('keeps what is good beside what the unit refuses', async () => {
    const refused: ReadAnswer = { failure: 'exception', detail: 'illegal address', exceptionCode: 2 }
    const { unit, row } = await pollWith({ holding: data('41a4000000d7'), coil: refused })
    expect(unit).toBe('answered')
    expect(row).toEqual({ timestamp, values: { level: 20.5, speed: 21.5 }, quality: { running: 'notFound' } })
  })

  it('marks a float that is not finite and keeps its neighbours', async () => {
    const { row } = await pollWith({ holding: data('7fc0000000d7'), coil: data('00') })
    expect(row).toEqual({ timestamp, values: { speed: 21.5, running: false }, quality: { level: 'invalidValue' } })
  })

  it('does not ask a silent unit for the rest', async () => {
    const { asked, unit, row } = await pollWith({ coil: data('01') })
    expect(asked).toEqual(['1 holding 0 3'])
    expect(unit).toBe('silent')
    expect(row).toEqual({
      timestamp,
      values: {},
      quality: { level: 'noAnswer', speed: 'noAnswer', running: 'noAnswer' },
    })
  })

  it.each([
    [{ failure: 'closed', detail: 'refused' }, 'cutOff', 'linkDown'],
    [{ failure: 'exception', detail: 'gateway', exceptionCode: 11 }, 'silent', 'noAnswer'],
  ] as const)('takes %j for a unit that is %s', async (answer, unit, reason) => {
    const found = await pollWith({ holding: answer })
    expect(found.unit).toBe(unit)
    expect(found.row?.quality).toEqual({ level: reason, speed: reason, running: reason })
  })

  it('takes an answer that does not fit for no news of the unit, and asks on', async () => {
    const { unit, asked, row } = await pollWith({
      holding: { failure: 'malformed', detail: '1 byte' },
      coil: { failure: 'malformed', detail: '0 bytes' },
    })
    expect(unit).toBe('malformed')
    expect(asked).toHaveLength(2)
    expect(row?.quality).toEqual({ level: 'checkFailed', speed: 'checkFailed', running: 'checkFailed' })
  })
})

describe('a block that the device refuses', () => {
  const refusal: ReadAnswer = { failure: 'exception', detail: 'Illegal data address', exceptionCode: 2 }

  /** A device whose holding registers hold their address, but for those it does not have; and that answers up to `countMax` at once. */
  function deviceWithout(missing: readonly number[], countMax = 125) {
    const asked: string[] = []
    const read = ({ address, count }: ReadRequest): Promise<ReadAnswer> => {
      asked.push(`${address} ${count}`)
      if (count > countMax || missing.some((each) => each >= address && each < address + count)) {
        return Promise.resolve(refusal)
      }
      const data = Buffer.alloc(count * 2)
      for (let index = 0; index < count; index++) data.writeUInt16BE(address + index, index * 2)
      return Promise.resolve({ data })
    }
    return { asked, read }
  }

  const configWith = (addresses: readonly number[]) => {
    const signals = addresses.map((address) => [`r${address}`, { table: 'holding', address, type: 'uint16' }])
    return configOf({ one: { link: 'a', unitId: 1, gapRegistersMax: 123, signals: Object.fromEntries(signals) } })
  }

  /** Polls again and again, remembering what was refused; says what each poll asked and found. */
  async function pollTimes(times: number, addresses: readonly number[], device: ReturnType<typeof deviceWithout>) {
    const refusals = new UnitRefusals(3_600_000)
    const config = configWith(addresses)
    const polls: { asked: string[]; row: ReturnType<typeof rowOf>; forbidden: string[]; healed: string[] }[] = []
    for (let index = 0; index < times; index++) {
      const [planned] = groupsOfLink(config, 'a', () => (table, from, to) => refusals.mayRead(table, from, to))
      if (planned === undefined) throw new Error('nothing is planned')
      const polled = await pollGroup(planned, device.read)
      for (const found of [...polled.forbidden, ...polled.healed]) refusals.learn(found, 0)
      const [row] = planned.rows.map((of) => rowOf(of, polled, timestamp))
      if (row === undefined) throw new Error('there is no row')
      const texts = (found: typeof polled.healed) => found.map(({ from, to, item }) => `${item.signalId} ${from}-${to}`)
      polls.push({
        asked: device.asked.splice(0),
        row,
        forbidden: texts(polled.forbidden),
        healed: texts(polled.healed),
      })
    }
    return polls
  }

  it('is read around the refused register in the same poll, and without a search from then on', async () => {
    const [first, second] = await pollTimes(2, [0, 1, 2, 3], deviceWithout([2]))
    expect(first?.row).toEqual({ timestamp, values: { r0: 0, r1: 1, r3: 3 }, quality: { r2: 'notFound' } })
    expect(first?.forbidden).toEqual(['r2 2-3'])
    expect(second).toMatchObject({ asked: ['0 2', '3 1'], row: first?.row, forbidden: [], healed: [] })
  })

  it('is read around a gap that holds a refused register', async () => {
    const [first, second] = await pollTimes(2, [0, 1, 8, 9], deviceWithout([5]))
    expect(first?.row).toEqual({ timestamp, values: { r0: 0, r1: 1, r8: 8, r9: 9 } })
    expect(first?.healed).toEqual(['r1 2-8'])
    expect(second?.asked).toEqual(['0 2', '8 2'])
  })

  it('is read in parts by a device that answers fewer registers at once', async () => {
    const addresses = Array.from({ length: 40 }, (_, index) => index)
    const polls = await pollTimes(3, addresses, deviceWithout([], 10))
    for (const { row } of polls) expect(Object.keys(row.values)).toHaveLength(40)
    expect(polls[2]?.asked).toEqual(['0 10', '10 10', '20 10', '30 10'])
  })

  it('loses no signal that the device has, whatever it refuses, and soon asks nothing that is refused', async () => {
    const address = fc.nat({ max: 60 })
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(address, { minLength: 1, maxLength: 30 }),
        fc.uniqueArray(address, { maxLength: 8 }),
        fc.integer({ min: 1, max: 60 }),
        async (addresses, missing, countMax) => {
          const polls = await pollTimes(8, addresses, deviceWithout(missing, countMax))
          const wanted = addresses.filter((each) => !missing.includes(each)).map((each) => [`r${each}`, each])
          const last = polls.at(-1)
          expect(last?.row.values).toEqual(Object.fromEntries(wanted))
          expect([...(last?.forbidden ?? []), ...(last?.healed ?? [])]).toEqual([])
          for (const { asked } of polls) expect(asked.length).toBeLessThanOrEqual(30 + 32)
        },
      ),
    )
  })

  it('is not taken apart any further once the unit is silent', async () => {
    const device = deviceWithout([2])
    const [planned] = groupsOfLink(configWith([0, 1, 2, 3]), 'a')
    let answers = 0
    const polled = await pollGroup(planned as PollGroup, (request) =>
      ++answers > 2 ? Promise.resolve({ failure: 'timeout', detail: 'no answer' }) : device.read(request),
    )
    expect(answers).toBe(3)
    expect(polled).toMatchObject({ values: [0, 1, undefined, undefined], forbidden: [], healed: [] })
    expect(polled.reasons.slice(2)).toEqual(['noAnswer', 'noAnswer'])
  })
})

describe('poll groups', () => {
  const signal = (address: number, more: object = {}) => ({ table: 'holding', address, type: 'uint16', ...more })
  const shape = (devices: unknown) =>
    groupsOfLink(configOf(devices), 'a').map(({ unitId, intervalMs, requests, rows }) => ({
      unitId,
      intervalMs,
      reads: requests.map(({ table, address, count }) => `${table} ${address} ${count}`),
      rows: rows.map(({ deviceId, signals }) => `${deviceId}: ${signals.map(({ signalId }) => signalId).join(' ')}`),
    }))

  it('read devices that lie in one unit together, and give each its own row', () => {
    expect(
      shape({
        one: { link: 'a', unitId: 1, signals: { x: signal(0) } },
        two: { link: 'a', unitId: 1, signals: { y: signal(1) } },
        three: { link: 'a', unitId: 2, signals: { z: signal(2) } },
      }),
    ).toEqual([
      { unitId: 1, intervalMs: 1000, reads: ['holding 0 2'], rows: ['one: x', 'two: y'] },
      { unitId: 2, intervalMs: 1000, reads: ['holding 2 1'], rows: ['three: z'] },
    ])
  })

  it('part signals of different intervals and devices of different gaps', () => {
    expect(
      shape({
        one: {
          link: 'a',
          unitId: 1,
          pollIntervalMs: 500,
          signals: { x: signal(0), y: signal(1, { pollIntervalMs: 9000 }) },
        },
        two: { link: 'a', unitId: 1, pollIntervalMs: 500, gapRegistersMax: 0, signals: { z: signal(2), w: signal(4) } },
      }),
    ).toEqual([
      { unitId: 1, intervalMs: 500, reads: ['holding 0 1'], rows: ['one: x'] },
      { unitId: 1, intervalMs: 9000, reads: ['holding 1 1'], rows: ['one: y'] },
      { unitId: 1, intervalMs: 500, reads: ['holding 2 1', 'holding 4 1'], rows: ['two: z w'] },
    ])
  })

  it('keep to what the device takes, and touch nothing that must not be read', () => {
    const signals = { a: signal(0), b: signal(1), c: signal(2), d: signal(4), e: signal(5) }
    const readsWith = (quirks: object) => shape({ one: { link: 'a', unitId: 1, signals, ...quirks } })[0]?.reads
    expect(readsWith({})).toEqual(['holding 0 6'])
    expect(readsWith({ requestRegistersMax: 2 })).toEqual(['holding 0 2', 'holding 2 1', 'holding 4 2'])
    expect(readsWith({ neverRead: ['holding 3'] })).toEqual(['holding 0 3', 'holding 4 2'])
    expect(readsWith({ neverRead: ['input 0-9'] })).toEqual(['holding 0 6'])
    expect(readsWith({ oneSignalPerRequest: true })).toHaveLength(5)
  })

  it('leave out the devices of other links', () => {
    const config = configOf({ one: { link: 'b', unitId: 1, signals: { x: signal(0) } } })
    expect(groupsOfLink(config, 'a')).toEqual([])
  })
})
