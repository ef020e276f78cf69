import { compileNode } from './compile.ts'
import type { TextRange } from './error.ts'
import { tokenize } from './lexer.ts'
import { type RoutableMessage, viewOf } from './message.ts'
import { type Node, parseExpression, TokenReader } from './parser.ts'
import { type Kind, toResult } from './typed.ts'

export interface ConditionOptions {
  /** The condition belongs to a route FROM /twinChangeNotifications, which may use `twin_change_includes`. */
  readonly twinChange?: boolean
}

export interface CompiledCondition {
  readonly text: string
  /** Undefined for an empty condition, which is undefined for every message. */
  readonly node: Node | undefined
  /** Only a bool or a `$body` value can ever be true. */
  readonly kind: Kind
  /** Text after the condition that edgeHub reads no further. */
  readonly trailing: TextRange | undefined
  /** A message matches on true only. Never throws. */
  readonly evaluate: (message: RoutableMessage) => boolean | undefined
}

/**
 * Compiles one condition of the edgeHub route language (Azure/iotedge, Microsoft.Azure.Devices.Routing.Core).
 * Throws `RouteError` where edgeHub would refuse it: at a syntax error, or when types do not fit.
 */
export function compileCondition(text: string, options: ConditionOptions = {}): CompiledCondition {
  const { tokens } = tokenize(text)
  const reader = new TokenReader(text, tokens)
  if (reader.next().kind === 'end') {
    return { text, node: undefined, kind: 'undefined', trailing: undefined, evaluate: () => undefined }
  }
  const node = parseExpression(reader)
  const { offset, kind } = reader.next()
  const trailing = kind === 'end' ? undefined : { offset, length: text.length - offset }
  return { text, node, trailing, ...compileExpression(node, text, options) }
}

/** The same for an expression already parsed out of a longer text, such as a route. */
export function compileExpression(
  node: Node,
  source: string,
  options: ConditionOptions,
): Pick<CompiledCondition, 'kind' | 'evaluate'> {
  const typed = compileNode(node, { source, twinChange: options.twinChange ?? false })
  const read = toResult(typed)
  return { kind: typed.kind, evaluate: (message) => read(viewOf(message)) }
}
