import { type Command, command } from '@weir/lib/command'
import { errorText } from '@weir/lib/errors'
import type { JsonValue } from '@weir/lib/json'
import { type ReaderEvent, type SignalValue, signalValue } from '@weir/lib/messages'
import { z } from 'zod'
import { type CommandTargets, failed, id, runnerOf } from './commands.ts'
import { converterFor } from './decode.ts'
import { encodingOf } from './signal-config.ts'
import { type PlannedWrite, planWrite, secretFault } from './write.ts'

export interface WriteTargets extends CommandTargets {
  readFile(path: string): Promise<string>
  event(event: Omit<ReaderEvent, 'schemaVersion' | 'timestamp'>): void
}

const writeArguments = z.strictObject({
  deviceId: id.meta({ description: 'A configured device.' }),
  signal: id.meta({ description: 'A signal of it that the configuration marks writable.' }),
  value: signalValue.meta({ description: 'In the unit of the signal, before scaling back.' }),
  by: z.string().min(1).max(256).meta({ description: 'Who asks; noted as claimed.' }),
  secret: z.string().max(4096).meta({ description: 'The content of writeSecretFile.' }),
  readBack: z.boolean().default(false).meta({ description: 'Whether the value is read again afterwards.' }),
})
type WriteArguments = z.infer<typeof writeArguments>

async function secretRefusal(targets: WriteTargets, given: string): Promise<string | undefined> {
  const { writeSecretFile } = targets.config()
  if (writeSecretFile === undefined) return 'writing is switched off: writeSecretFile is not configured'
  try {
    return secretFault(given, await targets.readFile(writeSecretFile))
  } catch (error) {
    return `the secret file cannot be read: ${errorText(error)}`
  }
}

/** The value that the device shows now. */
async function readAgain(targets: WriteTargets, { link, place, device, signal }: PlannedWrite): Promise<SignalValue> {
  const { table, address, length } = place
  const request = { unitId: device.unitId, table, address, count: length }
  const answer = await runnerOf(targets, link).probe(request, device.timeoutMs)
  if (answer.failure !== undefined) throw failed(`written, but not to be read again: ${answer.detail}`)
  const value = converterFor(encodingOf(signal, device))(answer.data, 0)
  return typeof value === 'object' ? value.bad : value
}

async function write(targets: WriteTargets, input: WriteArguments): Promise<JsonValue> {
  const { deviceId, signal, value, by } = input
  const report = (kind: 'writeDone' | 'writeRefused', detail: string): void => {
    targets.event({
      kind,
      deviceId,
      signal,
      by,
      detail: `${deviceId}/${signal}, asked by ${by}: ${detail}`.slice(0, 2048),
    })
  }
  const refuse = (detail: string): never => {
    report('writeRefused', detail)
    throw failed(`${deviceId}/${signal}: ${detail}`)
  }
  const refusal = await secretRefusal(targets, input.secret)
  if (refusal !== undefined) return refuse(refusal)
  const planned = planWrite(targets.config(), deviceId, signal, value)
  if (typeof planned === 'string') return refuse(planned)
  const answer = await runnerOf(targets, planned.link).write(planned.request, planned.device.timeoutMs)
  if (answer.failure === 'exception') return refuse(`the device refuses: ${answer.detail}`)
  if (answer.failure !== undefined) return refuse(`${answer.detail}; it may or may not have been written`)
  report('writeDone', `${JSON.stringify(value)} written`)
  return { deviceId, signal, value, ...(input.readBack ? { readBack: await readAgain(targets, planned) } : {}) }
}

export function writeCommand(targets: WriteTargets): Command {
  return command<WriteArguments>({
    name: 'write',
    summary:
      'Writes a signal that the configuration marks writable, between two polls. Needs the secret of the module.',
    arguments: writeArguments,
    job: false,
    run: (input) => write(targets, input),
  })
}
