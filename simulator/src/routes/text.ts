/** Upper case for comparing names while ignoring case, one character at a time as .NET's ordinal comparison does. */
export function foldCase(text: string): string {
  const upper = text.toUpperCase()
  return upper.length === text.length ? upper : mapCharacters(text, (char) => char.toUpperCase())
}

/** `ToUpperInvariant`: one character for one, and the dotless i stays as it is. */
export function toUpperInvariant(text: string): string {
  return mapCharacters(text, (char) => (char === 'ı' ? char : char.toUpperCase()))
}

/** `ToLowerInvariant`: one character for one. */
export function toLowerInvariant(text: string): string {
  return mapCharacters(text, (char) => char.toLowerCase())
}

function mapCharacters(text: string, map: (char: string) => string): string {
  let mapped = ''
  for (const char of text) {
    const other = map(char)
    mapped += other.length === char.length ? other : char
  }
  return mapped
}
