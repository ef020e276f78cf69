/** Texts that a configuration's declaration stands for: JSON Schema, README table, sample. */
import type { ConfigDeclaration } from './config.ts'
import { branches, configJsonSchema } from './config-parse.ts'
import { asObject, type JsonObject, type JsonValue } from './json.ts'

type Declaration = Pick<ConfigDeclaration<unknown>, 'module' | 'schema' | 'sample'>

/** The file `config.schema.json`. */
export function configSchemaText(declaration: Declaration): string {
  const schema = { title: `Configuration of ${declaration.module}`, ...configJsonSchema(declaration) }
  return `${JSON.stringify(schema, null, 2)}\n`
}

/** The file `sample.json`. */
export function configSampleText(declaration: Declaration): string {
  return `${JSON.stringify(declaration.sample, null, 2)}\n`
}

/**
 * A Markdown table of every key: path, type, default, meaning. Maps keyed by id show as `devices.<id>.signals.<id>`; where
 * a value may have several shapes, the keys of all of them follow.
 */
export function configTable(declaration: Declaration): string {
  const root = configJsonSchema(declaration)
  const rows = keyRows(root, root, '')
  const cells = rows.map((row) => `| \`${row.path}\` | ${row.type} | ${row.fallback} | ${inCell(row.meaning)} |`)
  return ['| key | type | default | meaning |', '| --- | --- | --- | --- |', ...cells].join('\n')
}

interface KeyRow {
  readonly path: string
  readonly type: string
  readonly fallback: string
  readonly meaning: string
}

function keyRows(schema: JsonObject, root: JsonObject, prefix: string): KeyRow[] {
  const rows = branches(schema, root).flatMap((branch) => {
    const required = Array.isArray(branch['required']) ? branch['required'] : []
    const own = Object.entries(asObject(branch['properties']) ?? {}).flatMap(([key, value]) => {
      const field = asObject(value) ?? {}
      const row = {
        path: `${prefix}${key}`,
        type: typeText(field, root),
        fallback: fallbackText(field, required.includes(key)),
        meaning: String(field['description'] ?? ''),
      }
      return [row, ...keyRows(field, root, `${prefix}${key}.`)]
    })
    const entry = asObject(branch['additionalProperties'])
    return entry === undefined ? own : [...own, ...keyRows(entry, root, `${prefix}<id>.`)]
  })
  return joined(rows)
}

/** A key that several shapes share stands once, with what they differ in side by side. */
function joined(rows: readonly KeyRow[]): KeyRow[] {
  return [...Map.groupBy(rows, (row) => row.path)].map(([path, same]) => {
    const both = (key: 'type' | 'fallback' | 'meaning', glue: string) =>
      [...new Set(same.map((row) => row[key]).filter((text) => text !== ''))].join(glue)
    return { path, type: both('type', ' or '), fallback: both('fallback', ' or '), meaning: both('meaning', ' Or: ') }
  })
}

function fallbackText(field: JsonObject, required: boolean): string {
  const fallback = field['default']
  if (fallback !== undefined) return `\`${JSON.stringify(fallback)}\``
  return required ? 'required' : 'none'
}

function typeText(field: JsonObject, root: JsonObject): string {
  if (field['const'] !== undefined) return `\`${JSON.stringify(field['const'])}\``
  const choices = field['enum']
  if (Array.isArray(choices)) return choices.map((choice: JsonValue) => `\`${String(choice)}\``).join(', ')
  const alternatives = branches(field, root).filter((branch) => branch !== field)
  if (alternatives.length > 0) return [...new Set(alternatives.map((each) => typeText(each, root)))].join(' or ')
  if (field['type'] === 'array') return `list of ${typeText(asObject(field['items']) ?? {}, root)}`
  if (field['type'] === 'object') return objectText(field, root)
  if (field['type'] === 'string') return 'text'
  return `${typeNames[String(field['type'])] ?? 'any'}${rangeText(field)}`
}

const typeNames: Readonly<Record<string, string>> = {
  integer: 'whole number',
  number: 'number',
  boolean: 'true or false',
}

function objectText(field: JsonObject, root: JsonObject): string {
  const entry = asObject(field['additionalProperties'])
  return entry === undefined || field['properties'] !== undefined ? 'object' : `map of ${typeText(entry, root)}`
}

/** Bounds that somebody set; the bounds of a safe integer say nothing. */
function rangeText(field: JsonObject): string {
  const bound = (key: string): number | undefined => {
    const value = field[key]
    return typeof value === 'number' && Math.abs(value) !== Number.MAX_SAFE_INTEGER ? value : undefined
  }
  const min = bound('minimum')
  const max = bound('maximum')
  const above = bound('exclusiveMinimum')
  const below = bound('exclusiveMaximum')
  if (min !== undefined && max !== undefined) return ` ${min} to ${max}`
  const parts = [
    min === undefined ? '' : `${min} or more`,
    above === undefined ? '' : `above ${above}`,
    max === undefined ? '' : `up to ${max}`,
    below === undefined ? '' : `below ${below}`,
  ].filter((part) => part !== '')
  return parts.length === 0 ? '' : ` ${parts.join(', ')}`
}

function inCell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ')
}
