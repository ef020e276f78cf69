import { type BodyValue, compareBodyValues, missing, structure } from './body.ts'
import { RouteError, type TextRange } from './error.ts'
import { functions } from './functions.ts'
import { findPathProblem, parsePathSteps } from './json-path.ts'
import type { BinaryNode, BinaryOperator, CallNode, Node, SystemNode, UnaryNode } from './parser.ts'
import { foldCase } from './text.ts'
import { bool, type Kind, kindNames, number, type Reader, type Typed, text, toBody } from './typed.ts'

const bodyPrefix = '$body.'
const twinPrefixes = ['properties.reported.', 'properties.desired.', 'tags.']

export interface CompileContext {
  /** The text that node offsets count in. */
  readonly source: string
  /** Whether `twin_change_includes` may be used. */
  readonly twinChange: boolean
}

/**
 * Checks the types of an expression as edgeHub does when it compiles a route, and makes closures of it.
 * Throws `RouteError` with what to write instead.
 */
export function compileNode(node: Node, context: CompileContext): Typed {
  switch (node.type) {
    case 'literal':
      return compileLiteral(node.value)
    case 'property': {
      const name = foldCase(node.name)
      return text((view) => view.property(name))
    }
    case 'system':
      return compileSystem(node, context)
    case 'call':
      return compileCall(node, context)
    case 'unary':
      return compileUnary(node, context)
    case 'binary':
      return compileBinary(node, context)
  }
}

function compileLiteral(value: string | number | boolean | null | undefined): Typed {
  if (value === null) return { kind: 'null' }
  switch (typeof value) {
    case 'string':
      return text(() => value)
    case 'number':
      return number(() => value)
    case 'boolean':
      return bool(() => value)
    default:
      return { kind: 'undefined' }
  }
}

/** An application property literally named `$x` wins, unless escaped; then the body path, then the system property. */
function compileSystem(node: SystemNode, context: CompileContext): Typed {
  const bracketed = /[[\]]/.test(node.name)
  const property = foldCase(node.name)
  if (foldCase(node.name).startsWith(foldCase(bodyPrefix))) {
    const read = compileBodyPath(node, context)
    if (node.escaped || bracketed) return { kind: 'body', read }
    const readProperty = toBody(text((view) => view.property(property)))
    return { kind: 'body', read: (view) => (view.property(property) === undefined ? read(view) : readProperty(view)) }
  }
  if (bracketed) return { kind: 'undefined' }
  const system = foldCase(node.name.slice(1))
  if (node.escaped) return text((view) => view.systemProperty(system))
  return text((view) => {
    const value = view.property(property)
    return value === undefined ? view.systemProperty(system) : value
  })
}

function compileBodyPath(node: SystemNode, context: CompileContext): Reader<BodyValue> {
  const path = node.name.slice(bodyPrefix.length)
  const problem = findPathProblem(path)
  if (problem !== undefined) {
    fail(
      context,
      node,
      `the path of '${node.name}' ${problem}`,
      'write names and [n] joined by dots, as in $body.a.b[0]',
    )
  }
  const steps = parsePathSteps(path)
  if (steps === undefined) return () => undefined
  return (view) => {
    const value = view.select(steps)
    return value === structure ? undefined : value
  }
}

function compileCall(node: CallNode, context: CompileContext): Typed {
  const name = node.name.toLowerCase()
  if (name === 'twin_change_includes') return compileTwinChangeIncludes(node, context)
  const called = functions.get(name)
  if (called === undefined) {
    fail(context, node, `there is no function '${node.name}'`, `known are ${[...functions.keys()].join(', ')}`)
  }
  const args = node.args.map((arg) => compileNode(arg, context))
  const bound = called.bind(args)
  if (bound !== undefined) return bound
  const given = args.map((arg) => kindNames[arg.kind]).join(', ') || 'nothing'
  return fail(context, node, `'${node.name}' cannot take ${given}`, `write ${called.usage}`)
}

