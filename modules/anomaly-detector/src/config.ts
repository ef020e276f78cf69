import type { ConfigDeclaration } from '@weir/lib/config'
import { idPattern } from '@weir/lib/limits'
import { severities } from '@weir/lib/messages'
import { selectorSchema } from '@weir/lib/selector'
import { z } from 'zod'

const limitsRule = z.strictObject({
  kind: z.literal('limits').meta({ description: 'Upper and lower limits with a deadband.' }),
  select: selectorSchema.meta({ description: 'Signals that the rule watches, e.g. `device:press-*/signal:*temp*`.' }),
  order: z
    .int()
    .min(0)
    .max(10_000)
    .default(100)
    .meta({ description: 'Rules are tried by rising order; the first that matches a signal holds.' }),
  high: z.number().optional().meta({ description: 'Values above it are an anomaly.' }),
  low: z.number().optional().meta({ description: 'Values below it are an anomaly.' }),
  deadband: z
    .number()
    .min(0)
    .default(0)
    .meta({ description: 'How far a value must come back inside before the anomaly ends, in the unit of the signal.' }),
  severity: z.enum(severities).default('warning').meta({ description: 'How bad it is.' }),
  alertType: z
    .string()
    .regex(/^[A-Z][A-Z0-9_]{0,63}$/, 'must match ^[A-Z][A-Z0-9_]{0,63}$')
    .optional()
    .meta({ description: 'Name of the alert; by default `HIGH_<SIGNAL>` or `LOW_<SIGNAL>`.' }),
})
export type LimitsRule = z.infer<typeof limitsRule>

const schema = z.strictObject({
  signalsMax: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(20_000)
    .meta({ description: 'Most signals watched; readings of further ones are counted and not judged.' }),
  rules: z
    .record(z.string().regex(idPattern), limitsRule)
    .default({})
    .meta({ description: 'Rules by id. The first that matches a signal, by order, watches it.' }),
})
export type DetectorConfig = z.infer<typeof schema>

export const detectorConfig: ConfigDeclaration<DetectorConfig> = {
  module: 'anomaly-detector',
  schema,
  sample: {
    rules: {
      'high-temperature': {
        kind: 'limits',
        select: 'signal:temperature',
        high: 80,
        deadband: 2,
        severity: 'high',
        alertType: 'HIGH_TEMPERATURE',
      },
      'tank-level': {
        kind: 'limits',
        select: 'device:tank-*/signal:level',
        low: 10,
        high: 95,
        deadband: 1,
        severity: 'warning',
      },
    },
  },
  check(config) {
    const problems: string[] = []
    for (const [id, rule] of Object.entries(config.rules)) {
      const place = `rules/${id}`
      if (rule.high === undefined && rule.low === undefined)
        problems.push(`${place}: has no limit; set high, low or both`)
      if (rule.high !== undefined && rule.low !== undefined) {
        if (rule.low >= rule.high) problems.push(`${place}: low ${rule.low} must be less than high ${rule.high}`)
        else if (rule.high - rule.low <= rule.deadband * 2) {
          problems.push(
            `${place}: deadband ${rule.deadband} leaves nothing between low ${rule.low} and high ${rule.high}`,
          )
        }
        if (rule.alertType !== undefined) {
          problems.push(`${place}: alertType ${rule.alertType} would name both limits; use two rules or leave it out`)
        }
      }
    }
    return problems
  },
}
