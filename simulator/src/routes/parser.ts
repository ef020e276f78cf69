import { RouteError, type TextRange } from './error.ts'
import type { Token, TokenKind } from './lexer.ts'
import { parseHexLiteral, parseNumber } from './number.ts'

/** Nesting beyond this is refused, so that no text can exhaust the stack. A twin string holds 4 KB at most. */
const depthMax = 1000

export type BinaryOperator =
  | '*'
  | '/'
  | '%'
  | '+'
  | '-'
  | '||'
  | '<'
  | '<='
  | '>'
  | '>='
  | '='
  | '!='
  | '<>'
  | 'and'
  | 'or'
  | '??'

interface Spanned {
  /** Offset of the first character, and of the one after the last. */
  readonly start: number
  readonly end: number
  readonly depth: number
}

export interface LiteralNode extends Spanned {
  readonly type: 'literal'
  /** `undefined` also stands for a number that has no value, such as `e5` or a hex literal beyond 64 bits. */
  readonly value: string | number | boolean | null | undefined
}

export interface PropertyNode extends Spanned {
  readonly type: 'property'
  readonly name: string
}

/** `$name`, or `{$name}` when `escaped`; `name` keeps its dollar sign. */
export interface SystemNode extends Spanned {
  readonly type: 'system'
  readonly name: string
  readonly escaped: boolean
}

export interface CallNode extends Spanned {
  readonly type: 'call'
  readonly name: string
  readonly args: readonly Node[]
  /** The argument list as written, without space and comments: the path of `twin_change_includes`. */
  readonly argumentText: string
}

export interface UnaryNode extends Spanned {
  readonly type: 'unary'
  readonly operator: '-' | 'not'
  readonly operatorRange: TextRange
  readonly operand: Node
}

export interface BinaryNode extends Spanned {
  readonly type: 'binary'
  readonly operator: BinaryOperator
  readonly operatorRange: TextRange
  readonly left: Node
  readonly right: Node
}

export type Node = LiteralNode | PropertyNode | SystemNode | CallNode | UnaryNode | BinaryNode

/** Higher binds tighter; all associate to the left. The unary operators bind tighter than any of these. */
const precedences: ReadonlyMap<TokenKind, number> = new Map([
  ['??', 1],
  ['or', 2],
  ['and', 3],
  ['=', 4],
  ['!=', 4],
  ['<>', 4],
  ['<', 5],
  ['<=', 5],
  ['>', 5],
  ['>=', 5],
  ['+', 6],
  ['-', 6],
  ['||', 6],
  ['*', 7],
  ['/', 7],
  ['%', 7],
])

/** Reads a token list from left to right; conditions here, whole routes in `route.ts`. */
export class TokenReader {
  readonly text: string
  readonly #tokens: readonly Token[]
  #index = 0

  constructor(text: string, tokens: readonly Token[]) {
    this.text = text
    this.#tokens = tokens
  }

  /** The next token, not taken. */
  next(): Token {
    const token = this.#tokens[Math.min(this.#index, this.#tokens.length - 1)]
    if (token === undefined) throw new TypeError('a token list ends with an end token')
    return token
  }

  take(): Token {
    const token = this.next()
    this.#index += 1
    return token
  }

  takeIf(kind: TokenKind): Token | undefined {
    return this.next().kind === kind ? this.take() : undefined
  }

  expect(kind: TokenKind, hint: string): Token {
    return (
      this.takeIf(kind) ??
      this.fail(this.next(), `${quote(this.next())} where ${kind.toUpperCase()} was expected`, hint)
    )
  }

  fail(range: TextRange, problem: string, hint: string): never {
    throw new RouteError({ problem, hint, text: this.text, range })
  }

  /** Token texts from one token offset to another, joined without what lay between them. */
  textBetween(start: number, end: number): string {
    return this.#tokens
      .filter((token) => token.offset >= start && token.offset < end)
      .map((token) => token.text)
      .join('')
  }
}

export function quote(token: Token): string {
  return token.kind === 'end' ? 'the text ends' : `found '${token.text}'`
}

/**
 * Reads one expression and stops at the first token that cannot continue it: as in edgeHub, that is no error here.
 * An operator or an unknown character after an expression commits to more, and so does `)` after `(…)` or a call
 * when no parenthesis is open.
 */
export function parseExpression(reader: TokenReader): Node {
  return new ExpressionParser(reader).binary(0)
}

class ExpressionParser {
  readonly #reader: TokenReader
  #openParentheses = 0
  #nesting = 0

  constructor(reader: TokenReader) {
    this.#reader = reader
  }

