import { type Command, type CommandContext, command } from '@weir/lib/command'
import type { JsonValue } from '@weir/lib/json'
import { z } from 'zod'
import { type CommandTargets, failed, placeArguments, runnerOf, unitOf } from './commands.ts'
import { type Candidate, findValue, type Registers } from './find.ts'
import { tableAddresses } from './limits.ts'
import type { LinkRunner } from './link-runner.ts'
import { isAddressRefusal } from './transport.ts'

const rangeMax = 2000
const candidatesMax = 20
/** Registers asked for at once; what a unit refuses is halved down to single ones. */
const blockRegisters = 64

const findArguments = z.strictObject({
  ...placeArguments,
  shows: z.number().meta({ description: 'The number on the display, as 231.5.' }),
  table: z.enum(['holding', 'input']).optional().meta({ description: 'Only this table.' }),
  from: z
    .int()
    .min(0)
    .max(tableAddresses - 1)
    .default(0)
    .meta({ description: 'First address, counted from 0.' }),
  to: z
    .int()
    .min(0)
    .max(tableAddresses - 1)
    .default(199)
    .meta({ description: 'Last address.' }),
  tolerancePct: z
    .number()
    .min(0)
    .max(20)
    .default(1)
    .meta({ description: 'How far the value may lie from what is shown, in per cent.' }),
  samples: z.int().min(1).max(10).default(3).meta({ description: 'How often the registers are read.' }),
})
type FindArguments = z.infer<typeof findArguments>

interface Span {
  readonly unitId: number
  readonly table: 'holding' | 'input'
  readonly address: number
  readonly count: number
}

/** Reads a span into `into`, around what the unit refuses. */
async function readSpan(runner: LinkRunner, span: Span, into: Map<number, number>): Promise<void> {
  const answer = await runner.probe(span)
  if (answer.failure === undefined) {
    for (let index = 0; index < span.count; index++) into.set(span.address + index, answer.data.readUInt16BE(index * 2))
    return
  }
  if (!isAddressRefusal(answer)) {
    if (answer.failure === 'exception') return
    throw failed(`unit ${span.unitId}, ${span.table} ${span.address} count ${span.count}: ${answer.detail}`)
  }
  if (span.count === 1) return
  const half = span.count >> 1
  await readSpan(runner, { ...span, count: half }, into)
  await readSpan(runner, { ...span, address: span.address + half, count: span.count - half }, into)
}

function shownAs({ table, address, type, byteOrder, scale, value, errorPct }: Candidate): JsonValue {
  const signal = {
    table,
    address,
    type,
    ...(byteOrder.startsWith('ABCD') ? {} : { byteOrder }),
    ...(scale === 1 ? {} : { scale }),
  }
  const dataSheet = (table === 'holding' ? 400_001 : 300_001) + address
  return { value, errorPct, dataSheet, signal: JSON.stringify(signal) }
}

async function find(targets: CommandTargets, input: FindArguments, context: CommandContext): Promise<JsonValue> {
  const { shows, from, to, tolerancePct, samples } = input
  if (shows === 0) throw failed('0 fits nearly every register; wait until the display shows something else')
  if (from > to || to - from >= rangeMax)
    throw failed(`from ${from} to ${to} is no range of 1 to ${rangeMax} registers`)
  const { link, unitId } = unitOf(targets, input)
  const runner = runnerOf(targets, link)
  const tables = input.table === undefined ? (['holding', 'input'] as const) : [input.table]
  const candidates: Candidate[] = []
  for (const table of tables) {
    const taken: Registers[] = []
    for (let sample = 1; sample <= samples; sample++) {
      const registers = new Map<number, number>()
      for (let address = from; address <= to; address += blockRegisters) {
        if (context.signal.aborted) throw failed(`cancelled at ${table} ${address}`)
        context.progress(`${table} ${address} of ${from} to ${to}, sample ${sample} of ${samples}`)
        const count = Math.min(blockRegisters, to - address + 1)
        await readSpan(runner, { unitId, table, address, count }, registers)
      }
      taken.push(registers)
    }
    candidates.push(...findValue(table, taken, shows, tolerancePct))
  }
  if (candidates.length === 0) {
    throw failed(`nothing between ${from} and ${to} fits ${shows}; widen the range, or give a greater tolerancePct`)
  }
  return candidates.slice(0, candidatesMax).map(shownAs)
}

export function findCommand(targets: CommandTargets): Command {
  return command<FindArguments>({
    name: 'find',
    summary:
      'Finds the register behind a number on a display: every table, type, order and usual scale, best fit first.',
    arguments: findArguments,
    job: true,
    run: (input, context) => find(targets, input, context),
  })
}
