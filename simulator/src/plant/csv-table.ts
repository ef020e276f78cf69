/** A CSV recording as a plant can play it: a time column and columns of numbers. */
import { readFile } from 'node:fs/promises'
import { errorText, WeirError } from '@weir/lib/errors'
import { idPattern } from '@weir/lib/limits'
import { parse } from 'csv-parse/sync'

export interface CsvColumn {
  /** Signal id made from the name, matching the pattern for ids, different from all others. */
  readonly signal: string
  /** The name as the file has it. */
  readonly name: string
  /** One value a row; NaN where the file has none. */
  readonly values: Float64Array
}

export interface CsvTable {
  /** Milliseconds from the first row, rising. */
  readonly offsetsMs: Float64Array
  readonly columns: readonly CsvColumn[]
  /** Columns without any number, which cannot be served. */
  readonly left: readonly string[]
  /** Rows that the file has behind a later one; they are played in the order of their times. */
  readonly outOfOrder: number
}

/** Names that a time column goes by; else the first column is taken. */
const timeNames = /^(time|timestamp|date|datetime|date_time|ts|t)$/i

function refuse(file: string, problem: string): WeirError {
  return new WeirError('CONFIG_REFUSED', `--plant ${file}: ${problem}`)
}

/** `name` as an id: other characters become `_`; made different from those in `taken`, which it joins. */
export function signalId(name: string, taken: Set<string>): string {
  const plain = name
    .normalize('NFKD')
    .replace(/[^A-Za-z0-9_-]+/g, '_')
    .replace(/^[^A-Za-z0-9]+|_+$/g, '')
    .slice(0, 56)
  const base = idPattern.test(plain) ? plain : 'signal'
  let id = base
  for (let number = 2; taken.has(id); number++) id = `${base}_${number}`
  taken.add(id)
  return id
}

/**
 * A time of the file in milliseconds: ISO 8601 or what Date takes (without a zone: UTC), Unix seconds or
 * milliseconds, or a plain count of seconds. NaN where it is none.
 */
export function parseTimeMs(text: string): number {
  const trimmed = text.trim()
  if (trimmed === '') return Number.NaN
  const number = Number(trimmed)
  if (!Number.isNaN(number)) return Math.abs(number) >= 1e11 ? number : number * 1000
  const iso = /^\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d+)?)?$/.test(trimmed) ? `${trimmed.replace(' ', 'T')}Z` : trimmed
  return Date.parse(iso)
}

/** A number, with a decimal point or comma, or a truth value as 1 or 0. NaN where it is neither. */
function parseValue(text: string): number {
  const trimmed = text.trim().replace(/^(-?\d+),(\d+)$/, '$1.$2')
  if (trimmed === '') return Number.NaN
  if (/^(true|false)$/i.test(trimmed)) return trimmed.toLowerCase() === 'true' ? 1 : 0
  return Number(trimmed)
}

/** Makes a table of the file's rows, the header first. Throws CONFIG_REFUSED saying which row is wrong and how. */
export function csvTable(file: string, rows: readonly (readonly string[])[]): CsvTable {
  const [header = [], ...unsorted] = rows
  if (unsorted.length < 2) throw refuse(file, `${unsorted.length} rows; at least two are needed below the header`)
  const named = header.findIndex((name) => timeNames.test(name.trim()))
  const timeColumn = Math.max(0, named)
  const timed = unsorted.map((row, index) => {
    const timeMs = parseTimeMs(row[timeColumn] ?? '')
    if (Number.isNaN(timeMs)) {
      const shown = `row ${index + 2}: ${header[timeColumn]} ${JSON.stringify(row[timeColumn])}`
      throw refuse(file, `${shown} is no time; use ISO 8601 or Unix seconds`)
    }
    return { row, timeMs }
  })
  const outOfOrder = timed.filter(({ timeMs }, index) => timeMs < (timed[index - 1]?.timeMs ?? timeMs)).length
  const sorted = timed.toSorted((a, b) => a.timeMs - b.timeMs)
  const body = sorted.map(({ row }) => row)
  const timesMs = sorted.map(({ timeMs }) => timeMs)
  const firstMs = timesMs[0] ?? 0
  if (timesMs.at(-1) === firstMs) throw refuse(file, `all rows have the time ${body[0]?.[timeColumn]}`)
  const taken = new Set<string>()
  const columns: CsvColumn[] = []
  const left: string[] = []
  header.forEach((name, at) => {
    if (at === timeColumn) return
    const values = Float64Array.from(body, (row) => parseValue(row[at] ?? ''))
    if (values.every(Number.isNaN)) left.push(name)
    else columns.push({ signal: signalId(name, taken), name, values })
  })
  if (columns.length === 0) throw refuse(file, 'no column holds numbers')
  return { offsetsMs: Float64Array.from(timesMs, (timeMs) => timeMs - firstMs), columns, left, outOfOrder }
}

/** The separator of a CSV text: the one that its header has most of. */
function delimiterOf(text: string): string {
  const header = text.slice(0, text.indexOf('\n') + 1 || undefined)
  const count = (delimiter: string): number => header.split(delimiter).length
  return [',', ';', '\t'].reduce((best, next) => (count(next) > count(best) ? next : best))
}

/** Reads a CSV file; commas, semicolons or tabs separate. Throws CONFIG_REFUSED where it cannot be read or played. */
export async function readCsvTable(file: string): Promise<CsvTable> {
  let rows: string[][]
  try {
    const text = await readFile(file, 'utf8')
    rows = parse(text, { bom: true, delimiter: delimiterOf(text), skip_empty_lines: true })
  } catch (error) {
    throw refuse(file, `${errorText(error)}; give a CSV file with a time column and columns of numbers`)
  }
  return csvTable(file, rows)
}

/** Typical time between rows: the median, in milliseconds. */
export function intervalMs(table: CsvTable): number {
  const gaps = Array.from(table.offsetsMs, (offsetMs, index) => offsetMs - (table.offsetsMs[index - 1] ?? offsetMs))
  return gaps.slice(1).sort((a, b) => a - b)[Math.floor((gaps.length - 1) / 2)] ?? 0
}

/** Row that is due `atMs` into a playing that goes round for ever. */
export function rowAt(table: CsvTable, atMs: number): number {
  const { offsetsMs } = table
  const lengthMs = (offsetsMs.at(-1) ?? 0) + Math.max(1, intervalMs(table))
  const wantedMs = ((atMs % lengthMs) + lengthMs) % lengthMs
  let low = 0
  let high = offsetsMs.length - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if ((offsetsMs[middle] ?? 0) <= wantedMs) low = middle
    else high = middle - 1
  }
  return low
}
