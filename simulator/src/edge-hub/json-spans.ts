/** A part of a buffer: first byte, and one past the last. */
export interface Span {
  readonly start: number
  readonly end: number
}

const quote = 0x22
const backslash = 0x5c
const comma = 0x2c
const colon = 0x3a

function opens(byte: number): boolean {
  return byte === 0x7b || byte === 0x5b
}

function closes(byte: number): boolean {
  return byte === 0x7d || byte === 0x5d
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09
}

/** Index one past the closing quote of the string that opens at `start`. */
function stringEnd(json: Buffer, start: number): number {
  let at = json.indexOf(quote, start + 1)
  while (at !== -1) {
    let escapes = 0
    while (json[at - 1 - escapes] === backslash) escapes++
    if (escapes % 2 === 0) return at + 1
    at = json.indexOf(quote, at + 1)
  }
  return json.length
}

function skipSpace(json: Buffer, start: number): number {
  let at = start
  while (isSpace(json[at] ?? 0)) at++
  return at
}

/** Index one past the value that begins at `start`. */
function valueEnd(json: Buffer, start: number): number {
  let depth = 0
  for (let at = start; at < json.length; ) {
    const byte = json[at] ?? 0
    if (byte === quote) {
      at = stringEnd(json, at)
      if (depth === 0) return at
      continue
    }
    if (opens(byte)) depth++
    else if (closes(byte)) {
      depth--
      if (depth === 0) return at + 1
      if (depth < 0) return at
    } else if (depth === 0 && (byte === comma || isSpace(byte))) {
      return at
    }
    at++
  }
  return json.length
}

/**
 * Where the elements of the array `name` of a JSON object stand in its bytes, without parsing them. `json` must be valid.
 * Of members that have the name more than once, the last counts, as in JSON.parse. Empty where there is no such array,
 * or its name is written with escapes.
 */
export function elementSpans(json: Buffer, name: string): Span[] {
  const quoted = Buffer.from(JSON.stringify(name))
  let spans: Span[] = []
  let at = skipSpace(json, 0)
  if (json[at] !== 0x7b) return spans
  at = skipSpace(json, at + 1)
  while (json[at] === quote) {
    const nameEnd = stringEnd(json, at)
    const found = json.compare(quoted, 0, quoted.length, at, nameEnd) === 0
    at = skipSpace(json, nameEnd)
    if (json[at] !== colon) return spans
    at = skipSpace(json, at + 1)
    if (found) spans = json[at] === 0x5b ? elementsOf(json, at) : []
    at = skipSpace(json, valueEnd(json, at))
    if (json[at] !== comma) return spans
    at = skipSpace(json, at + 1)
  }
  return spans
}

function elementsOf(json: Buffer, start: number): Span[] {
  const spans: Span[] = []
  let at = skipSpace(json, start + 1)
  while (at < json.length && json[at] !== 0x5d) {
    const end = valueEnd(json, at)
    spans.push({ start: at, end })
    at = skipSpace(json, end)
    if (json[at] !== comma) break
    at = skipSpace(json, at + 1)
  }
  return spans
}
