import { isBitTable, type Table } from './config.ts'
import { requestBitsMax, requestRegistersMax } from './limits.ts'

/** Something to read: `length` registers or bits of one table. */
export interface Item {
  readonly table: Table
  readonly address: number
  readonly length: number
}

export interface Gaps {
  /** Unused registers that a request may read along between two items. */
  readonly gapRegistersMax: number
  /** The same for coils and discrete inputs. */
  readonly gapBitsMax: number
}

/** One request and the items it reads; `count` is in registers or bits. */
export interface PlannedRequest<T extends Item = Item> {
  readonly table: Table
  readonly address: number
  readonly count: number
  readonly items: readonly T[]
}

function endOf(item: Item): number {
  return item.address + item.length
}

function requestOf<T extends Item>(table: Table, address: number, end: number, items: readonly T[]): PlannedRequest<T> {
  return { table, address, count: end - address, items }
}

function planTable<T extends Item>(
  table: Table,
  items: readonly T[],
  gapMax: number,
  countMax: number,
): PlannedRequest<T>[] {
  const sorted = items.toSorted((a, b) => a.address - b.address || a.length - b.length)
  const requests: PlannedRequest<T>[] = []
  let taken: T[] = []
  let start = 0
  let end = 0
  for (const item of sorted) {
    const newEnd = Math.max(end, endOf(item))
    if (taken.length > 0 && item.address - end <= gapMax && newEnd - start <= countMax) {
      taken.push(item)
      end = newEnd
      continue
    }
    if (taken.length > 0) requests.push(requestOf(table, start, end, taken))
    taken = [item]
    start = item.address
    end = endOf(item)
  }
  if (taken.length > 0) requests.push(requestOf(table, start, end, taken))
  return requests
}

/**
 * Requests that read every item exactly once: neighbours share a request where the gap between them allows, no item is
 * split, and no request passes 125 registers or 2000 bits. Items may overlap.
 */
export function planRequests<T extends Item>(items: readonly T[], gaps: Gaps): PlannedRequest<T>[] {
  const byTable = Map.groupBy(items, (item) => item.table)
  return [...byTable].flatMap(([table, ofTable]) =>
    isBitTable(table)
      ? planTable(table, ofTable, gaps.gapBitsMax, requestBitsMax)
      : planTable(table, ofTable, gaps.gapRegistersMax, requestRegistersMax),
  )
}
