import { type DeviceConfig, isBitTable, lengthOf, type ModbusConfig, type SignalConfig } from './config.ts'
import { converterFor, type Field } from './decode.ts'
import { type Item, type PlannedRequest, planRequests } from './plan.ts'

/** The columns that make the row of one device. */
export interface GroupRow {
  readonly deviceId: string
  readonly signals: readonly { readonly signalId: string; readonly column: number }[]
}

/** A request and where its values go: each field fills a column, and the columns are those of its group. */
export interface GroupRequest extends Omit<PlannedRequest, 'items'> {
  readonly fields: readonly Field[]
  /** `device/signal` of each field. */
  readonly signals: readonly string[]
}

/**
 * What is polled together: all signals of one unit that share an interval and the gap settings, of one device or of
 * several that lie in the same unit.
 */
export interface PollGroup {
  readonly key: string
  readonly unitId: number
  readonly intervalMs: number
  /** Signals of the group; their columns are numbered from 0. */
  readonly columnCount: number
  readonly rows: readonly GroupRow[]
  readonly requests: readonly GroupRequest[]
}

interface GroupSignal extends Item {
  readonly deviceId: string
  readonly signalId: string
  readonly key: string
  readonly unitId: number
  readonly intervalMs: number
  readonly gapRegistersMax: number
  readonly gapBitsMax: number
  readonly device: DeviceConfig
  readonly signal: SignalConfig
}

/** Time between two polls of a signal. */
export function intervalOf(config: ModbusConfig, device: DeviceConfig, signal: SignalConfig): number {
  return signal.pollIntervalMs ?? device.pollIntervalMs ?? config.pollIntervalMs
}

function signalsOf(config: ModbusConfig, deviceId: string, device: DeviceConfig): GroupSignal[] {
  const { unitId } = device
  const gapRegistersMax = device.gapRegistersMax ?? config.gapRegistersMax
  const gapBitsMax = device.gapBitsMax ?? config.gapBitsMax
  return Object.entries(device.signals).map(([signalId, signal]) => {
    const intervalMs = intervalOf(config, device, signal)
    return {
      key: `unit ${unitId} every ${intervalMs} ms, gaps ${gapRegistersMax}/${gapBitsMax}`,
      unitId,
      intervalMs,
      gapRegistersMax,
      gapBitsMax,
      deviceId,
      device,
      signalId,
      signal,
      table: signal.table,
      address: signal.address,
      length: lengthOf(signal.type),
    }
  })
}

function withFields(
  { table, address, count, items }: PlannedRequest<GroupSignal>,
  columnOf: ReadonlyMap<GroupSignal, number>,
): GroupRequest {
  // A field in a bit table is placed by bits, one in a register table by bytes.
  const unitsPerAddress = isBitTable(table) ? 1 : 2
  const fields = items.map((item) => ({
    at: (item.address - address) * unitsPerAddress,
    column: columnOf.get(item) ?? 0,
    convert: converterFor({ ...item.signal, byteOrder: item.signal.byteOrder ?? item.device.byteOrder }),
  }))
  return { table, address, count, fields, signals: items.map(({ deviceId, signalId }) => `${deviceId}/${signalId}`) }
}

function groupOf(key: string, signals: readonly [GroupSignal, ...GroupSignal[]]): PollGroup {
  const [{ unitId, intervalMs, gapRegistersMax, gapBitsMax }] = signals
  const columnOf = new Map(signals.map((signal, column) => [signal, column]))
  const rows = [...Map.groupBy(signals, ({ deviceId }) => deviceId)].map(([deviceId, ofDevice]) => ({
    deviceId,
    signals: ofDevice.map((signal) => ({ signalId: signal.signalId, column: columnOf.get(signal) ?? 0 })),
  }))
  const requests = planRequests(signals, { gapRegistersMax, gapBitsMax })
  return {
    key,
    unitId,
    intervalMs,
    columnCount: signals.length,
    rows,
    requests: requests.map((request) => withFields(request, columnOf)),
  }
}

/** The poll groups of one link, with their requests planned and their converters chosen. */
export function groupsOfLink(config: ModbusConfig, linkId: string): PollGroup[] {
  const signals = Object.entries(config.devices)
    .filter(([, device]) => device.link === linkId)
    .flatMap(([deviceId, device]) => signalsOf(config, deviceId, device))
  return [...Map.groupBy(signals, ({ key }) => key)].flatMap(([key, [first, ...others]]) =>
    first === undefined ? [] : [groupOf(key, [first, ...others])],
  )
}
