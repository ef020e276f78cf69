import type { ConfigDeclaration } from '@weir/lib/config'
import { idPattern } from '@weir/lib/limits'
import { aggregateFunctions } from '@weir/lib/messages'
import { selectorSchema } from '@weir/lib/selector'
import { z } from 'zod'

/** Longest window and longest wait for late rows: a day. */
export const windowLengthMsMax = 86_400_000
export const lateArrivalMsMax = 86_400_000

const mebibyte = 2 ** 20

const id = z.string().regex(idPattern, 'must match ^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$')

const window = z.strictObject({
  lengthMs: z.int().min(100).max(windowLengthMsMax).meta({
    description:
      'Length of the window, in milliseconds: whole seconds, or a part of one second. Windows begin at multiples of it, counted from 1970-01-01T00:00Z.',
  }),
  lateArrivalMs: z.int().min(0).max(lateArrivalMsMax).default(5_000).meta({
    description: "A window closes when the device's newest row has passed its end by this much, in milliseconds.",
  }),
})

const rule = z.strictObject({
  order: z
    .int()
    .min(0)
    .max(10_000)
    .default(100)
    .meta({ description: 'Rules are tried by rising order; the first that matches a signal holds.' }),
  select: selectorSchema.meta({ description: 'Signals that the rule is for, e.g. `device:press-*/signal:*temp*`.' }),
  functions: z.array(z.enum(aggregateFunctions)).min(1).max(aggregateFunctions.length).meta({
    description:
      'What a record holds of the signal. Strings have `last` and `count`, booleans also `avg`: the share that was true.',
  }),
  decimals: z.int().min(0).max(15).optional().meta({
    description:
      'Decimals of every figure but `count`. By default `avg` and `std` have 9 significant digits and the others are exact.',
  }),
})
export type AggregationRule = z.infer<typeof rule>

const schema = z.strictObject({
  windows: z
    .record(id, window)
    .default({ main: { lengthMs: 60_000, lateArrivalMs: 5_000 } })
    .meta({ description: 'Tumbling windows by id; all of them see every row.' }),
  rules: z
    .record(id, rule)
    .default({ default: { order: 100, select: '*', functions: ['avg', 'std', 'min', 'max'] } })
    .meta({ description: 'Rules by id. A signal that no rule matches is counted but not sent.' }),
  deviceIdleMs: z.int().min(1_000).max(86_400_000).default(30_000).meta({
    description:
      'A device that has sent nothing for this long is idle: its windows close when their time is over by the clock, in milliseconds.',
  }),
  clockSkewMs: z.int().min(0).max(86_400_000).default(60_000).meta({
    description:
      'A row stamped further than this ahead of the clock of the gateway is refused, so that it closes no window, in milliseconds.',
  }),
  devicesMax: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(1_000)
    .meta({ description: 'Most devices; rows of further ones are refused and counted.' }),
  signalsPerDeviceMax: z
    .int()
    .min(1)
    .max(10_000)
    .default(500)
    .meta({ description: 'Most signals of a device; values of further ones are refused and counted.' }),
  openWindowsPerDeviceMax: z.int().min(2).max(10_000).default(100).meta({
    description: 'Most windows of a device that are open at a time; rows that would open another are refused.',
  }),
  batch: z
    .strictObject({
      maxDelayMs: z
        .int()
        .min(0)
        .max(60_000)
        .default(1_000)
        .meta({ description: 'How long a record may wait for others to share its message, in milliseconds.' }),
      recordsMax: z.int().min(1).max(10_000).default(1_000).meta({ description: 'Most records in a message.' }),
    })
    .prefault({})
    .meta({ description: 'How records share messages.' }),
  journalBytesMax: z
    .int()
    .min(8 * mebibyte)
    .max(1024 * mebibyte)
    .default(64 * mebibyte)
    .meta({
      description:
        'Most bytes of the journal in the state folder. It is emptied long before; only where no snapshot can be written does it fill up, and then no message is taken.',
    }),
  properties: z
    .record(id, z.string().max(256))
    .default({})
    .meta({ description: 'Fixed application properties on every message, for routes in the cloud.' }),
})
export type AggregatorConfig = z.infer<typeof schema>

/** Most fixed properties: they travel with every message, and are billed with it. */
const propertiesMax = 16

export const aggregatorConfig: ConfigDeclaration<AggregatorConfig> = {
  module: 'aggregator',
  schema,
  sample: {
    windows: {
      minute: { lengthMs: 60_000, lateArrivalMs: 5_000 },
      quarter: { lengthMs: 900_000, lateArrivalMs: 5_000 },
    },
    rules: {
      vibration: { order: 10, select: 'signal:*vibration*', functions: ['avg', 'std', 'max', 'peak'], decimals: 3 },
      counters: { order: 20, select: 'signal:strokes', functions: ['last'], decimals: 0 },
      default: { order: 100, select: '*', functions: ['avg', 'std', 'min', 'max'], decimals: 2 },
    },
    deviceIdleMs: 30_000,
    batch: { maxDelayMs: 1_000 },
    properties: { site: 'plant-7' },
  },
  check(config) {
    return [...windowProblems(config), ...ruleProblems(config), ...propertyProblems(config)]
  },
}

function windowProblems({ windows, openWindowsPerDeviceMax }: AggregatorConfig): string[] {
  const problems: string[] = []
  let open = 0
  const idByLength = new Map<number, string>()
  for (const [id, { lengthMs, lateArrivalMs }] of Object.entries(windows)) {
    open += 1 + Math.ceil((lengthMs + lateArrivalMs) / lengthMs)
    if (lengthMs % 1_000 !== 0 && 1_000 % lengthMs !== 0) {
      problems.push(`windows/${id}/lengthMs: ${lengthMs} must be whole seconds, or divide one second`)
    }
    const other = idByLength.get(lengthMs)
    if (other !== undefined) {
      problems.push(`windows/${id}/lengthMs: ${lengthMs} is the length of ${other} too; a length names the window`)
    }
    idByLength.set(lengthMs, id)
  }
  if (open > openWindowsPerDeviceMax) {
    const needed = `${open} windows of a device may be open at a time`
    problems.push(`openWindowsPerDeviceMax: ${openWindowsPerDeviceMax} is too few; by windows, ${needed}`)
  }
  if (idByLength.size === 0) problems.push('windows: is empty; there must be at least one window')
  return problems
}

function ruleProblems({ rules }: AggregatorConfig): string[] {
  return Object.entries(rules)
    .filter(([, { functions }]) => new Set(functions).size < functions.length)
    .map(([id, { functions }]) => `rules/${id}/functions: ${functions.join(', ')} names a function twice`)
}

/** Application properties that the host and this module set themselves. */
const ownProperties = new Set([
  'messageType',
  'deviceId',
  'deviceType',
  'location',
  'schemaVersion',
  'priority',
  'session',
  'sequence',
])

function propertyProblems({ properties }: AggregatorConfig): string[] {
  const names = Object.keys(properties)
  const problems = names
    .filter((name) => ownProperties.has(name))
    .map((name) => `properties/${name}: is set by Weir; take another name`)
  if (names.length > propertiesMax) problems.push(`properties: ${names.length} names exceed ${propertiesMax}`)
  return problems
}
