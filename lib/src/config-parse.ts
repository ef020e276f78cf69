import { z } from 'zod'
import type { ConfigDeclaration } from './config.ts'
import { errorText } from './errors.ts'
import { asObject, isJsonObject, type JsonObject } from './json.ts'
import { nearest } from './nearest.ts'

export type ParsedConfig<Config> = { readonly config: Config } | { readonly problems: readonly string[] }

const problemsMax = 100
const valueCharsMax = 60

/**
 * Checks `raw` against a declaration: the configuration with its defaults, or every problem as `path: value expectation`.
 * Keys that begin with `$` are the twin's own and are passed over at the top. Never throws.
 */
export function parseConfig<Config>(declaration: ConfigDeclaration<Config>, raw: unknown): ParsedConfig<Config> {
  try {
    const input = withoutTwinKeys(raw)
    const forbidden = forbiddenKeys(input)
    if (forbidden.length > 0) return { problems: forbidden }
    const result = declaration.schema.safeParse(input, { reportInput: true })
    if (!result.success) {
      const knownKeys = keysOf(declaration)
      return { problems: bounded(result.error.issues.flatMap((issue) => wording(issue, [], input, knownKeys))) }
    }
    const problems = declaration.check?.(result.data) ?? []
    return problems.length > 0 ? { problems: bounded(problems) } : { config: result.data }
  } catch (error) {
    return { problems: [`configuration: cannot be checked: ${errorText(error)}`] }
  }
}

/** JSON Schema of what a declaration takes. */
export function configJsonSchema(declaration: Pick<ConfigDeclaration<unknown>, 'schema'>): JsonObject {
  return z.toJSONSchema(declaration.schema, { io: 'input', unrepresentable: 'any' }) as unknown as JsonObject
}

function bounded(problems: string[]): string[] {
  return problems.length <= problemsMax
    ? problems
    : [...problems.slice(0, problemsMax), `${problems.length - problemsMax} further problems`]
}

function withoutTwinKeys(raw: unknown): unknown {
  if (!isJsonObject(raw)) return raw
  return Object.fromEntries(Object.entries(raw).filter(([key]) => !key.startsWith('$')))
}

/** `__proto__` is no name: parsers of objects pass it over silently, and a configuration must not lose a key unseen. */
function forbiddenKeys(value: unknown, path: readonly string[] = []): string[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, item]) => {
    const at = [...path, key]
    return key === '__proto__' ? [`${at.join('/')}: unknown key`] : forbiddenKeys(item, at)
  })
}

type Path = readonly PropertyKey[]

/** Keys that the schema knows at a path. */
function keysOf(declaration: Pick<ConfigDeclaration<unknown>, 'schema'>): (path: Path) => string[] {
  const root = configJsonSchema(declaration)
  return (path) => {
    let schemas = branches(root, root)
    for (const key of path) schemas = schemas.flatMap((schema) => below(schema, String(key), root))
    return [...new Set(schemas.flatMap((schema) => Object.keys(asObject(schema['properties']) ?? {})))]
  }
}

function below(schema: JsonObject, key: string, root: JsonObject): JsonObject[] {
  const properties = asObject(schema['properties'])
  const own = properties !== undefined && Object.hasOwn(properties, key) ? asObject(properties[key]) : undefined
  const next = own ?? asObject(schema['additionalProperties']) ?? asObject(schema['items'])
  return next === undefined ? [] : branches(next, root)
}

/** A schema, or the alternatives and references that it stands for. */
export function branches(schema: JsonObject, root: JsonObject): JsonObject[] {
  const reference = schema['$ref']
  if (typeof reference === 'string' && reference.startsWith('#/')) {
    let target: JsonObject | undefined = root
    for (const key of reference.slice(2).split('/')) target = asObject(target?.[key])
    return target === undefined ? [] : branches(target, root)
  }
  const alternatives = [schema['anyOf'], schema['oneOf'], schema['allOf']]
    .flatMap((list) => (Array.isArray(list) ? list : []))
    .flatMap((item: unknown) => {
      const alternative = asObject(item)
      return alternative === undefined ? [] : branches(alternative, root)
    })
  return alternatives.length > 0 ? [...alternatives, schema] : [schema]
}

