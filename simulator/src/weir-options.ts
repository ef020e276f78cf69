import { UsageError } from '@weir/lib/command-arguments'
import { nearest } from '@weir/lib/nearest'

/** Options by name, without dashes: `flag` stands alone, `value` takes the next word. */
export type OptionKinds = Readonly<Record<string, 'flag' | 'value'>>

export interface ParsedWords {
  readonly positionals: readonly string[]
  /** `true` for a flag. */
  readonly options: ReadonlyMap<string, string>
}

/** @throws UsageError naming the option, and the nearest known one. */
export function parseWords(words: readonly string[], kinds: OptionKinds): ParsedWords {
  const positionals: string[] = []
  const options = new Map<string, string>()
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? ''
    if (!word.startsWith('--')) {
      positionals.push(word)
      continue
    }
    const equals = word.indexOf('=')
    const name = word.slice(2, equals === -1 ? undefined : equals)
    const kind = Object.hasOwn(kinds, name) ? kinds[name] : undefined
    if (kind === undefined) {
      const meant = nearest(name, Object.keys(kinds))
      throw new UsageError(`--${name}: unknown option${meant === undefined ? '' : ` (did you mean --${meant}?)`}`)
    }
    if (kind === 'flag' && equals !== -1) throw new UsageError(`--${name}: takes no value`)
    const value = kind === 'flag' ? 'true' : equals === -1 ? words[++at] : word.slice(equals + 1)
    if (value === undefined || (equals === -1 && value.startsWith('--')))
      throw new UsageError(`--${name}: expects a value`)
    options.set(name, value)
  }
  return { positionals, options }
}
