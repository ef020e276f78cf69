import { missing, nullText } from './body.ts'
import { parseNumber } from './number.ts'
import { toLowerInvariant, toUpperInvariant } from './text.ts'
import { bool, type Kind, number, type Typed, text, toBody } from './typed.ts'

export interface RouteFunction {
  /** How to call it, for error messages. */
  readonly usage: string
  /** Undefined when the arguments are not of its count or types. */
  readonly bind: (args: readonly Typed[]) => Typed | undefined
}

/** All functions but `twin_change_includes`, by lower-case name. */
export const functions: ReadonlyMap<string, RouteFunction> = new Map([
  ['abs', ofNumber('abs(number)', Math.abs)],
  ['exp', ofNumber('exp(number)', Math.exp)],
  ['square', ofNumber('square(number)', (value) => value ** 2)],
  ['ceiling', ofNumber('ceiling(number)', Math.ceil)],
  ['floor', ofNumber('floor(number)', Math.floor)],
  ['sign', ofNumber('sign(number)', Math.sign)],
  ['sqrt', ofNumber('sqrt(number)', Math.sqrt)],
  ['power', { usage: 'power(base, exponent), both numbers', bind: bindPower }],
  ['as_number', { usage: 'as_number(text)', bind: bindAsNumber }],
  ['is_bool', { usage: 'is_bool(value)', bind: bindIsBool }],
  ['is_defined', { usage: 'is_defined(value)', bind: bindIsDefined }],
  ['is_null', { usage: 'is_null(value)', bind: bindIsNull }],
  ['is_number', { usage: 'is_number(value)', bind: (args) => bindTypeTest(args, 'number', Number.isFinite) }],
  ['is_string', { usage: 'is_string(value)', bind: (args) => bindTypeTest(args, 'text', isString) }],
  ['concat', { usage: 'concat(text, text, …) with two or more', bind: bindConcat }],
  ['length', { usage: 'length(text)', bind: bindLength }],
  ['lower', ofText('lower(text)', toLowerInvariant)],
  ['upper', ofText('upper(text)', toUpperInvariant)],
  ['substring', { usage: 'substring(text, start) or substring(text, start, length)', bind: bindSubstring }],
  ['index_of', { usage: 'index_of(text, fragment)', bind: bindIndexOf }],
  ['starts_with', ofTwoTexts('starts_with(text, fragment)', (value, fragment) => value.startsWith(fragment))],
  ['ends_with', ofTwoTexts('ends_with(text, fragment)', (value, fragment) => value.endsWith(fragment))],
  ['contains', ofTwoTexts('contains(text, fragment)', (value, fragment) => value.includes(fragment))],
])

/** Argument types match when equal; a `$body` value passes for any. */
function match(args: readonly Typed[], kinds: readonly Kind[]): boolean {
  return args.length === kinds.length && args.every((arg, index) => arg.kind === kinds[index] || arg.kind === 'body')
}

/** Arguments as body values, present as far as `match` counted them. */
function readers(args: readonly Typed[]): ReturnType<typeof toBody>[] {
  return args.map(toBody)
}

const none = () => undefined

function ofNumber(usage: string, compute: (value: number) => number): RouteFunction {
  return {
    usage,
    bind: (args) => {
      if (!match(args, ['number'])) return undefined
      const [read = none] = readers(args)
      return number((view) => {
        const value = read(view)
        return typeof value === 'number' ? compute(value) : Number.NaN
      })
    },
  }
}

function ofText(usage: string, compute: (value: string) => string): RouteFunction {
  return {
    usage,
    bind: (args) => {
      if (!match(args, ['text'])) return undefined
      const [read = none] = readers(args)
      return text((view) => {
        const value = read(view)
        return typeof value === 'string' ? compute(value) : undefined
      })
    },
  }
}

function ofTwoTexts(usage: string, test: (value: string, fragment: string) => boolean): RouteFunction {
  return {
    usage,
    bind: (args) => {
      if (!match(args, ['text', 'text'])) return undefined
      const [readValue = none, readFragment = none] = readers(args)
      return bool((view) => {
        const value = readValue(view)
        const fragment = readFragment(view)
        return typeof value === 'string' && typeof fragment === 'string' ? test(value, fragment) : undefined
      })
    },
  }
}

function bindPower(args: readonly Typed[]): Typed | undefined {
  if (!match(args, ['number', 'number'])) return undefined
  const [readBase = none, readExponent = none] = readers(args)
  return number((view) => {
    const base = readBase(view)
    const exponent = readExponent(view)
    return typeof base === 'number' && typeof exponent === 'number' ? power(base, exponent) : Number.NaN
  })
}

