import { type Command, type CommandContext, command } from '@weir/lib/command'
import { WeirError } from '@weir/lib/errors'
import type { JsonValue } from '@weir/lib/json'
import { idPattern } from '@weir/lib/limits'
import { z } from 'zod'
import type { ModbusConfig } from './config.ts'
import { numberAt, readings } from './find.ts'
import { requestBitsMax, requestRegistersMax, tableAddresses, unitIdMax } from './limits.ts'
import type { LinkRunner } from './link-runner.ts'
import { migrateSlaveConfigs } from './migrate.ts'
import { roundTo } from './scale.ts'
import { isBitTable, tables } from './tables.ts'
import { isGatewaySilence, type ReadAnswer, type ReadRequest } from './transport.ts'

/** What the commands see of the running module. */
export interface CommandTargets {
  config(): ModbusConfig
  /** Runners by link. */
  runners(): ReadonlyMap<string, LinkRunner>
}

export const id = z.string().regex(idPattern)
const unitId = z.int().min(0).max(unitIdMax)
const unitIdOnBusMax = 247

export function failed(text: string): WeirError {
  return new WeirError('COMMAND_FAILED', text)
}

export function runnerOf(targets: CommandTargets, linkId: string): LinkRunner {
  const runners = targets.runners()
  const runner = runners.get(linkId)
  if (runner !== undefined) return runner
  throw failed(`no link ${linkId}; there are ${[...runners.keys()].join(', ') || 'none'}`)
}

/** Arguments that say which unit is meant. */
export const placeArguments = {
  deviceId: id.optional().meta({ description: 'A configured device; or give link and unitId.' }),
  link: id.optional().meta({ description: 'The link to read on.' }),
  unitId: unitId.optional().meta({ description: 'The unit to read from.' }),
}

const readArguments = z.strictObject({
  ...placeArguments,
  table: z.enum(tables).meta({ description: 'coil, discrete, input or holding.' }),
  address: z
    .int()
    .min(0)
    .max(tableAddresses - 1)
    .meta({ description: 'First address, counted from 0.' }),
  count: z
    .int()
    .min(1)
    .max(requestBitsMax)
    .default(1)
    .meta({ description: 'Registers (up to 125) or bits (up to 2000).' }),
  types: z
    .boolean()
    .default(false)
    .meta({ description: 'Whether the numbers at each register are shown in every type and order.' }),
})
type ReadArguments = z.infer<typeof readArguments>

interface UnitArguments {
  readonly deviceId?: string | undefined
  readonly link?: string | undefined
  readonly unitId?: number | undefined
}

/** The unit that the arguments mean. Throws COMMAND_FAILED where they mean none. */
export function unitOf(
  targets: CommandTargets,
  { deviceId, link, unitId }: UnitArguments,
): { link: string; unitId: number } {
  if (deviceId === undefined) {
    if (link !== undefined && unitId !== undefined) return { link, unitId }
    throw failed('nothing to read from: give deviceId, or link and unitId')
  }
  const { devices } = targets.config()
  const device = Object.hasOwn(devices, deviceId) ? devices[deviceId] : undefined
  if (device === undefined)
    throw failed(`no device ${deviceId}; there are ${Object.keys(devices).join(', ') || 'none'}`)
  return { link: device.link, unitId: device.unitId }
}

/** One flat object for each bit or register. */
function shown(request: ReadRequest, data: Buffer): JsonValue {
  return Array.from({ length: request.count }, (_, index) => {
    const address = request.address + index
    if (isBitTable(request.table)) return { address, value: (((data[index >> 3] ?? 0) >> (index & 7)) & 1) === 1 }
    const bytes = data.subarray(index * 2, index * 2 + 2)
    return { address, hex: bytes.toString('hex'), uint16: bytes.readUInt16BE(0), int16: bytes.readInt16BE(0) }
  })
}

/** One flat object for each register, type and order that gives a number. */
function shownInTypes({ address, count }: ReadRequest, data: Buffer): JsonValue {
  const registers = new Map(
    Array.from({ length: count }, (_, index) => [address + index, data.readUInt16BE(index * 2)] as const),
  )
  return [...registers.keys()].flatMap((at) =>
    readings.flatMap((reading) => {
      const value = numberAt(registers, at, reading)
      return value === undefined ? [] : [{ address: at, type: reading.type, byteOrder: reading.byteOrder, value }]
    }),
  )
}