/** Its argument is not an expression but a path, read from the text as written. */
function compileTwinChangeIncludes(node: CallNode, context: CompileContext): Typed {
  if (!context.twinChange) {
    fail(context, node, `'${node.name}' in a route that is not FROM /twinChangeNotifications`, 'remove it')
  }
  const path = node.argumentText
  const known = twinPrefixes.some((prefix) => path.toLowerCase().startsWith(prefix))
  const problem = findPathProblem(path) ?? (known ? undefined : 'has no prefix of a twin section')
  if (problem !== undefined) {
    fail(context, node, `the path '${path}' of '${node.name}' ${problem}`, `begin with ${twinPrefixes.join(' or ')}`)
  }
  const steps = parsePathSteps(path)
  if (steps === undefined) return bool(() => undefined)
  return bool((view) => {
    const value = view.select(steps)
    return value === undefined ? undefined : value !== missing
  })
}

function compileUnary(node: UnaryNode, context: CompileContext): Typed {
  const operand = compileNode(node.operand, context)
  const operandText = textOf(node.operand, context)
  if (node.operator === '-') {
    if (operand.kind === 'number') {
      const { read } = operand
      return number((view) => -read(view))
    }
    const hint = operand.kind === 'undefined' ? 'remove it' : `write 0 - ${asNumber(operand.kind, operandText)}`
    return fail(context, node.operatorRange, `'-' before ${kindNames[operand.kind]}`, hint)
  }
  if (operand.kind === 'null') return bool(() => true)
  if (operand.kind !== 'bool' && operand.kind !== 'body') {
    fail(
      context,
      node.operatorRange,
      `'${textOf(node.operatorRange, context)}' before ${kindNames[operand.kind]}`,
      `write a comparison in parentheses after it, as in NOT (${operandText} = 'x')`,
    )
  }
  const { read } = operand
  return bool((view) => {
    const value = read(view)
    return typeof value === 'boolean' ? !value : undefined
  })
}

function compileBinary(node: BinaryNode, context: CompileContext): Typed {
  const left = compileNode(node.left, context)
  const right = compileNode(node.right, context)
  switch (node.operator) {
    case '+':
    case '-':
    case '*':
    case '/':
    case '%':
      return compileArithmetic(node, node.operator, left, right, context)
    case '||':
      return compileConcat(node, left, right, context)
    case 'and':
    case 'or':
      return compileLogic(node, left, right, context)
    case '??':
      return compileCoalesce(node, left, right, context)
    default:
      return compileComparison(node, left, right, context)
  }
}

const arithmetic: Readonly<Record<'+' | '-' | '*' | '/' | '%', (left: number, right: number) => number>> = {
  '+': (left, right) => left + right,
  '-': (left, right) => left - right,
  '*': (left, right) => left * right,
  '/': (left, right) => left / right,
  '%': (left, right) => left % right,
}

/** With a `$body` value the result is one as well; edgeHub has no `%` for those. */
function compileArithmetic(
  node: BinaryNode,
  operator: keyof typeof arithmetic,
  left: Typed,
  right: Typed,
  context: CompileContext,
): Typed {
  const compute = arithmetic[operator]
  if (left.kind === 'number' && right.kind === 'number') {
    const [readLeft, readRight] = [left.read, right.read]
    return number((view) => compute(readLeft(view), readRight(view)))
  }
  const fits = [left, right].every(({ kind }) => kind === 'number' || kind === 'body')
  if (!fits || operator === '%') {
    const hint = arithmeticHint(node, left, right, context)
    failOperands(node, left, right, hint, context)
  }
  const [readLeft, readRight] = [toBody(left), toBody(right)]
  return {
    kind: 'body',
    read: (view) => {
      const a = readLeft(view)
      const b = readRight(view)
      return typeof a === 'number' && typeof b === 'number' ? compute(a, b) : undefined
    },
  }
}

function arithmeticHint(node: BinaryNode, left: Typed, right: Typed, context: CompileContext): string {
  const convertible = [left, right].every(({ kind }) => kind === 'number' || kind === 'body' || kind === 'text')
  if (!convertible) return 'calculate with numbers only'
  const joins = node.operator === '+' && left.kind === 'text' && right.kind === 'text'
  const sum = inNumbers(node, left, right, context)
  return joins ? `join text with ||, with spaces around it, or ${sum}` : sum
}

