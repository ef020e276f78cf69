import { isDeepStrictEqual } from 'node:util'
import { asObject, isJsonObject, type JsonObject, type JsonValue } from './json.ts'
import { nearest } from './nearest.ts'

/** Words of a command line that are not as expected; the command line ends with exit code 2. */
export class UsageError extends Error {}

interface Described {
  readonly name: string
  readonly arguments: JsonObject
}

/**
 * Arguments of a command from the words after its name: `--key value`, `--key=value`, `--flag`, `--no-flag`, and one
 * JSON object that holds any of them. A key may be written with dashes (`--poll-interval-ms`), a list by giving its key
 * again. Values become what the JSON Schema of the command says.
 * @throws UsageError with the option, its value and what is expected.
 */
export function parseCommandArguments(command: Described, words: readonly string[]): JsonObject {
  const properties = asObject(command.arguments['properties']) ?? {}
  const values = new Map<string, JsonValue>()
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? ''
    if (!word.startsWith('--')) {
      for (const [key, value] of Object.entries(parseObject(command.name, word)))
        values.set(propertyName(command, properties, key), value)
      continue
    }
    const { key, text } = splitOption(word)
    const negated = key.startsWith('no-') && findProperty(properties, key) === undefined
    const name = propertyName(command, properties, negated ? key.slice(3) : key)
    const schema = resolveReference(command.arguments, properties[name])
    const types = typesOf(command.arguments, schema)
    if (negated || (text === undefined && isFlag(types, words[at + 1]))) {
      if (!types.has('boolean')) throw new UsageError(`${word}: --${name} expects ${expected(types)}`)
      values.set(name, !negated)
      continue
    }
    const value = text ?? words[++at]
    if (value === undefined || (text === undefined && value.startsWith('--'))) {
      throw new UsageError(`--${name}: expects ${expected(types)}`)
    }
    values.set(name, optionValue(command, name, schema, value, values.get(name)))
  }
  for (const name of requiredNames(command)) {
    if (!values.has(name)) throw new UsageError(`${command.name}: --${name} is missing`)
  }
  return Object.fromEntries(values)
}

/** What a value of an argument looks like: `NUMBER`, `TEXT`, `a|b`. */
export function argumentKind(schema: JsonValue): string {
  const values = asObject(schema)?.['enum']
  if (Array.isArray(values)) return values.map(String).join('|')
  const types = typesOf({}, schema)
  if (types.has('number') || types.has('integer')) return 'NUMBER'
  if (types.has('boolean')) return '[true|false]'
  return types.has('string') ? 'TEXT' : 'JSON'
}

function splitOption(word: string): { key: string; text: string | undefined } {
  const at = word.indexOf('=')
  return at === -1 ? { key: word.slice(2), text: undefined } : { key: word.slice(2, at), text: word.slice(at + 1) }
}

/** Whether an option stands alone. Where it may be more than true or false, a word after it is its value. */
function isFlag(types: ReadonlySet<string>, next: string | undefined): boolean {
  if (!types.has('boolean')) return false
  if (next === undefined || next.startsWith('--')) return true
  return types.size === 1 && next !== 'true' && next !== 'false'
}

function parseObject(commandName: string, word: string): JsonObject {
  try {
    const value: unknown = JSON.parse(word)
    if (isJsonObject(value)) return value
  } catch {
    // Told below, together with JSON that is no object.
  }
  throw new UsageError(`${commandName}: ${word}: expected --key value, or one JSON object`)
}

function findProperty(properties: JsonObject, key: string): string | undefined {
  if (Object.hasOwn(properties, key)) return key
  const camel = key.replace(/-([a-z0-9])/g, (_dash, letter: string) => letter.toUpperCase())
  return Object.hasOwn(properties, camel) ? camel : undefined
}

function propertyName(command: Described, properties: JsonObject, key: string): string {
  const found = findProperty(properties, key)
  if (found !== undefined) return found
  const names = Object.keys(properties)
  const meant = nearest(key, names)
  const hint = meant === undefined ? (names.length === 0 ? '; it takes none' : '') : ` (did you mean --${meant}?)`
  throw new UsageError(`${command.name}: --${key}: unknown option${hint}`)
}

function requiredNames(command: Described): string[] {
  const required = command.arguments['required']
  return Array.isArray(required) ? required.filter((name) => typeof name === 'string') : []
}

/** A list takes its values one by one, or as JSON. */
function optionValue(
  command: Described,
  name: string,
  schema: JsonValue,
  text: string,
  before: JsonValue | undefined,
): JsonValue {
  const items = asObject(schema)?.['items']
  if (!typesOf(command.arguments, schema).has('array') || text.startsWith('[')) {
    return convert(command, name, schema, text)
  }
  const item = convert(command, name, resolveReference(command.arguments, items), text)
  return [...(Array.isArray(before) ? before : []), item]
}

function convert(command: Described, name: string, schema: JsonValue, text: string): JsonValue {
  const allowed = asObject(schema)?.['enum']
  const types = typesOf(command.arguments, schema)
  const value = candidates(text).find((candidate) => fits(candidate, types))
  if (value === undefined) throw new UsageError(`--${name} ${text}: expected ${expected(types)}`)
  if (Array.isArray(allowed) && !allowed.some((each) => isDeepStrictEqual(each, value))) {
    const meant = nearest(text, allowed.map(String))
    const hint = meant === undefined ? '' : ` (did you mean ${meant}?)`
    throw new UsageError(`--${name} ${text}: expected one of ${allowed.map(String).join(', ')}${hint}`)
  }
  return value
}

/** What a word may stand for: the JSON that it is, but for a text in quotes, or the text. */
function candidates(text: string): JsonValue[] {
  try {
    const value: JsonValue = JSON.parse(text)
    return typeof value === 'string' ? [text] : [value, text]
  } catch {
    return [text]
  }
}

function fits(value: JsonValue, types: ReadonlySet<string>): boolean {
  if (types.size === 0) return true
  if (value === null) return types.has('null')
  if (Array.isArray(value)) return types.has('array')
  if (typeof value === 'number') return types.has('number') || (types.has('integer') && Number.isInteger(value))
  return types.has(typeof value)
}

const typeNames: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  integer: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a JSON object',
  null: 'null',
}

function expected(types: ReadonlySet<string>): string {
  return types.size === 0 ? 'a value' : [...types].map((type) => typeNames[type] ?? type).join(' or ')
}

/** JSON types that a schema takes; empty: any. */
function typesOf(root: JsonObject, schema: JsonValue | undefined): Set<string> {
  const { type, anyOf, oneOf, enum: values, const: only } = asObject(resolveReference(root, schema)) ?? {}
  const named = typeof type === 'string' ? [type] : Array.isArray(type) ? type.map(String) : []
  const alternatives = [anyOf, oneOf].flatMap((list) => (Array.isArray(list) ? list : []))
  const literals = [...(Array.isArray(values) ? values : []), ...(only === undefined ? [] : [only])]
  if (named.length > 0) return new Set(named)
  return new Set([
    ...alternatives.flatMap((alternative) => [...typesOf(root, alternative)]),
    ...literals.map((literal) => (literal === null ? 'null' : typeof literal)),
  ])
}

/** Follows `{"$ref": "#/$defs/name"}`. */
function resolveReference(root: JsonObject, schema: JsonValue | undefined): JsonValue {
  const reference = asObject(schema)?.['$ref']
  if (typeof reference !== 'string') return schema ?? {}
  const name = reference.replace(/^#\/\$defs\//, '')
  return asObject(root['$defs'])?.[name] ?? {}
}
