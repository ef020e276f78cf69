/** One step of a body path: a member, an array index, or every child. */
export type PathStep =
  | { readonly type: 'member'; readonly name: string }
  | { readonly type: 'index'; readonly index: number }
  | { readonly type: 'everyMember' }
  | { readonly type: 'everyElement' }

/** Why edgeHub's path grammar refuses a text; undefined when it takes it. Like the rest, it stops at the first surplus token. */
export function findPathProblem(path: string): string | undefined {
  const tokens = tokenizePath(path)
  let index = 0
  for (;;) {
    if (tokens[index]?.kind !== 'name') return problemAt(tokens, index, 'a name')
    index += 1
    if (tokens[index]?.kind === '[') {
      if (tokens[index + 1]?.kind !== 'digits') return problemAt(tokens, index + 1, 'an array index')
      if (tokens[index + 2]?.kind !== ']') return problemAt(tokens, index + 2, "']'")
      index += 3
    }
    if (tokens[index]?.kind !== '.') return undefined
    index += 1
  }
}

interface PathToken {
  readonly kind: 'name' | 'digits' | '.' | '[' | ']'
  readonly text: string
}

/** Characters that belong to no token are dropped, as edgeHub's lexer drops them. A name may hold spaces. */
function tokenizePath(path: string): PathToken[] {
  const tokens: PathToken[] = []
  for (const [text] of path.matchAll(/[^()<>@,;:\\"/[\]?={}.\t\n\r]+|[.[\]]/g)) {
    if (text === '.' || text === '[' || text === ']') tokens.push({ kind: text, text })
    else tokens.push({ kind: /^[0-9]+$/.test(text) ? 'digits' : 'name', text })
  }
  return tokens
}

function problemAt(tokens: readonly PathToken[], index: number, expected: string): string {
  const token = tokens[index]
  return token === undefined
    ? `ends where ${expected} was expected`
    : `has '${token.text}' where ${expected} was expected`
}

/**
 * The steps that Newtonsoft's `SelectTokens` takes for a path that passed `findPathProblem`; undefined where it would
 * throw while routing, which makes the value undefined. `*` stands for every child, `['name']` is taken after an index.
 */
export function parsePathSteps(path: string): readonly PathStep[] | undefined {
  const steps: PathStep[] = []
  const rest = /^\$(?:[.[]|$)/.test(path) ? path.slice(1) : path
  const pattern = /\.?([^.[\]() ]+)|\[(-?[0-9]+|\*|'[^']*')\]/y
  while (pattern.lastIndex < rest.length) {
    const afterIndexer = rest[pattern.lastIndex - 1] === ']'
    const match = pattern.exec(rest)
    if (match === null) return undefined
    const [text, name, indexer] = match
    if (name !== undefined) {
      if (afterIndexer && !text.startsWith('.')) return undefined
      steps.push(name === '*' ? { type: 'everyMember' } : { type: 'member', name })
      continue
    }
    if (indexer === undefined || indexer === '*') steps.push({ type: 'everyElement' })
    else if (indexer.startsWith("'")) steps.push({ type: 'member', name: indexer.slice(1, -1) })
    else if (Number(indexer) < 0 || Number(indexer) > 0x7fff_ffff) return undefined
    else steps.push({ type: 'index', index: Number(indexer) })
  }
  return steps
}

/** Every value that the steps lead to, in document order. */
export function selectValues(root: unknown, steps: readonly PathStep[]): unknown[] {
  let values: unknown[] = [root]
  for (const step of steps) values = values.flatMap((value) => selectStep(value, step))
  return values
}

function selectStep(value: unknown, step: PathStep): unknown[] {
  if (Array.isArray(value)) {
    if (step.type === 'everyElement') return value
    return step.type === 'index' && step.index < value.length ? [value[step.index]] : []
  }
  if (typeof value !== 'object' || value === null) return []
  if (step.type === 'everyMember') return Object.values(value)
  return step.type === 'member' && Object.hasOwn(value, step.name)
    ? [(value as Record<string, unknown>)[step.name]]
    : []
}
