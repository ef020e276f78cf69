import { type BodyValue, nullText } from './body.ts'
import type { MessageView } from './message.ts'

export type Reader<T> = (view: MessageView) => T

/**
 * An expression after type checking. Types are known when a route is compiled, but for `body`, the type of `$body`
 * paths. Text, bools and numbers may be undefined for a message (numbers as NaN), and text may be null.
 */
export type Typed =
  | { readonly kind: 'text'; readonly read: Reader<string | null | undefined> }
  | { readonly kind: 'number'; readonly read: Reader<number> }
  | { readonly kind: 'bool'; readonly read: Reader<boolean | undefined> }
  | { readonly kind: 'body'; readonly read: Reader<BodyValue> }
  | { readonly kind: 'null' }
  | { readonly kind: 'undefined' }

export type Kind = Typed['kind']

export const kindNames: Readonly<Record<Kind, string>> = {
  text: 'text',
  number: 'a number',
  bool: 'a bool',
  body: 'a $body value',
  null: 'null',
  undefined: 'undefined',
}

export function bool(read: Reader<boolean | undefined>): Typed {
  return { kind: 'bool', read }
}

export function number(read: Reader<number>): Typed {
  return { kind: 'number', read }
}

export function text(read: Reader<string | null | undefined>): Typed {
  return { kind: 'text', read }
}

/** Any expression as the type of `$body` paths. */
export function toBody(typed: Typed): Reader<BodyValue> {
  switch (typed.kind) {
    case 'body':
    case 'bool':
      return typed.read
    case 'text': {
      const { read } = typed
      return (view) => {
        const value = read(view)
        return value === null ? nullText : value
      }
    }
    case 'number': {
      const { read } = typed
      return (view) => {
        const value = read(view)
        return Number.isNaN(value) ? undefined : value
      }
    }
    case 'null':
      return () => null
    case 'undefined':
      return () => undefined
  }
}

/** What a whole condition gives: only a bool, or a bool in the body, can be true. */
export function toResult(typed: Typed): Reader<boolean | undefined> {
  switch (typed.kind) {
    case 'bool':
      return typed.read
    case 'body': {
      const { read } = typed
      return (view) => {
        const value = read(view)
        return typeof value === 'boolean' ? value : undefined
      }
    }
    case 'null':
      return () => false
    default:
      return () => undefined
  }
}
