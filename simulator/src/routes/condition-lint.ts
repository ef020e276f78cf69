import type { CompiledCondition } from './condition.ts'
import type { BinaryNode, CallNode, LiteralNode, Node } from './parser.ts'
import { kindNames } from './typed.ts'

/** What edgeHub takes without a word and nobody means, and what to write instead. */
export interface Remark {
  readonly message: string
  readonly hint: string
}

/** The remarks on a condition whose offsets count in `source`. */
export function remarkOnCondition(condition: CompiledCondition, source: string): Remark[] {
  const { node, kind } = condition
  if (node === undefined) return []
  const nodes = [...walk(node)]
  const textOf = (part: Node) => source.slice(part.start, part.end)
  const remarks: Remark[] = []
  if (kind !== 'bool' && kind !== 'body') {
    remarks.push({
      message: `the condition is ${kindNames[kind]}, which never is true`,
      hint: kind === 'text' ? `compare it, as in ${textOf(node)} = 'true'` : 'write a comparison',
    })
  }
  const testsNumber = new Set(
    nodes
      .filter((part) => part.type === 'call' && part.name.toLowerCase() === 'is_number')
      .map((part) => bodyPathOf(part)),
  )
  for (const part of nodes) {
    if (part.type === 'property' || part.type === 'system') remarks.push(...remarkOnName(part.name))
    else if (part.type === 'literal') remarks.push(...remarkOnLiteral(part, textOf(part)))
    else if (part.type === 'call') remarks.push(...remarkOnCall(part, textOf(part)))
    else if (part.type === 'binary') remarks.push(...remarkOnComparison(part, textOf, testsNumber))
  }
  return remarks
}

/** Whether a condition reads the body of messages. */
export function readsBody(condition: CompiledCondition): boolean {
  return condition.node !== undefined && [...walk(condition.node)].some(isBodyPath)
}

function* walk(node: Node): Generator<Node> {
  yield node
  if (node.type === 'unary') yield* walk(node.operand)
  if (node.type === 'binary') {
    yield* walk(node.left)
    yield* walk(node.right)
  }
  // The argument of this function is a path, not an expression.
  if (node.type === 'call' && node.name.toLowerCase() !== 'twin_change_includes') {
    for (const arg of node.args) yield* walk(arg)
  }
}

function isBodyPath(node: Node): boolean {
  return node.type === 'system' && /^\$body\./i.test(node.name)
}

function bodyPathOf(call: Node): string | undefined {
  const [arg] = call.type === 'call' ? call.args : []
  return arg?.type === 'system' && isBodyPath(arg) ? arg.name : undefined
}

/** Operators that stand without spaces become part of a name. A dash inside the name of a property is let be. */
function remarkOnName(name: string): Remark[] {
  const inPath = /^\$body\./i.test(name) ? /-(?=[0-9.]+$)/.exec(name)?.[0] : undefined
  const swallowed = /[!+*%|']|(?<=[^.])\$|^-/.exec(name)?.[0] ?? inPath
  if (swallowed === undefined) return []
  const message = `'${name}' is read as one name, '${swallowed}' included`
  return [{ message, hint: 'put spaces around operators' }]
}

function remarkOnLiteral(node: LiteralNode, text: string): Remark[] {
  if (node.value !== undefined || text.includes('undefined')) return []
  return [{ message: `'${text}' is read as a number without value, so it is undefined`, hint: 'rename the property' }]
}

function remarkOnCall(node: CallNode, text: string): Remark[] {
  const name = node.name.toLowerCase()
  const path = bodyPathOf(node)
  if (name === 'is_null' && path !== undefined) {
    return [
      {
        message: `'${text}' is true for a value that is there and false for a missing one: edgeHub has it inverted`,
        hint: `write ${path} = null`,
      },
    ]
  }
  if (name === 'is_defined' && path !== undefined) {
    return [
      { message: `'${text}' is true for a path that is missing, which counts as null`, hint: `write ${path} <> null` },
    ]
  }
  if (name === 'twin_change_includes') {
    return [
      {
        message: `'${node.name}' may be unknown to a real edgeHub, which looks for it by the kind of its source object`,
        hint: `try it there, or write $body.${node.argumentText} <> null`,
      },
    ]
  }
  return []
}

const ordering = ['<', '<=', '>', '>=']

function remarkOnComparison(
  node: BinaryNode,
  textOf: (node: Node) => string,
  testsNumber: ReadonlySet<string | undefined>,
): Remark[] {
  const { operator, left, right } = node
  const sides = [left, right]
  const numeral = sides.find((side) => side.type === 'literal' && isNumeral(side.value))
  const body = sides.find(isBodyPath)
  const isComparison = ordering.includes(operator) || ['=', '!=', '<>'].includes(operator)
  if (numeral !== undefined && body !== undefined && isComparison) {
    return [
      {
        message: `'${textOf(node)}' compares with text: a number in the body never equals text`,
        hint: `write the number without quotes`,
      },
    ]
  }
  if (numeral !== undefined && ordering.includes(operator)) {
    const other = left === numeral ? right : left
    return [
      {
        message: `'${textOf(node)}' compares as text, where '9' is more than '30'`,
        hint: `write as_number(${textOf(other)}) and the number without quotes`,
      },
    ]
  }
  const greaterSide = { '>': left, '>=': left, '<': right, '<=': right }[operator as string]
  const isGreater = greaterSide !== undefined && isBodyPath(greaterSide)
  const numberSide = isBodyPath(left) ? right : left
  if (body?.type !== 'system' || !isGreater || !isNumber(numberSide) || testsNumber.has(body.name)) return []
  return [
    {
      message: `'${textOf(node)}' is true for messages without ${body.name} too: what is missing counts as null, above all numbers`,
      hint: `write is_number(${body.name}) AND ${textOf(node)}`,
    },
  ]
}

function isNumber(node: Node): boolean {
  return node.type === 'literal' && typeof node.value === 'number'
}

function isNumeral(value: LiteralNode['value']): boolean {
  return typeof value === 'string' && value.trim() !== '' && Number.isFinite(Number(value))
}