type Issue = z.core.$ZodIssue

/** One issue in our words: path, offending value, expectation. */
function wording(issue: Issue, parent: Path, input: unknown, knownKeys: (path: Path) => string[]): string[] {
  const path = [...parent, ...issue.path]
  const place = path.length === 0 ? 'configuration' : path.map(String).join('/')
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeys(path)
    return issue.keys.map((key) => {
      const meant = nearest(key, known)
      return `${[...path.map(String), key].join('/')}: unknown key${meant === undefined ? '' : ` (did you mean "${meant}"?)`}`
    })
  }
  if (issue.code === 'invalid_union' && issue.errors.length > 0) {
    const closest = [...issue.errors].sort((a, b) => unfitness(a) - unfitness(b))[0] ?? []
    return closest.flatMap((inner) => wording(inner, path, input, knownKeys))
  }
  if (issue.code === 'invalid_key') {
    return issue.issues.map((inner) => `${place}: name ${show(path.at(-1))} ${inner.message}`)
  }
  const value = valueAt(input, path)
  if (value === undefined && issue.code !== 'custom') return [`${place}: missing; ${expectation(issue, value)}`]
  return [`${place}: ${show(value)} ${expectation(issue, value)}`]
}

/** How far a value is from an alternative: one of another type or kind is the furthest. */
function unfitness(issues: readonly Issue[]): number {
  const first = issues.some((issue) => issue.path.length === 0 && issue.code === 'invalid_type')
  const kind = issues.some((issue) => issue.code === 'invalid_value')
  return issues.length + (first ? 1000 : 0) + (kind ? 100 : 0)
}

function valueAt(input: unknown, path: Path): unknown {
  let value = input
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
    value = (value as Record<PropertyKey, unknown>)[key]
  }
  return value
}

function show(value: unknown): string {
  const text =
    typeof value === 'object' && value !== null
      ? Array.isArray(value)
        ? 'a list'
        : 'an object'
      : JSON.stringify(value)
  if (text === undefined) return String(value)
  return text.length > valueCharsMax ? `${text.slice(0, valueCharsMax)}…` : text
}

const typeNames: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'an object',
  record: 'an object',
  array: 'a list',
}

function expectation(issue: Issue, value: unknown): string {
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${typeNames[issue.expected] ?? issue.expected}`
    case 'too_small':
      return sized(issue.origin, issue.inclusive === false ? 'more than' : 'at least', issue.minimum)
    case 'too_big':
      return sized(issue.origin, issue.inclusive === false ? 'less than' : 'at most', issue.maximum)
    case 'not_multiple_of':
      return `must be a multiple of ${issue.divisor}`
    case 'invalid_value':
      return oneOf(issue.values.map(String), value)
    case 'invalid_union':
      return 'options' in issue && Array.isArray(issue.options)
        ? oneOf(issue.options.map(String), value)
        : issue.message
    default:
      return issue.message.replace(/^Invalid string: /, '')
  }
}

function oneOf(choices: readonly string[], value: unknown): string {
  const meant = typeof value === 'string' ? nearest(value, choices) : undefined
  const list = choices.length === 1 ? `must be ${choices[0]}` : `must be one of ${choices.join(', ')}`
  return meant === undefined ? list : `${list} (did you mean "${meant}"?)`
}

function sized(origin: string, bound: string, limit: unknown): string {
  if (origin === 'string') return `must have ${bound} ${limit} characters`
  if (origin === 'array' || origin === 'set' || origin === 'map') return `must have ${bound} ${limit} entries`
  return `must be ${bound} ${limit}`
}
