import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { configSampleText, configSchemaText, configTable } from './config-texts.ts'

const signal = z.strictObject({
  address: z.int().min(0).max(65_535).meta({ description: 'Address of the register.' }),
  type: z.enum(['int16', 'float32']).default('int16').meta({ description: 'Type of the value.' }),
})
const declaration = {
  module: 'modbus-reader',
  sample: { devices: {} },
  schema: z.strictObject({
    pollIntervalMs: z.int().min(10).default(1000).meta({ description: 'Time between polls | in milliseconds.' }),
    devices: z
      .record(
        z.string(),
        z.strictObject({ signals: z.record(z.string(), signal).meta({ description: 'Signals by id.' }) }),
      )
      .meta({ description: 'Devices by id.' }),
    rule: z
      .discriminatedUnion('kind', [
        z.strictObject({ kind: z.literal('limits'), high: z.number().gt(0).meta({ description: 'Limit.' }) }),
        z.strictObject({ kind: z.literal('spike'), windowMs: z.int().min(1).meta({ description: 'Length.' }) }),
      ])
      .optional()
      .meta({ description: 'A rule.' }),
    tags: z.array(z.string()).optional().meta({ description: 'Tags.' }),
  }),
}

describe('texts of a configuration', () => {
  it('show every key with path, type, default and meaning', () => {
    expect(configTable(declaration).split('\n')).toEqual([
      '| key | type | default | meaning |',
      '| --- | --- | --- | --- |',
      '| `pollIntervalMs` | whole number 10 or more | `1000` | Time between polls \\| in milliseconds. |',
      '| `devices` | map of object | required | Devices by id. |',
      '| `devices.<id>.signals` | map of object | required | Signals by id. |',
      '| `devices.<id>.signals.<id>.address` | whole number 0 to 65535 | required | Address of the register. |',
      '| `devices.<id>.signals.<id>.type` | `int16`, `float32` | `"int16"` | Type of the value. |',
      '| `rule` | object | none | A rule. |',
      '| `rule.kind` | `"limits"` or `"spike"` | required |  |',
      '| `rule.high` | number above 0 | required | Limit. |',
      '| `rule.windowMs` | whole number 1 or more | required | Length. |',
      '| `tags` | list of text | none | Tags. |',
    ])
  })

  it('are a schema that names the module, and the sample as it is', () => {
    expect(JSON.parse(configSchemaText(declaration))).toMatchObject({
      title: 'Configuration of modbus-reader',
      additionalProperties: false,
      properties: { pollIntervalMs: { default: 1000 } },
      required: ['devices'],
    })
    expect(configSampleText(declaration)).toBe('{\n  "devices": {}\n}\n')
  })
})