function readCommand(targets: CommandTargets): Command {
  return command<ReadArguments>({
    name: 'read',
    summary: 'Reads raw registers or bits of a unit, between two polls.',
    arguments: readArguments,
    job: false,
    async run(input) {
      const { table, address, count } = input
      const place = unitOf(targets, input)
      const countMax = isBitTable(table) ? requestBitsMax : requestRegistersMax
      if (count > countMax) throw failed(`count ${count} exceeds ${countMax} for table ${table}`)
      if (address + count > tableAddresses) throw failed(`address ${address} with count ${count} passes 65535`)
      const request: ReadRequest = { unitId: place.unitId, table, address, count }
      const answer = await runnerOf(targets, place.link).probe(request)
      if (answer.failure === undefined) {
        return input.types && !isBitTable(table) ? shownInTypes(request, answer.data) : shown(request, answer.data)
      }
      throw failed(`unit ${place.unitId} on link ${place.link}, ${table} ${address} count ${count}: ${answer.detail}`)
    },
  })
}

const scanArguments = z.strictObject({
  link: id.meta({ description: 'The link to scan.' }),
  from: unitId.default(1).meta({ description: 'First unit id.' }),
  to: unitId.default(unitIdOnBusMax).meta({ description: 'Last unit id.' }),
  timeoutMs: z
    .int()
    .min(10)
    .max(60_000)
    .optional()
    .meta({ description: 'Time-out for each unit. Absent: that of the link.' }),
})
type ScanArguments = z.infer<typeof scanArguments>

/** What a unit's answer to a scan says, or undefined where it did not answer. */
function scanFinding(answer: ReadAnswer): string | undefined {
  if (answer.failure === undefined) return 'holding register 0 read'
  if (answer.failure === 'timeout' || isGatewaySilence(answer)) return undefined
  return answer.detail
}

async function scan(runner: LinkRunner, input: ScanArguments, context: CommandContext): Promise<JsonValue> {
  const found: { unitId: number; roundTripMs: number; answer: string }[] = []
  for (let unitId = input.from; unitId <= input.to; unitId++) {
    if (context.signal.aborted) throw failed(`cancelled before unit ${unitId}`)
    context.progress(`unit ${unitId} of ${input.from} to ${input.to}, ${found.length} found`)
    const request: ReadRequest = { unitId, table: 'holding', address: 0, count: 1 }
    const answer = await runner.probe(request, input.timeoutMs)
    if (answer.failure === 'closed') throw failed(`link ${input.link} is down: ${answer.detail}`)
    const finding = scanFinding(answer)
    if (finding !== undefined) found.push({ unitId, roundTripMs: roundTo(answer.durationMs, 1), answer: finding })
  }
  return found
}

function scanCommand(targets: CommandTargets): Command {
  return command<ScanArguments>({
    name: 'scan',
    summary: 'Finds the unit ids that answer on a link, with their round-trip times. Polling goes on meanwhile.',
    arguments: scanArguments,
    job: true,
    run(input, context) {
      if (input.from > input.to) return Promise.reject(failed(`from ${input.from} exceeds to ${input.to}`))
      return scan(runnerOf(targets, input.link), input, context)
    },
  })
}

const planArguments = z.strictObject({ link: id.optional().meta({ description: 'Only this link.' }) })

function planOf(linkId: string, runner: LinkRunner): JsonValue[] {
  return runner.groups.flatMap(({ unitId, intervalMs, requests }) =>
    requests.map(({ table, address, count, items }) => ({
      link: linkId,
      unitId,
      intervalMs,
      table,
      address,
      count,
      signals: items.map(({ deviceId, signalId }) => `${deviceId}/${signalId}`).join(', '),
    })),
  )
}

function planCommand(targets: CommandTargets): Command {
  return command<z.infer<typeof planArguments>>({
    name: 'plan',
    summary: 'Shows the requests that are sent, and which signals each reads.',
    arguments: planArguments,
    job: true,
    run({ link }) {
      const runners = link === undefined ? [...targets.runners()] : [[link, runnerOf(targets, link)] as const]
      return Promise.resolve(runners.flatMap(([linkId, runner]) => planOf(linkId, runner)))
    },
  })
}

const migrateArguments = z.strictObject({
  config: z.record(z.string(), z.json()).meta({
    description: 'Desired properties of an iot-edge-modbus module, with SlaveConfigs.',
  }),
})

function migrateCommand(): Command {
  return command<z.infer<typeof migrateArguments>>({
    name: 'migrate',
    summary: 'Turns an iot-edge-modbus configuration into one of this module; changes nothing.',
    arguments: migrateArguments,
    job: true,
    run({ config }) {
      const migrated = migrateSlaveConfigs(config)
      return Promise.resolve({ config: migrated.config, notes: [...migrated.notes] })
    },
  })
}

export function readerCommands(targets: CommandTargets): Command[] {
  return [readCommand(targets), scanCommand(targets), planCommand(targets), migrateCommand()]
}
