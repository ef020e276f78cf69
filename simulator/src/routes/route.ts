import { type CompiledCondition, compileExpression } from './condition.ts'
import { RouteError, type TextRange } from './error.ts'
import { type Token, type TokenList, tokenize } from './lexer.ts'
import type { MessageSource } from './message.ts'
import { type Node, parseExpression, quote, TokenReader } from './parser.ts'
import { foldedSourcePath, fromPrefix, twinChangePrefix } from './source.ts'
import { foldCase } from './text.ts'

/** Where a route leads: to IoT Hub, or to the input of a module. */
export type Sink =
  | { readonly kind: 'upstream' }
  | { readonly kind: 'module'; readonly moduleId: string; readonly input: string }

export interface ParsedRoute {
  readonly text: string
  /** The FROM path as written, without spaces. */
  readonly source: string
  /** The beginning of the sources it matches, in folded case, with a slash at its end. */
  readonly sourcePrefix: string
  /** `true` when the route has no WHERE; its offsets count in the text of the route. */
  readonly condition: CompiledCondition
  readonly sink: Sink
  /** Path in `BrokeredEndpoint("…")` as written; undefined for `$upstream`. */
  readonly endpointPath: string | undefined
  /** What stands after the sink; edgeHub reads no further. */
  readonly trailing: TextRange | undefined
}

const sinkHint = 'write INTO $upstream or INTO BrokeredEndpoint("/modules/<module>/inputs/<input>")'

/**
 * Parses and compiles `[SELECT *] FROM path [WHERE condition] INTO sink`.
 * Throws `RouteError` where edgeHub would refuse the route.
 */
export function parseRoute(text: string): ParsedRoute {
  const list = tokenize(text)
  try {
    return readRoute(text, list)
  } catch (error) {
    throw error instanceof RouteError ? explainComment(error, list) : error
  }
}

/** A message takes a route when its source matches and the condition is true. */
export function matchesSource(route: ParsedRoute, source: MessageSource): boolean {
  return foldedSourcePath(source).startsWith(route.sourcePrefix)
}

function readRoute(text: string, list: TokenList): ParsedRoute {
  const reader = new TokenReader(text, list.tokens)
  if (reader.takeIf('select')) reader.expect('*', 'write SELECT * FROM, with spaces around the star')
  reader.expect('from', 'begin with FROM and a path such as /messages/*')
  const source = readPath(reader)
  const sourcePrefix = fromPrefix(source)
  const node = reader.takeIf('where') ? parseExpression(reader) : undefined
  reader.expect('into', intoHint(reader.next(), node))
  const { sink, endpointPath } = readSink(reader)
  const { kind, offset } = reader.next()
  return {
    text,
    source,
    sourcePrefix,
    condition: compileWhere(node, text, sourcePrefix === twinChangePrefix),
    sink,
    endpointPath,
    trailing: kind === 'end' ? undefined : { offset, length: text.length - offset },
  }
}

function readPath(reader: TokenReader): string {
  let path = ''
  do {
    reader.expect('/', 'a source is a path such as /messages/modules/<module>/outputs/<output>')
    const token = reader.take()
    if (token.kind !== 'name' && token.kind !== '*') failSegment(reader, token)
    path += `/${token.text}`
  } while (reader.next().kind === '/')
  return path
}

function failSegment(reader: TokenReader, token: Token): never {
  const readable = /^[A-Za-z0-9$-]/.test(token.text) && token.kind !== 'into' && token.kind !== 'where'
  const hint = readable
    ? `'${token.text}' reads as something else than a name, so no route can name such a module or output: rename it`
    : 'write a name or a star after each slash'
  reader.fail(token, `${quote(token)} in the source path`, hint)
}

function intoHint(token: Token, condition: Node | undefined): string {
  if (condition === undefined) return 'write WHERE and a condition, or INTO and a sink, after the source'
  if (token.text === '&&') return 'write AND'
  return token.kind === 'end' ? sinkHint : 'write an operator before it, or INTO and a sink'
}

function compileWhere(node: Node | undefined, text: string, twinChange: boolean): CompiledCondition {
  if (node === undefined) return { text: 'true', node, kind: 'bool', trailing: undefined, evaluate: () => true }
  const compiled = compileExpression(node, text, { twinChange })
  return { text: text.slice(node.start, node.end), node, trailing: undefined, ...compiled }
}

function readSink(reader: TokenReader): Pick<ParsedRoute, 'sink' | 'endpointPath'> {
  const token = reader.take()
  if (token.kind === 'system') {
    if (foldCase(token.text) === '$UPSTREAM') return { sink: { kind: 'upstream' }, endpointPath: undefined }
    reader.fail(token, `there is no sink '${token.text}'`, sinkHint)
  }
  if (token.kind !== 'name') reader.fail(token, `${quote(token)} where a sink was expected`, sinkHint)
  reader.expect('(', sinkHint)
  const quoted = reader.expect('string', sinkHint)
  reader.expect(')', sinkHint)
  if (foldCase(token.text) !== 'BROKEREDENDPOINT') reader.fail(token, `there is no sink '${token.text}'`, sinkHint)
  const endpointPath = quoted.text.slice(1, -1)
  return { sink: readEndpointPath(reader, quoted, endpointPath), endpointPath }
}

/** Four segments; edgeHub looks at the second and the fourth only. Escapes are not resolved. */
function readEndpointPath(reader: TokenReader, quoted: Token, path: string): Sink {
  const segments = path.trim().replace(/^\//, '').replace(/\/$/, '').split('/')
  const [, moduleId = '', , input = ''] = segments
  if (segments.length !== 4 || input.trim() === '') {
    reader.fail(quoted, `'${path}' is not the path of an input`, sinkHint)
  }
  return { kind: 'module', moduleId, input }
}

function explainComment(error: RouteError, { comments }: TokenList): RouteError {
  const [comment] = comments
  if (comment === undefined) return error
  const hint = `${error.hint} (everything from '/*' at character ${comment.offset + 1} to '*/' reads as a comment)`
  return error.with({ hint })
}