function inNumbers(node: BinaryNode, left: Typed, right: Typed, context: CompileContext): string {
  const [leftText, rightText] = [textOf(node.left, context), textOf(node.right, context)]
  return `write ${asNumber(left.kind, leftText)} ${node.operator} ${asNumber(right.kind, rightText)}`
}

function compileConcat(node: BinaryNode, left: Typed, right: Typed, context: CompileContext): Typed {
  const joined = functions.get('concat')?.bind([left, right])
  const bothBool = left.kind === 'bool' && right.kind === 'bool'
  const hint = bothBool ? 'write OR' : '|| joins text only: leave out what is not text'
  return joined ?? failOperands(node, left, right, hint, context)
}

/**
 * Kleene's logic for bools. An undefined literal counts as an undefined bool; null AND x is null, null OR x is x.
 * With a `$body` value on the left anything may stand on the right, and both must be bools for a defined result.
 */
function compileLogic(node: BinaryNode, left: Typed, right: Typed, context: CompileContext): Typed {
  const isAnd = node.operator === 'and'
  if (left.kind === 'body') {
    if (isAnd && right.kind === 'null') failOperands(node, left, right, 'leave out null', context)
    return bool(combineBody(isAnd, left.read, toBody(right)))
  }
  const [leftLogic, rightLogic] = [toLogic(left), toLogic(right)]
  if (leftLogic === undefined || rightLogic === undefined) {
    failOperands(node, left, right, logicHint(node, left, right, context), context)
  }
  if (left.kind === 'null' || right.kind === 'null') {
    if (left.kind === 'undefined' || right.kind === 'undefined') {
      failOperands(node, left, right, 'leave out null and undefined', context)
    }
    if (isAnd || left.kind === right.kind) return { kind: 'null' }
    return left.kind === 'null' ? right : left
  }
  const absorbing = !isAnd
  return bool((view) => {
    const a = leftLogic(view)
    if (a === absorbing) return absorbing
    const b = rightLogic(view)
    if (b === absorbing) return absorbing
    return a === undefined || b === undefined ? undefined : !absorbing
  })
}

function toLogic(typed: Typed): Reader<boolean | undefined> | undefined {
  if (typed.kind === 'bool') return typed.read
  return typed.kind === 'null' || typed.kind === 'undefined' ? () => undefined : undefined
}

function combineBody(isAnd: boolean, readLeft: Reader<BodyValue>, readRight: Reader<BodyValue>) {
  return (view: Parameters<typeof readLeft>[0]): boolean | undefined => {
    const a = readLeft(view)
    const b = readRight(view)
    if (typeof a !== 'boolean' || typeof b !== 'boolean') return undefined
    return isAnd ? a && b : a || b
  }
}

function logicHint(node: BinaryNode, left: Typed, right: Typed, context: CompileContext): string {
  if (right.kind === 'body') return `write ${textOf(node.right, context)} = true`
  const wrong = toLogic(left) === undefined ? node.left : node.right
  return `compare it, as in ${textOf(wrong, context)} = 'true'`
}

function compileCoalesce(node: BinaryNode, left: Typed, right: Typed, context: CompileContext): Typed {
  if (!areComparable(left.kind, right.kind)) {
    const hint = 'both sides of ?? must be of one type; ?? binds weakest of all, so put (a ?? b) in parentheses'
    failOperands(node, left, right, hint, context)
  }
  if (left.kind === 'undefined') return right
  if (left.kind === 'null' && right.kind === 'null') return left
  if (left.kind === 'number' && right.kind === 'number') {
    const [read, readOther] = [left.read, right.read]
    return number((view) => {
      const value = read(view)
      return Number.isNaN(value) ? readOther(view) : value
    })
  }
  if (left.kind === 'text' && right.kind === 'text') return text(coalesce(left.read, right.read))
  if (left.kind === 'bool' && right.kind === 'bool') return bool(coalesce(left.read, right.read))
  return { kind: 'body', read: coalesce(toBody(left), toBody(right)) }
}

