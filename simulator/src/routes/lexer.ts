import type { TextRange } from './error.ts'

/** `name` reads an application property; `path` is bracketed text that no rule of the language takes. */
export type TokenKind =
  | 'select'
  | 'from'
  | 'where'
  | 'into'
  | 'string'
  | 'unterminated'
  | 'integer'
  | 'hex'
  | 'real'
  | 'true'
  | 'false'
  | 'null'
  | 'undefined'
  | '('
  | ')'
  | '{'
  | '}'
  | ','
  | '+'
  | '-'
  | '*'
  | '/'
  | '%'
  | 'and'
  | 'or'
  | 'not'
  | '='
  | '!='
  | '<>'
  | '<='
  | '>='
  | '>'
  | '<'
  | '||'
  | '??'
  | 'system'
  | 'name'
  | 'path'
  | 'space'
  | 'comment'
  | 'unknown'
  | 'end'

export interface Token extends TextRange {
  readonly kind: TokenKind
  readonly text: string
}

export interface TokenList {
  /** Ends with one `end` token; space and comments are left out. */
  readonly tokens: readonly Token[]
  readonly comments: readonly Token[]
}

/**
 * The lexer rules of edgeHub's route grammar. The longest match wins; of equally long ones the first rule.
 *
 * Names take nearly every character, quotes and operators included, so `a!=5` is the name `a!`, then `=`, then 5, and
 * `'a'||'b'` is one name. The exponent form of a real may lack digits before the `e`, so `e5` is a real without value.
 * Keywords and operators in words ignore case; literals do not.
 */
const rules: readonly (readonly [TokenKind, RegExp])[] = [
  ['{', /\{/y],
  ['}', /\}/y],
  ['select', /select/iy],
  ['from', /from/iy],
  ['where', /where/iy],
  ['into', /into/iy],
  ['string', /"(?:\\(?:["'\\]|u[0-9a-fA-F]{4})|[^"\\])*"|'(?:\\(?:["'\\]|u[0-9a-fA-F]{4})|[^'\\])*'/y],
  ['unterminated', /"(?:\\(?:["'\\]|u[0-9a-fA-F]{4})|[^"\\])*|'(?:\\(?:["'\\]|u[0-9a-fA-F]{4})|[^'\\])*/y],
  ['integer', /-?[0-9]+/y],
  ['hex', /0[xX][0-9a-fA-F]+/y],
  ['real', /-?[0-9]*(?:\.[0-9]+(?:[eE][+-]?[0-9]+)?|[eE][+-]?[0-9]+)/y],
  ['true', /true/y],
  ['false', /false/y],
  ['null', /null/y],
  ['undefined', /undefined/y],
  ['(', /\(/y],
  [')', /\)/y],
  [',', /,/y],
  ['+', /\+/y],
  ['-', /-/y],
  ['*', /\*/y],
  ['/', /\//y],
  ['%', /%/y],
  ['and', /and/iy],
  ['or', /or/iy],
  ['not', /not/iy],
  ['=', /=/y],
  ['!=', /!=/y],
  ['<>', /<>/y],
  ['<=', /<=/y],
  ['>=', />=/y],
  ['>', />/y],
  ['<', /</y],
  ['||', /\|\|/y],
  ['??', /\?\?/y],
  ['system', /\$[^()<>@,;:\\"/?={} \t\n\r]+/y],
  ['name', /[^()<>@,;:\\"/[\]?={} \t\n\r]+/y],
  ['path', /[^()<>@,;:\\"/?={} \t\n\r]+/y],
  ['space', /[ \t\r\n]+/y],
  ['comment', /\/\*[\s\S]*?\*\//y],
  ['unknown', /[\s\S]/y],
]

/** Never fails: a character that no rule takes becomes an `unknown` token. */
export function tokenize(text: string): TokenList {
  const tokens: Token[] = []
  const comments: Token[] = []
  let offset = 0
  while (offset < text.length) {
    const token = tokenAt(text, offset)
    if (token.kind === 'comment') comments.push(token)
    else if (token.kind !== 'space') tokens.push(token)
    offset += token.length
  }
  tokens.push({ kind: 'end', text: '', offset: text.length, length: 0 })
  return { tokens, comments }
}

function tokenAt(text: string, offset: number): Token {
  let best: Token = { kind: 'unknown', text: '', offset, length: 0 }
  for (const [kind, pattern] of rules) {
    pattern.lastIndex = offset
    const matched = pattern.exec(text)?.[0] ?? ''
    if (matched.length > best.length) best = { kind, text: matched, offset, length: matched.length }
  }
  return best
}