/** As C and .NET have it: one to any power is one, and minus one to an infinite power too. */
function power(base: number, exponent: number): number {
  if (base === 1 || (base === -1 && Math.abs(exponent) === Number.POSITIVE_INFINITY)) return 1
  return base ** exponent
}

function bindAsNumber(args: readonly Typed[]): Typed | undefined {
  const [arg] = args
  if (args.length === 1 && arg?.kind === 'number') return arg
  if (!match(args, ['text'])) return undefined
  const [read = none] = readers(args)
  return number((view) => {
    const value = read(view)
    if (typeof value === 'number') return value
    return typeof value === 'string' ? parseNumber(value) : Number.NaN
  })
}

/** Undefined for an undefined bool or body value, unlike the other tests. */
function bindIsBool(args: readonly Typed[]): Typed | undefined {
  const [arg] = args
  if (args.length !== 1 || arg === undefined) return undefined
  if (arg.kind !== 'bool' && arg.kind !== 'body') return bool(() => false)
  const { read } = arg
  return bool((view) => {
    const value = read(view)
    return value === undefined ? undefined : typeof value === 'boolean'
  })
}

function bindIsDefined(args: readonly Typed[]): Typed | undefined {
  const [arg] = args
  if (args.length !== 1 || arg === undefined) return undefined
  const read = toBody(arg)
  return bool((view) => read(view) !== undefined)
}

/** For `$body` edgeHub has it the wrong way round: true for whatever is there, a null included, false for a missing path. */
function bindIsNull(args: readonly Typed[]): Typed | undefined {
  const [arg] = args
  if (args.length !== 1 || arg === undefined) return undefined
  if (arg.kind === 'body') {
    const { read } = arg
    return bool((view) => {
      const value = read(view)
      return value === undefined ? undefined : value !== missing
    })
  }
  const read = toBody(arg)
  return bool((view) => {
    const value = read(view)
    return value === null || value === nullText
  })
}

function bindTypeTest(args: readonly Typed[], kind: Kind, test: (value: unknown) => boolean): Typed | undefined {
  const [arg] = args
  if (args.length !== 1 || arg === undefined) return undefined
  if (!match(args, [kind])) return bool(() => false)
  const read = toBody(arg)
  return bool((view) => test(read(view)))
}

function isString(value: unknown): boolean {
  return typeof value === 'string'
}

/** Text that is null adds nothing; anything that is not text makes the whole undefined. */
function bindConcat(args: readonly Typed[]): Typed | undefined {
  if (
    args.length < 2 ||
    !match(
      args,
      args.map(() => 'text'),
    )
  )
    return undefined
  const parts = readers(args)
  return text((view) => {
    let whole = ''
    for (const read of parts) {
      const value = read(view)
      if (value === nullText) continue
      if (typeof value !== 'string') return undefined
      whole += value
    }
    return whole
  })
}

function bindLength(args: readonly Typed[]): Typed | undefined {
  if (!match(args, ['text'])) return undefined
  const [read = none] = readers(args)
  return number((view) => {
    const value = read(view)
    return typeof value === 'string' ? value.length : Number.NaN
  })
}

function bindIndexOf(args: readonly Typed[]): Typed | undefined {
  if (!match(args, ['text', 'text'])) return undefined
  const [readValue = none, readFragment = none] = readers(args)
  return number((view) => {
    const value = readValue(view)
    const fragment = readFragment(view)
    return typeof value === 'string' && typeof fragment === 'string' ? value.indexOf(fragment) : Number.NaN
  })
}

/** Without a length the start may be the end of the text; with one it may not, even when the length is zero. */
function bindSubstring(args: readonly Typed[]): Typed | undefined {
  if (!match(args, ['text', 'number']) && !match(args, ['text', 'number', 'number'])) return undefined
  const [readValue = none, readStart = none, readLength] = readers(args)
  return text((view) => {
    const value = readValue(view)
    const start = readStart(view)
    if (typeof value !== 'string' || typeof start !== 'number' || !(start >= 0)) return undefined
    if (readLength === undefined) return start <= value.length ? value.slice(Math.trunc(start)) : undefined
    const length = readLength(view)
    if (typeof length !== 'number' || start >= value.length || !(length >= 0 && length <= value.length - start)) {
      return undefined
    }
    return value.slice(Math.trunc(start), Math.trunc(start) + Math.trunc(length))
  })
}
