import { WeirError } from '@weir/lib/errors'
import type { DeviceConfig, ModbusConfig } from './config.ts'
import { type Converter, converterFor, type Field } from './decode.ts'
import { type Item, type PlannedRequest, planRequests, type RequestLimits, requestOf } from './plan.ts'
import type { MayRead } from './refusals.ts'
import { encodingOf, isNeverRead, type Place, placeOf, type SignalConfig } from './signal-config.ts'
import { isBitTable, type Table } from './tables.ts'

/** The columns that make the row of one device. */
export interface GroupRow {
  readonly deviceId: string
  readonly signals: readonly { readonly signalId: string; readonly column: number }[]
}

/** A signal in a request, and the column that its value fills. */
export interface GroupItem extends Item {
  readonly deviceId: string
  readonly signalId: string
  readonly column: number
  readonly convert: Converter
}

/** A request and where its values go: each field fills a column, and the columns are those of its group. */
export interface GroupRequest extends PlannedRequest<GroupItem> {
  readonly fields: readonly Field[]
}

/**
 * What is polled together: all signals of one unit that share an interval and the limits of requests, of one device or of
 * several that lie in the same unit.
 */
export interface PollGroup {
  readonly key: string
  readonly unitId: number
  readonly intervalMs: number
  /** Absent: that of the link. */
  readonly timeoutMs: number | undefined
  /** Signals of the group; their columns are numbered from 0. */
  readonly columnCount: number
  readonly rows: readonly GroupRow[]
  readonly requests: readonly GroupRequest[]
  /** Signals that the unit was found to refuse. */
  readonly unread: readonly GroupItem[]
}

interface GroupSignal extends Place {
  readonly key: string
  readonly unitId: number
  readonly intervalMs: number
  readonly timeoutMs: number | undefined
  readonly limits: RequestLimits
  readonly deviceId: string
  readonly signalId: string
  readonly convert: Converter
}

/** Time between two polls of a signal. */
export function intervalOf(config: ModbusConfig, device: DeviceConfig, signal: SignalConfig): number {
  return signal.pollIntervalMs ?? device.pollIntervalMs ?? config.pollIntervalMs
}

/** Where a signal of a checked configuration lies. */
function placeOnWire(signal: SignalConfig, device: DeviceConfig, at: string): Place {
  const place = placeOf(signal, device.addressing)
  if (typeof place === 'string') throw new WeirError('INTERNAL', `${at}/${place}`)
  return place
}

function limitsOf(config: ModbusConfig, device: DeviceConfig): RequestLimits {
  return {
    gapRegistersMax: device.gapRegistersMax ?? config.gapRegistersMax,
    gapBitsMax: device.gapBitsMax ?? config.gapBitsMax,
    requestRegistersMax: device.requestRegistersMax,
    requestBitsMax: device.requestBitsMax,
    oneSignalPerRequest: device.oneSignalPerRequest,
  }
}

function signalsOf(config: ModbusConfig, deviceId: string, device: DeviceConfig): GroupSignal[] {
  const { unitId, timeoutMs } = device
  const limits = limitsOf(config, device)
  const limitsText = [...Object.values(limits), timeoutMs].join('/')
  return Object.entries(device.signals).map(([signalId, signal]) => {
    const intervalMs = intervalOf(config, device, signal)
    return {
      key: `unit ${unitId} every ${intervalMs} ms, limits ${limitsText}`,
      unitId,
      intervalMs,
      timeoutMs,
      limits,
      deviceId,
      signalId,
      convert: converterFor(encodingOf(signal, device)),
      ...placeOnWire(signal, device, `devices/${deviceId}/signals/${signalId}`),
    }
  })
}

/** The request that reads `items`, sorted by address. */
export function groupRequestOf(table: Table, items: readonly GroupItem[]): GroupRequest {
  const request = requestOf(table, items)
  // A field in a bit table is placed by bits, one in a register table by bytes.
  const unitsPerAddress = isBitTable(table) ? 1 : 2
  const fields = items.map(({ address, column, convert }) => ({
    at: (address - request.address) * unitsPerAddress,
    column,
    convert,
  }))
  return { ...request, fields }
}

function groupOf(key: string, signals: readonly [GroupSignal, ...GroupSignal[]], mayRead: MayRead): PollGroup {
  const [{ unitId, intervalMs, timeoutMs, limits }] = signals
  const items = signals.map(({ deviceId, signalId, convert, table, address, length }, column) => {
    return { deviceId, signalId, convert, table, address, length, column }
  })
  const rows = [...Map.groupBy(items, ({ deviceId }) => deviceId)].map(([deviceId, ofDevice]) => ({
    deviceId,
    signals: ofDevice.map(({ signalId, column }) => ({ signalId, column })),
  }))
  const { requests, unread } = planRequests(items, limits, mayRead)
  return {
    key,
    unitId,
    intervalMs,
    timeoutMs,
    columnCount: signals.length,
    rows,
    requests: requests.map((request) => groupRequestOf(request.table, request.items)),
    unread,
  }
}

/**
 * The poll groups of one link, with their requests planned and their converters chosen.
 * @param mayRead what is known of each unit beside the configuration.
 */
export function groupsOfLink(
  config: ModbusConfig,
  linkId: string,
  mayRead: (unitId: number) => MayRead = () => () => true,
): PollGroup[] {
  const devices = Object.entries(config.devices).filter(([, device]) => device.link === linkId)
  const signals = devices.flatMap(([deviceId, device]) => signalsOf(config, deviceId, device))
  const rulesOf = (unitId: number): MayRead => {
    const neverRead = devices.filter(([, device]) => device.unitId === unitId).flatMap(([, device]) => device.neverRead)
    const isKnown = mayRead(unitId)
    return (table, from, to) => !isNeverRead(neverRead, table, from, to) && isKnown(table, from, to)
  }
  return [...Map.groupBy(signals, ({ key }) => key)].flatMap(([key, [first, ...others]]) =>
    first === undefined ? [] : [groupOf(key, [first, ...others], rulesOf(first.unitId))],
  )
}