function coalesce<T>(read: Reader<T>, readOther: Reader<T>): Reader<T> {
  return (view) => {
    const value = read(view)
    return value === undefined ? readOther(view) : value
  }
}

/** Equal types, or a `$body` value with anything but an undefined literal. */
function areComparable(left: Kind, right: Kind): boolean {
  if (left === right) return true
  return (left === 'body' && right !== 'undefined') || (right === 'body' && left !== 'undefined')
}

/** Takes the sign of left compared with right. */
type Verdict = (order: number) => boolean

const verdicts: Readonly<Partial<Record<BinaryOperator, Verdict>>> = {
  '=': (order) => order === 0,
  '!=': (order) => order !== 0,
  '<>': (order) => order !== 0,
  '<': (order) => order < 0,
  '<=': (order) => order <= 0,
  '>': (order) => order > 0,
  '>=': (order) => order >= 0,
}

function compileComparison(node: BinaryNode, left: Typed, right: Typed, context: CompileContext): Typed {
  const verdict = verdicts[node.operator]
  if (verdict === undefined || !areComparable(left.kind, right.kind)) {
    failOperands(node, left, right, comparisonHint(node, left, right, context), context)
  }
  if (left.kind === 'undefined') return bool(() => undefined)
  if (left.kind === 'text' && right.kind === 'text') {
    const [readLeft, readRight] = [left.read, right.read]
    return bool((view) => {
      const a = readLeft(view)
      const b = readRight(view)
      return typeof a === 'string' && typeof b === 'string' ? verdict(compareBodyValues(a, b)) : undefined
    })
  }
  const [readLeft, readRight] = [toBody(left), toBody(right)]
  return bool((view) => {
    const a = readLeft(view)
    const b = readRight(view)
    return a === undefined || b === undefined ? undefined : verdict(compareBodyValues(a, b))
  })
}

function comparisonHint(node: BinaryNode, left: Typed, right: Typed, context: CompileContext): string {
  const kinds = [left.kind, right.kind]
  const [leftText, rightText] = [textOf(node.left, context), textOf(node.right, context)]
  const other = left.kind === 'null' || left.kind === 'undefined' ? rightText : leftText
  if (kinds.includes('null')) return `write is_null(${other})`
  if (kinds.includes('undefined')) {
    const odd = left.kind === 'undefined' ? leftText : rightText
    return odd === 'undefined' ? `write NOT is_defined(${other})` : `'${odd}' has no value: write it in another way`
  }
  if (kinds.includes('text') && kinds.includes('number')) {
    return inNumbers(node, left, right, context)
  }
  if (kinds.includes('text') && kinds.includes('bool')) {
    const quoted = (kind: Kind, operand: string) => (kind === 'bool' ? `'${operand}'` : operand)
    return `properties are text: write ${quoted(left.kind, leftText)} ${node.operator} ${quoted(right.kind, rightText)}`
  }
  return 'compare values of one type, and put parentheses around what belongs together'
}

function asNumber(kind: Kind, operand: string): string {
  return kind === 'text' || kind === 'body' ? `as_number(${operand})` : operand
}

function textOf(part: Node | TextRange, context: CompileContext): string {
  const { offset, length } = toRange(part)
  return context.source.slice(offset, offset + length)
}

function toRange(part: Node | TextRange): TextRange {
  return 'type' in part ? { offset: part.start, length: part.end - part.start } : part
}

function failOperands(node: BinaryNode, left: Typed, right: Typed, hint: string, context: CompileContext): never {
  const operator = textOf(node.operatorRange, context)
  fail(context, node.operatorRange, `'${operator}' between ${kindNames[left.kind]} and ${kindNames[right.kind]}`, hint)
}

function fail(context: CompileContext, part: Node | TextRange, problem: string, hint: string): never {
  throw new RouteError({ problem, hint, text: context.source, range: toRange(part) })
}
