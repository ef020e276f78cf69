import { isJsonObject, type JsonObject, type JsonValue } from './json.ts'

/**
 * A result for people: a list of flat objects as a table, a flat object as lines, anything else as JSON. What a device
 * or a message put into a text cannot steer the terminal: control characters are shown, not sent.
 */
export function renderResult(result: JsonValue): string {
  if (Array.isArray(result) && result.length > 0 && result.every(isFlat)) return renderTable(result)
  if (isJsonObject(result) && isFlat(result)) return renderFields(result)
  return typeof result === 'object' && result !== null ? jsonText(result, 2) : cellText(result)
}

/** Columns in the order in which they first come; numbers to the right. */
export function renderTable(rows: readonly JsonObject[]): string {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))]
  const cells = rows.map((row) => columns.map((column) => cellText(row[column])))
  const widths = columns.map((column, at) =>
    Math.max(cellText(column).length, ...cells.map((row) => row[at]?.length ?? 0)),
  )
  const isNumeric = columns.map((column) => rows.every((row) => ['number', 'undefined'].includes(typeof row[column])))
  const line = (texts: readonly string[]): string =>
    texts
      .map((text, at) => (isNumeric[at] === true ? text.padStart(widths[at] ?? 0) : text.padEnd(widths[at] ?? 0)))
      .join('  ')
      .trimEnd()
  return [line(columns.map(cellText)), ...cells.map(line)].join('\n')
}

function renderFields(fields: JsonObject): string {
  const names = Object.keys(fields).map(cellText)
  const width = Math.max(0, ...names.map((name) => name.length))
  return Object.entries(fields)
    .map(([name, value]) => `${cellText(name).padEnd(width)}  ${cellText(value)}`.trimEnd())
    .join('\n')
}

function isFlat(value: JsonValue): value is JsonObject {
  return isJsonObject(value) && Object.values(value).every((each) => typeof each !== 'object' || each === null)
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const control = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g
/** Those that JSON lets stand in a text. */
const controlInJson = /[\u007f-\u009f\u2028\u2029]/g

function escapeCharacter(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}

/** JSON of `value`, with every control character escaped. */
export function jsonText(value: JsonValue, indent = 0): string {
  return JSON.stringify(value, null, indent).replace(controlInJson, escapeCharacter)
}

/** A value in one line, control characters as `\u001b`. */
export function cellText(value: JsonValue | undefined): string {
  if (value === undefined || value === null) return ''
  const text = typeof value === 'object' ? JSON.stringify(value) : String(value)
  return text.replace(control, escapeCharacter)
}
