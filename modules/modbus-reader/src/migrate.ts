import { parseConfig } from '@weir/lib/config-parse'
import { asObject, type JsonObject, type JsonValue } from '@weir/lib/json'
import { modbusConfig } from './config.ts'
import { requestBitsMax } from './limits.ts'
import { isBitTable, type Table } from './tables.ts'

/** A configuration made of another module's, and what a person should look at. */
export interface Migrated {
  readonly config: JsonObject
  readonly notes: readonly string[]
}

type Growing = Record<string, JsonValue>

const tablesOfDigit: Readonly<Record<string, Table>> = { '0': 'coil', '1': 'discrete', '3': 'input', '4': 'holding' }

/** An address of five or six digits, which keep their leading zeros: `00017` is coil 16 on the wire. */
export function placeOfDigits(digits: string): { table: Table; address: number } | undefined {
  const [, digit = '', rest = ''] = /^(\d)(\d{4,5})$/.exec(digits) ?? []
  const table = tablesOfDigit[digit]
  const number = Number(rest)
  return table === undefined || number < 1 || number > 65_536 ? undefined : { table, address: number - 1 }
}

function text(of: JsonObject, key: string): string {
  const value = of[key]
  return typeof value === 'string' || typeof value === 'number' ? String(value) : ''
}

/** What of a name an id may hold. */
function idOf(name: string, fallback: string): string {
  const id = name.replaceAll(/[^A-Za-z0-9_-]+/g, '-').replace(/^[^A-Za-z0-9]+/, '')
  return (id === '' ? fallback : id).slice(0, 56)
}

/** `id`, or with a number behind it where it is taken. */
function free(id: string, taken: JsonObject): string {
  let next = id
  for (let number = 2; Object.hasOwn(taken, next); number++) next = `${id}-${number}`
  return next
}

function linkOf(slave: JsonObject): JsonObject {
  const connection = text(slave, 'SlaveConnection')
  const retries = Math.min(10, Number(text(slave, 'RetryCount')) || 0)
  if (!/^(?:\/dev\/)?tty/.test(connection)) {
    const port = Number(text(slave, 'TcpPort'))
    return { transport: 'tcp', host: connection, ...(port > 0 ? { port } : {}), retries }
  }
  return {
    transport: 'rtu',
    path: connection.startsWith('/dev/') ? connection : `/dev/${connection}`,
    baudRate: Number(text(slave, 'BaudRate')) || 9600,
    dataBits: Number(text(slave, 'DataBits')) || 8,
    stopBits: Number(text(slave, 'StopBits')) || 1,
    parity: text(slave, 'Parity').toLowerCase() || 'none',
    retries,
  }
}

function addSignals(signals: Growing, operationId: string, operation: JsonObject): string | undefined {
  const digits = text(operation, 'StartAddress')
  const place = placeOfDigits(digits)
  if (place === undefined) return `StartAddress ${digits} is no address of five or six digits; left out`
  const count = Math.min(requestBitsMax, Number(text(operation, 'Count')) || 1)
  const pollIntervalMs = Number(text(operation, 'PollingInterval'))
  const name = idOf(text(operation, 'DisplayName'), operationId)
  for (let index = 0; index < count; index++) {
    const id = free(count === 1 ? name : `${name}-${index + 1}`, signals)
    signals[id] = {
      table: place.table,
      address: place.address + index,
      type: isBitTable(place.table) ? 'bit' : 'uint16',
      ...(pollIntervalMs >= 10 ? { pollIntervalMs } : {}),
    }
  }
  return count === 1 || isBitTable(place.table)
    ? undefined
    : `${count} raw registers; join them with a type such as float32`
}

/**
 * The configuration of this module that reads what an iot-edge-modbus one (`SlaveConfigs`) does. That module knows no
 * types: each of its registers becomes a uint16. One device for each unit of a slave, one link for each connection.
 */
export function migrateSlaveConfigs(desired: JsonObject): Migrated {
  const links: Growing = {}
  const devices: Growing = {}
  const notes: string[] = []
  const linkIds = new Map<string, string>()
  for (const [slaveId, value] of Object.entries(asObject(desired['SlaveConfigs']) ?? {})) {
    const slave = asObject(value) ?? {}
    const connection = `${text(slave, 'SlaveConnection')} ${text(slave, 'TcpPort')}`
    const linkId = linkIds.get(connection) ?? free(idOf(slaveId, 'link'), links)
    if (!linkIds.has(connection)) links[linkId] = linkOf(slave)
    linkIds.set(connection, linkId)
    const operations = Object.entries(asObject(slave['Operations']) ?? {}).map(
      ([id, operation]) => [id, asObject(operation) ?? {}] as const,
    )
    for (const [unitText, ofUnit] of Map.groupBy(operations, ([, operation]) => text(operation, 'UnitId') || '1')) {
      const signals: Growing = {}
      for (const [operationId, operation] of ofUnit) {
        const note = addSignals(signals, operationId, operation)
        if (note !== undefined) notes.push(`SlaveConfigs/${slaveId}/Operations/${operationId}: ${note}`)
      }
      if (Object.keys(signals).length === 0) continue
      const deviceId = free(idOf(text(slave, 'HwId'), slaveId), devices)
      devices[deviceId] = { link: linkId, unitId: Number(unitText), signals }
    }
  }
  const publishIntervalMs = Number(text(desired, 'PublishInterval'))
  const config: JsonObject = { ...(publishIntervalMs >= 10 ? { publishIntervalMs } : {}), links, devices }
  const parsed = parseConfig(modbusConfig, config)
  return { config, notes: [...notes, ...('problems' in parsed ? parsed.problems : [])] }
}