  binary(precedenceMin: number): Node {
    let left = this.#unary()
    for (;;) {
      const token = this.#reader.next()
      if (token.kind === 'unknown') this.#failUnknown(token)
      const precedence = precedences.get(token.kind)
      if (precedence === undefined || precedence < precedenceMin) return left
      this.#reader.take()
      if (token.kind === '=' && this.#reader.next().kind === '=') {
        this.#reader.fail(this.#reader.next(), "found '=='", 'write a single =')
      }
      const right = this.binary(precedence + 1)
      left = this.#checked({
        type: 'binary',
        operator: token.kind as BinaryOperator,
        operatorRange: token,
        left,
        right,
        start: left.start,
        end: right.end,
        depth: Math.max(left.depth, right.depth) + 1,
      })
    }
  }

  #unary(): Node {
    const token = this.#reader.next()
    if (token.kind !== '-' && token.kind !== 'not') return this.#primary()
    this.#reader.take()
    const operand = this.#nested(token, () => this.#unary())
    return this.#checked({
      type: 'unary',
      operator: token.kind,
      operatorRange: token,
      operand,
      start: token.offset,
      end: operand.end,
      depth: operand.depth + 1,
    })
  }

  #primary(): Node {
    const token = this.#reader.take()
    const span = { start: token.offset, end: token.offset + token.length, depth: 1 }
    switch (token.kind) {
      case '(':
        return this.#parenthesised(token)
      case '{':
        return this.#escaped(token)
      case 'name':
        if (this.#reader.next().kind === '(') return this.#call(token)
        return { type: 'property', name: token.text, ...span }
      case 'system':
        return { type: 'system', name: token.text, escaped: false, ...span }
      case 'true':
      case 'false':
        return { type: 'literal', value: token.kind === 'true', ...span }
      case 'null':
        return { type: 'literal', value: null, ...span }
      case 'undefined':
        return { type: 'literal', value: undefined, ...span }
      case 'string':
        return { type: 'literal', value: unescapeText(token.text.slice(1, -1)), ...span }
      case 'integer':
      case 'real':
        return { type: 'literal', value: definedNumber(parseNumber(token.text)), ...span }
      case 'hex':
        return { type: 'literal', value: definedNumber(parseHexLiteral(token.text)), ...span }
      default:
        return this.#failOperand(token)
    }
  }

  #parenthesised(open: Token): Node {
    this.#openParentheses += 1
    const inner = this.#nested(open, () => this.binary(0))
    this.#close(open)
    return { ...inner, start: open.offset, end: this.#endOfTaken }
  }

  #call(name: Token): Node {
    const open = this.#reader.take()
    this.#openParentheses += 1
    const args: Node[] = []
    if (this.#reader.next().kind !== ')') {
      do args.push(this.#nested(open, () => this.binary(0)))
      while (this.#reader.takeIf(','))
    }
    this.#close(open)
    return this.#checked({
      type: 'call',
      name: name.text,
      args,
      argumentText: this.#reader.textBetween(open.offset + 1, this.#endOfTaken - 1),
      start: name.offset,
      end: this.#endOfTaken,
      depth: args.reduce((deepest, arg) => Math.max(deepest, arg.depth), 0) + 1,
    })
  }

  #endOfTaken = 0

  #close(open: Token): void {
    const token = this.#reader.next()
    if (token.kind !== ')') {
      const hint = token.text === '&&' ? 'write AND' : "close it with ')', or write an operator before what follows"
      this.#reader.fail(token, `'(' at character ${open.offset + 1} is not closed: ${quote(token)}`, hint)
    }
    this.#reader.take()
    this.#endOfTaken = token.offset + token.length
    this.#openParentheses -= 1
    if (this.#openParentheses === 0 && this.#reader.next().kind === ')') {
      this.#reader.fail(this.#reader.next(), "')' without '('", 'remove it')
    }
  }

  #escaped(open: Token): Node {
    const hint = 'write {$name} with the name of a system property, such as {$contentType}'
    const name = this.#reader.takeIf('system') ?? this.#reader.fail(open, "'{' without a $name", hint)
    const close = this.#reader.takeIf('}') ?? this.#reader.fail(open, "'{' is not closed by '}'", hint)
    return { type: 'system', name: name.text, escaped: true, start: open.offset, end: close.offset + 1, depth: 1 }
  }

  #nested(at: Token, parse: () => Node): Node {
    this.#nesting += 1
    if (this.#nesting > depthMax) this.#failDepth(at)
    const node = parse()
    this.#nesting -= 1
    return node
  }

  #checked(node: Node): Node {
    if (node.depth > depthMax) this.#failDepth({ offset: node.start, length: node.end - node.start })
    return node
  }

  #failDepth(range: TextRange): never {
    this.#reader.fail(range, `more than ${depthMax} levels of nesting`, 'split the condition over several routes')
  }

  #failUnknown(token: Token): never {
    this.#reader.fail(token, `found '${token.text}', which means nothing here`, 'remove it, or put quotes around text')
  }

  #failOperand(token: Token): never {
    const problem = `${quote(token)} where a value was expected`
    switch (token.kind) {
      case 'unknown':
        return this.#failUnknown(token)
      case 'unterminated':
        return this.#reader.fail(
          token,
          `${quote(token)}, text without its closing quote`,
          'close it with the same quote; a backslash may only stand before a quote, a backslash or uXXXX',
        )
      case 'select':
      case 'from':
      case 'where':
      case 'into':
        return this.#reader.fail(token, problem, `${token.text} is a keyword and cannot name a property`)
      case 'path':
        return this.#reader.fail(token, problem, '[n] may only stand in a path that begins with $body.')
      default:
        return this.#reader.fail(token, problem, 'write a property, a $name, a literal, a function or a parenthesis')
    }
  }
}

function definedNumber(value: number): number | undefined {
  return Number.isNaN(value) ? undefined : value
}

/** `\uXXXX` first, then quotes and backslashes, each in one pass: so `\\u0041` becomes `\A`, as in edgeHub. */
function unescapeText(text: string): string {
  return text
    .replace(/\\[Uu]([0-9A-Fa-f]{4})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)))
    .replace(/\\(["'\\])/g, '$1')
}
