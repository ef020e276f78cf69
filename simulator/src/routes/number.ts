/**
 * Number text as .NET's `double.TryParse` reads it with every style allowed and the invariant culture: white space
 * around, a sign before or after, parentheses for negative, `¤`, commas between digits, an exponent, `Infinity`.
 * NaN when it is none: NaN is how the route language holds an undefined number.
 */
export function parseNumber(text: string): number {
  let index = 0
  let signed = false
  let negative = false
  let openParenthesis = false
  let currency = false
  for (; index < text.length; index++) {
    const char = text[index]
    if (isWhite(char) && (!signed || currency)) continue
    if (!signed && (char === '+' || char === '-' || char === '(')) {
      signed = true
      negative = char !== '+'
      openParenthesis = char === '('
    } else if (!currency && char === '¤') currency = true
    else break
  }
  const digits = /^(?:[0-9][0-9,]*(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?/.exec(text.slice(index))?.[0]
  if (digits === undefined) return namedNumber(text)
  for (index += digits.length; index < text.length; index++) {
    const char = text[index]
    if (isWhite(char)) continue
    if (!signed && (char === '+' || char === '-')) {
      signed = true
      negative = char === '-'
    } else if (openParenthesis && char === ')') openParenthesis = false
    else if (!currency && char === '¤') currency = true
    else break
  }
  const rest = text.slice(index).replaceAll('\0', '')
  if (openParenthesis || rest !== '') return Number.NaN
  const magnitude = Number(digits.replaceAll(',', ''))
  return negative ? -magnitude : magnitude
}

/** Two's complement in 64 bits, as .NET reads hex into a `long`; NaN beyond that. */
export function parseHexLiteral(text: string): number {
  const value = BigInt(text)
  return value > 0xffff_ffff_ffff_ffffn ? Number.NaN : Number(BigInt.asIntN(64, value))
}

function namedNumber(text: string): number {
  const name = text.trim().toLowerCase()
  if (name === 'infinity' || name === '+infinity') return Number.POSITIVE_INFINITY
  return name === '-infinity' ? Number.NEGATIVE_INFINITY : Number.NaN
}

function isWhite(char: string | undefined): boolean {
  return char === ' ' || (char !== undefined && char >= '\t' && char <= '\r')
}
