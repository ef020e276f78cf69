import { describe, expect, it } from 'vitest'
import { modbusConfig } from './config.ts'
import { groupsOfLink, type PollGroup } from './groups.ts'
import { pollGroup, rowOf } from './poll.ts'
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

  it('leave out the devices of other links', () => {
    const config = configOf({ one: { link: 'b', unitId: 1, signals: { x: signal(0) } } })
    expect(groupsOfLink(config, 'a')).toEqual([])
  })
})
