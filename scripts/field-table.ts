import { z } from 'zod'

interface JsonSchema {
  readonly type?: string | readonly string[]
  readonly description?: string
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: boolean | JsonSchema
  readonly items?: JsonSchema
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly anyOf?: readonly JsonSchema[]
}

function typeText(schema: JsonSchema): string {
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${String(value)}\``).join(', ')
  if (schema.anyOf !== undefined) return schema.anyOf.map(typeText).join(' or ')
  if (schema.type === 'array') return `array of ${typeText(schema.items ?? {})}`
  if (schema.type === 'object' && typeof schema.additionalProperties === 'object' && schema.properties === undefined) {
    return `map of ${typeText(schema.additionalProperties)}`
  }
  return String(schema.type ?? 'any')
}

function rowsOf(schema: JsonSchema, prefix: string): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const path = `${prefix}${name}`
    const presence = schema.required?.includes(name) ? 'yes' : 'no'
    const row = `| \`${path}\` | ${typeText(field)} | ${presence} | ${(field.description ?? '').replaceAll('|', '\\|')} |`
    const inner = field.type === 'array' ? (field.items ?? {}) : field
    return [row, ...rowsOf(inner, field.type === 'array' ? `${path}[].` : `${path}.`)]
  })
}

/** A Markdown table of a schema's fields: path, type, whether it is always there, meaning. */
export function fieldTable(schema: z.ZodType): string {
  const rows = rowsOf(z.toJSONSchema(schema) as JsonSchema, '')
  return ['| field | type | always | meaning |', '| --- | --- | --- | --- |', ...rows].join('\n')
}
