import { isDateText } from './date-text.ts'
import { type PathStep, selectValues } from './json-path.ts'
import { foldCase } from './text.ts'

/** What a body path may hold that is no plain JSON value. */
export const missing: unique symbol = Symbol('missing')
export const nullText: unique symbol = Symbol('null text')
export const structure: unique symbol = Symbol('structure')

/**
 * A value of the type that edgeHub gives `$body` paths, known only when a message is there.
 *
 * `undefined` is the language's undefined. `missing` equals null in comparisons, and only `is_null` and
 * `twin_change_includes` tell them apart. `nullText` is text whose value is null, from a property. A number may be NaN
 * and is defined all the same.
 */
export type BodyValue = undefined | boolean | number | string | null | typeof missing | typeof nullText

export type JsonObject = { readonly [name: string]: unknown }

/** The body of a message as far as `$body` can read it; undefined when it cannot at all, which makes paths undefined. */
export function parseBody(
  body: Buffer,
  contentType: string | null | undefined,
  contentEncoding: string | null | undefined,
): JsonObject | undefined {
  const decode = decoders.get(foldCase(contentEncoding ?? ''))
  if (decode === undefined || foldCase(contentType ?? '') !== 'APPLICATION/JSON') return undefined
  const root = parseJson(decode(body))
  return typeof root === 'object' && root !== null && !Array.isArray(root) ? (root as JsonObject) : undefined
}

const decoders: ReadonlyMap<string, (body: Buffer) => string> = new Map([
  ['UTF-8', (body) => body.toString('utf8')],
  ['UTF-16', (body) => body.toString('utf16le')],
  ['UTF-32', decodeUtf32],
])

function decodeUtf32(body: Buffer): string {
  const units: string[] = []
  for (let offset = 0; offset + 4 <= body.length; offset += 4) {
    const codePoint = body.readUInt32LE(offset)
    const valid = codePoint <= 0x10_ffff && (codePoint < 0xd800 || codePoint > 0xdfff)
    units.push(String.fromCodePoint(valid ? codePoint : 0xfffd))
  }
  return units.join('')
}

/** edgeHub's JSON reader takes `NaN` and `Infinity`, which Python modules do send; `JSON.parse` does not. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return parseJsonWithNonFinite(text)
  }
}

const nonFiniteMark = '\u0000number:'

function parseJsonWithNonFinite(text: string): unknown {
  const marked = text.replace(/"(?:[^"\\]|\\.)*"|-?Infinity\b|NaN\b/g, (token) =>
    token.startsWith('"') ? token : JSON.stringify(nonFiniteMark + token),
  )
  try {
    return JSON.parse(marked, (_, value) =>
      typeof value === 'string' && value.startsWith(nonFiniteMark) ? Number(value.slice(nonFiniteMark.length)) : value,
    )
  } catch {
    return undefined
  }
}

/**
 * What a path finds: one value as it is, nothing as `missing`, and as `structure` an object, an array, several values,
 * or text that looks like a date (edgeHub's JSON reader turns it into one).
 */
export function selectFromBody(root: JsonObject, steps: readonly PathStep[]): BodyValue | typeof structure {
  const values = selectValues(root, steps)
  if (values.length === 0) return missing
  const [value] = values
  if (values.length > 1 || (typeof value === 'object' && value !== null)) return structure
  if (typeof value === 'string') return isDateText(value) ? structure : value
  return value as number | boolean | null
}

/** Of two defined values: negative, zero or positive. Types rank bool, number, text, null; text compares by code unit. */
export function compareBodyValues(left: BodyValue, right: BodyValue): number {
  const rank = typeRank(left)
  const difference = rank - typeRank(right)
  if (difference !== 0 || rank === typeRank(null)) return difference
  return compareScalars(left === nullText ? '' : left, right === nullText ? '' : right) || nullTextFirst(left, right)
}

function typeRank(value: BodyValue): number {
  switch (typeof value) {
    case 'boolean':
      return 1
    case 'number':
      return 2
    case 'string':
      return 3
    default:
      return value === nullText ? 3 : 4
  }
}

function compareScalars(left: unknown, right: unknown): number {
  const [a, b] = [left as string | number | boolean, right as string | number | boolean]
  if (a < b) return -1
  if (a > b) return 1
  // NaN equals itself and comes before every other number, as in .NET.
  return Number(Number.isNaN(b)) - Number(Number.isNaN(a))
}

function nullTextFirst(left: BodyValue, right: BodyValue): number {
  return Number(right === nullText) - Number(left === nullText)
}
