/** Faults as they are ordered: by `weir fault`, by the service API, and in a file for `--faults`. */
import { WeirError } from '@weir/lib/errors'
import { z } from 'zod'

/** Twice the edge hub's time-out for an acknowledgement; what takes longer is cut, not slow. */
const delayMsMax = 60_000
/** A century: no gateway's clock is wrong by more. */
const stepMsMax = 100 * 365 * 24 * 60 * 60 * 1000

const name = z.string().min(1).max(128)
const delayMs = z.number().min(0).max(delayMsMax)
/** Part of the messages, 0 to 1. */
const share = z.number().min(0).max(1).default(1)

const upstream = { place: z.literal('upstream') }
const hub = { place: z.literal('hub') }
const module = { place: z.literal('module'), name }
const messages = { place: z.literal('messages'), name }
const disk = { place: z.literal('disk'), name }
const clock = { place: z.literal('clock'), name }
const device = { place: z.literal('device'), name }
const restore = z.literal('restore')

export const faultSchema = z.discriminatedUnion('place', [
  z.discriminatedUnion('action', [
    z.strictObject({ ...upstream, action: z.literal('cut') }),
    z.strictObject({ ...upstream, action: z.literal('slow'), delayMs }),
    z.strictObject({ ...upstream, action: restore }),
  ]),
  z.strictObject({ ...hub, action: z.enum(['restart', 'kill']) }),
  z.strictObject({ ...module, action: z.enum(['kill', 'freeze', 'thaw', 'restart']) }),
  z.discriminatedUnion('action', [
    z.strictObject({ ...messages, action: z.literal('delay'), delayMs }),
    z.strictObject({ ...messages, action: z.literal('dropBeforeAck'), share }),
    z.strictObject({ ...messages, action: z.literal('duplicate'), share }),
    z.strictObject({ ...messages, action: restore }),
  ]),
  z.discriminatedUnion('action', [
    z.strictObject({ ...disk, action: z.literal('full') }),
    z.strictObject({ ...disk, action: z.literal('failing'), every: z.int().min(1).default(1) }),
    z.strictObject({ ...disk, action: restore }),
  ]),
  z.discriminatedUnion('action', [
    z.strictObject({ ...clock, action: z.literal('step'), ms: z.int().min(-stepMsMax).max(stepMsMax) }),
    z.strictObject({ ...clock, action: restore }),
  ]),
  z.discriminatedUnion('action', [
    z.strictObject({ ...device, action: z.literal('off') }),
    z.strictObject({ ...device, action: z.literal('slow'), delayMs }),
    z.strictObject({ ...device, action: z.literal('garbled') }),
    z.strictObject({ ...device, action: restore }),
  ]),
])

export type Fault = z.infer<typeof faultSchema>
export type Place = Fault['place']

/** What may be ordered at each place, in the words of `weir fault`. */
export const faultUsage: Readonly<Record<Place, string>> = {
  upstream: 'upstream cut | slow --delayMs N | restore',
  hub: 'hub restart | kill',
  module: 'module NAME kill | freeze | thaw | restart',
  messages: 'messages NAME delay --delayMs N | dropBeforeAck [--share 0..1] | duplicate [--share 0..1] | restore',
  disk: 'disk NAME full | failing [--every N] | restore',
  clock: 'clock NAME|all step --ms N | restore',
  device: 'device ID off | slow --delayMs N | garbled | restore',
}

function expectationFor(value: unknown): string {
  const place = typeof value === 'object' && value !== null && 'place' in value ? String(value.place) : ''
  return Object.hasOwn(faultUsage, place)
    ? faultUsage[place as Place]
    : `one of the places ${Object.keys(faultUsage).join(', ')}`
}

/**
 * Checks an order.
 * @param source Stands before what is wrong.
 * @throws WeirError CONFIG_REFUSED: `source: delayMs: …; expected upstream cut | …`.
 */
export function parseFault(value: unknown, source: string): Fault {
  const parsed = faultSchema.safeParse(value)
  if (parsed.success) return parsed.data
  const problems = parsed.error.issues.map(({ path, message }) => `${[...path, message].join(': ')}`)
  throw new WeirError('CONFIG_REFUSED', `${source}: ${problems.join('; ')}; expected ${expectationFor(value)}`)
}

/** `messages aggregator delay 200 ms`, for people. */
export function faultText(fault: Fault): string {
  const words = [fault.place, ...('name' in fault ? [fault.name] : []), fault.action]
  if ('delayMs' in fault) words.push(`${fault.delayMs} ms`)
  if ('ms' in fault) words.push(`${fault.ms > 0 ? '+' : ''}${fault.ms} ms`)
  if ('share' in fault && fault.share < 1) words.push(`share ${fault.share}`)
  if ('every' in fault && fault.every > 1) words.push(`every ${fault.every}`)
  return words.join(' ')
}
