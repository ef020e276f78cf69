import { basename, extname } from 'node:path'
import type { Clock } from '@weir/lib/clock'
import { WeirError } from '@weir/lib/errors'
import type { JsonObject } from '@weir/lib/json'
import { type CsvTable, intervalMs, readCsvTable, rowAt, signalId } from './csv-table.ts'
import { plantDevices } from './layout.ts'
import { type Plant, startPlant } from './plant.ts'

const link = 'csv'
/** A column takes two registers of 65,536. */
const columnsMax = 32_768
/** A recording is polled as often as it has rows, within what a line bears and a viewer can wait for. */
const pollIntervalMsMin = 100
const pollIntervalMsMax = 1000

export interface CsvPlan {
  readonly deviceId: string
  /** Desired properties for modbus-reader: one device, one float32 signal a column; the link's address is the plant's to fill in. */
  readonly readerDesired: JsonObject
}

/** The reader's configuration for a recording. Throws CONFIG_REFUSED where it has too many columns. */
export function planCsv(file: string, table: CsvTable, replaySpeed: number): CsvPlan {
  if (table.columns.length > columnsMax) {
    throw new WeirError('CONFIG_REFUSED', `--plant ${file}: ${table.columns.length} columns exceed ${columnsMax}`)
  }
  const deviceId = signalId(basename(file, extname(file)), new Set())
  const rowIntervalMs = Math.round(intervalMs(table) / replaySpeed)
  const signals = Object.fromEntries(
    table.columns.map(({ signal, name }, index) => [
      signal,
      {
        table: 'holding',
        address: index * 2,
        type: 'float32',
        ...(name === signal ? {} : { name: name.slice(0, 128) }),
      },
    ]),
  )
  return {
    deviceId,
    readerDesired: {
      pollIntervalMs: Math.min(pollIntervalMsMax, Math.max(pollIntervalMsMin, rowIntervalMs)),
      publishIntervalMs: 1000,
      links: { [link]: { transport: 'tcp', host: '127.0.0.1', port: 502, timeoutMs: 1000 } },
      devices: { [deviceId]: { link, unitId: 1, deviceType: 'csv', location: 'csv', signals } },
    },
  }
}

export interface CsvPlant extends CsvPlan {
  readonly plant: Plant
  /** What of the file is not played as it stands, in words. */
  readonly notes: readonly string[]
}

function notesOn(file: string, { left, outOfOrder }: CsvTable): string[] {
  return [
    ...(left.length === 0 ? [] : [`${file}: columns without numbers are left out: ${left.join(', ')}`]),
    ...(outOfOrder === 0
      ? []
      : [`${file}: ${outOfOrder} rows stand behind later ones; rows are played by their times`]),
  ]
}

/** Serves a recording as one Modbus device, round and round, `replaySpeed` times as fast as it was made. */
export async function startCsvPlant(file: string, replaySpeed: number, clock: Clock): Promise<CsvPlant> {
  const table = await readCsvTable(file)
  const plan = planCsv(file, table, replaySpeed)
  const columns = new Map(table.columns.map((column) => [column.signal, column.values]))
  const plant = await startPlant(
    plantDevices(plan.readerDesired),
    (_deviceId, signal) => {
      const values = columns.get(signal)
      return (sinceStartMs) => values?.[rowAt(table, sinceStartMs * replaySpeed)] ?? Number.NaN
    },
    clock,
  )
  return { ...plan, plant, notes: notesOn(file, table) }
}
