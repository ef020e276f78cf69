import type { MayRead } from './refusals.ts'
import { isBitTable, type Table } from './tables.ts'

/** Something to read: `length` registers or bits of one table. */
export interface Item {
  readonly table: Table
  readonly address: number
  readonly length: number
}

/** What a device takes. */
export interface RequestLimits {
  /** Unused registers that a request may read along between two items. */
  readonly gapRegistersMax: number
  /** The same for coils and discrete inputs. */
  readonly gapBitsMax: number
  /** Registers and bits of one request. An item that is longer has a request of its own. */
  readonly requestRegistersMax: number
  readonly requestBitsMax: number
  /** true: no two items share a request. */
  readonly oneSignalPerRequest: boolean
}

/** One request and the items it reads; `count` is in registers or bits. */
export interface PlannedRequest<T extends Item = Item> {
  readonly table: Table
  readonly address: number
  readonly count: number
  readonly items: readonly T[]
}

export interface Plan<T extends Item> {
  readonly requests: readonly PlannedRequest<T>[]
  /** Items that no request may read. */
  readonly unread: readonly T[]
}

function endOf(item: Item): number {
  return item.address + item.length
}

/** The request that reads `items`, sorted by address, and what lies between them. */
export function requestOf<T extends Item>(table: Table, items: readonly T[]): PlannedRequest<T> {
  const address = items[0]?.address ?? 0
  return { table, address, count: Math.max(...items.map(endOf)) - address, items }
}

function planTable<T extends Item>(
  table: Table,
  items: readonly T[],
  limits: RequestLimits,
  mayRead: MayRead,
): PlannedRequest<T>[] {
  const gapMax = isBitTable(table) ? limits.gapBitsMax : limits.gapRegistersMax
  const countMax = isBitTable(table) ? limits.requestBitsMax : limits.requestRegistersMax
  const requests: PlannedRequest<T>[] = []
  let taken: T[] = []
  let start = 0
  let end = 0
  for (const item of items.toSorted((a, b) => a.address - b.address || a.length - b.length)) {
    const newEnd = Math.max(end, endOf(item))
    const isNear = taken.length > 0 && item.address - end <= gapMax && newEnd - start <= countMax
    if (isNear && !limits.oneSignalPerRequest && mayRead(table, start, newEnd)) {
      taken.push(item)
      end = newEnd
      continue
    }
    if (taken.length > 0) requests.push(requestOf(table, taken))
    taken = [item]
    start = item.address
    end = endOf(item)
  }
  if (taken.length > 0) requests.push(requestOf(table, taken))
  return requests
}

/**
 * Requests that read every item exactly once, but for those that `mayRead` forbids by themselves: neighbours share a
 * request where the gap between them allows, no item is split, and no request passes the limits or what `mayRead` says.
 * Items may overlap.
 */
export function planRequests<T extends Item>(items: readonly T[], limits: RequestLimits, mayRead: MayRead): Plan<T> {
  const { readable = [], unread = [] } = Object.groupBy(items, (item) =>
    mayRead(item.table, item.address, endOf(item)) ? 'readable' : 'unread',
  )
  const byTable = Map.groupBy(readable, (item) => item.table)
  return { requests: [...byTable].flatMap(([table, of]) => planTable(table, of, limits, mayRead)), unread }
}
