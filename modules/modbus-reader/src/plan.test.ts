import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { requestBitsMax, requestRegistersMax } from './limits.ts'
import { type Item, planRequests, type RequestLimits } from './plan.ts'
import type { MayRead } from './refusals.ts'
import { isBitTable, tables } from './tables.ts'

const registerItem = (address: number, length = 1): Item => ({ table: 'holding', address, length })

const items = fc.array(
  fc.oneof(
    fc.record({
      table: fc.constantFrom('holding' as const, 'input' as const),
      address: fc.oneof(fc.nat({ max: 400 }), fc.integer({ min: 65_000, max: 65_400 })),
      length: fc.constantFrom(1, 2, 4, 60, 125),
    }),
    fc.record({
      table: fc.constantFrom('coil' as const, 'discrete' as const),
      address: fc.nat({ max: 9000 }),
      length: fc.constant(1),
    }),
  ),
  { maxLength: 80 },
)
const limitsOfDevice = fc.record({
  gapRegistersMax: fc.nat({ max: 123 }),
  gapBitsMax: fc.nat({ max: 1998 }),
  requestRegistersMax: fc.integer({ min: 1, max: requestRegistersMax }),
  requestBitsMax: fc.integer({ min: 1, max: requestBitsMax }),
  oneSignalPerRequest: fc.boolean(),
})
const anything: MayRead = () => true
const usual: RequestLimits = {
  gapRegistersMax: 2,
  gapBitsMax: 0,
  requestRegistersMax,
  requestBitsMax,
  oneSignalPerRequest: false,
}
/** Registers that must not be read, of any table. */
const forbidden = fc.array(fc.nat({ max: 500 }), { maxLength: 8 })
const ruleOf =
  (addresses: readonly number[]): MayRead =>
  (_table, from, to) =>
    !addresses.some((address) => address >= from && address < to)

describe('planning', () => {
  it('covers every signal exactly once, but for those that are forbidden, and never splits one', () => {
    fc.assert(
      fc.property(items, limitsOfDevice, forbidden, (all, limits, addresses) => {
        const { requests, unread } = planRequests(all, limits, ruleOf(addresses))
        const covered = [...requests.flatMap((request) => request.items), ...unread]
        expect(covered).toHaveLength(all.length)
        expect(new Set(covered)).toEqual(new Set(all))
        for (const item of unread) {
          expect(addresses.some((each) => each >= item.address && each < item.address + item.length)).toBe(true)
        }
        for (const { table, address, count, items: inside } of requests) {
          for (const item of inside) {
            expect(item.table).toBe(table)
            expect(item.address).toBeGreaterThanOrEqual(address)
            expect(item.address + item.length).toBeLessThanOrEqual(address + count)
          }
        }
      }),
    )
  })

  it('reads no register that a rule forbids', () => {
    fc.assert(
      fc.property(items, limitsOfDevice, forbidden, (all, limits, addresses) => {
        for (const { address, count } of planRequests(all, limits, ruleOf(addresses)).requests) {
          expect(addresses.filter((each) => each >= address && each < address + count)).toEqual([])
        }
      }),
    )
  })

  it('never passes the limits of the device, nor reads before the first or after the last signal', () => {
    fc.assert(
      fc.property(items, limitsOfDevice, (all, limits) => {
        for (const { table, address, count, items: inside } of planRequests(all, limits, anything).requests) {
          const countMax = isBitTable(table) ? limits.requestBitsMax : limits.requestRegistersMax
          if (inside.length > 1) expect(count).toBeLessThanOrEqual(countMax)
          if (limits.oneSignalPerRequest) expect(inside).toHaveLength(1)
          expect(address).toBe(Math.min(...inside.map((item) => item.address)))
          expect(address + count).toBe(Math.max(...inside.map((item) => item.address + item.length)))
        }
      }),
    )
  })

  it('reads no run of unused addresses longer than the gap allows', () => {
    fc.assert(
      fc.property(items, limitsOfDevice, (all, limits) => {
        for (const { table, address, count, items: inside } of planRequests(all, limits, anything).requests) {
          const used = new Array<boolean>(count).fill(false)
          for (const item of inside) used.fill(true, item.address - address, item.address - address + item.length)
          const runs = used
            .map((isUsed) => (isUsed ? 'x' : '.'))
            .join('')
            .split('x')
          const gapMax = isBitTable(table) ? limits.gapBitsMax : limits.gapRegistersMax
          for (const run of runs) expect(run.length).toBeLessThanOrEqual(gapMax)
        }
      }),
    )
  })

  it('joins neighbours over a gap and parts them beyond it', () => {
    const requestsOf = (all: readonly Item[]) => planRequests(all, usual, anything).requests
    expect(requestsOf([registerItem(0, 2), registerItem(4)])).toMatchObject([{ address: 0, count: 5 }])
    expect(requestsOf([registerItem(0, 2), registerItem(5)])).toMatchObject([
      { address: 0, count: 2 },
      { address: 5, count: 1 },
    ])
  })

  it('reads each table by itself', () => {
    const all = tables.map((table): Item => ({ table, address: 0, length: 1 }))
    expect(planRequests(all, usual, anything).requests).toHaveLength(tables.length)
  })

  it('reads 10,000 floats that lie in a row with one request per 62', () => {
    const all = Array.from({ length: 10_000 }, (_, index) => registerItem(index * 2, 2))
    expect(planRequests(all, usual, anything).requests).toHaveLength(Math.ceil(10_000 / 62))
  })
})
