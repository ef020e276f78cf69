import { errorText, WeirError } from '@weir/lib/errors'
import { z } from 'zod'
import { compileCondition } from './condition.ts'
import type { RoutableMessage } from './message.ts'
import { matchesSource, parseRoute } from './route.ts'
import { parseSourcePath } from './source.ts'
import { compileRoutes, endpointId } from './table.ts'

const propertiesSchema = z.record(z.string(), z.string().nullable())
const messageSchema = z.object({
  /** A source path, such as `/messages/modules/m/outputs/o`. Conditions compile as if in a route from there. */
  source: z.string().default('/messages'),
  properties: propertiesSchema.default({}),
  systemProperties: propertiesSchema.default({}),
  /** The body as JSON, or else as text in one of Node's encodings. */
  body: z.json().optional(),
  bodyText: z.string().optional(),
  bodyEncoding: z.enum(['utf8', 'utf16le']).default('utf8'),
})
const sectionSchema = z.object({
  message: messageSchema.prefault({}),
  evaluates: z.array(z.object({ condition: z.string(), expected: z.string() })).default([]),
  rejected: z.array(z.string()).default([]),
  sources: z.array(z.object({ from: z.string(), source: z.string(), matches: z.boolean() })).default([]),
  routes: z
    .array(z.object({ route: z.string(), source: z.string(), condition: z.string(), sink: z.string() }))
    .default([]),
  rejectedRoutes: z.array(z.string()).default([]),
  /** One `endpoint priority seconds` per delivery, sorted; `forever` for a message that never expires. */
  tables: z
    .array(
      z.object({
        desired: z.json(),
        deliveries: z.array(z.object({ message: messageSchema.prefault({}), expected: z.array(z.string()) })),
      }),
    )
    .default([]),
  rejectedTables: z.array(z.object({ desired: z.json(), because: z.string() })).default([]),
})
type Section = z.infer<typeof sectionSchema>

export interface Disagreement {
  /** The section of the file. */
  readonly section: string
  /** The condition, route or configuration. */
  readonly input: string
  readonly expected: string
  readonly actual: string
}

export interface VectorResult {
  readonly passed: number
  readonly failed: number
  readonly disagreements: readonly Disagreement[]
}

interface Vector {
  readonly input: string
  readonly expected: string
  readonly actual: () => string
}

/**
 * Runs the vectors of a file against this implementation. Every member of the file that is an object is a section:
 * a message with `evaluates` (conditions and `true`, `false` or `undefined`) and `rejected` (conditions that must not
 * compile), and, for our own files, sources, whole routes and configurations.
 * Throws `WeirError` CONFIG_REFUSED for a file that is not of that shape or has no vector.
 */
export function runVectors(file: unknown): VectorResult {
  const disagreements: Disagreement[] = []
  let count = 0
  for (const [section, content] of readSections(file)) {
    for (const { input, expected, actual } of vectorsOf(content)) {
      count += 1
      const answer = actual()
      if (answer !== expected) disagreements.push({ section, input, expected, actual: answer })
    }
  }
  if (count === 0) throw refuse('none found; expected sections with evaluates, rejected …')
  return { passed: count - disagreements.length, failed: disagreements.length, disagreements }
}

function readSections(file: unknown): [string, Section][] {
  if (typeof file !== 'object' || file === null) throw refuse('expected an object of sections')
  return Object.entries(file as Record<string, unknown>)
    .filter((entry): entry is [string, object] => typeof entry[1] === 'object' && entry[1] !== null)
    .map(([name, content]) => {
      const section = sectionSchema.safeParse(content)
      if (!section.success) throw refuse(`section ${name}: ${z.prettifyError(section.error)}`)
      const unknown = Object.entries(content).find(([key, value]) => Array.isArray(value) && !(key in section.data))
      if (unknown !== undefined) throw refuse(`section ${name}: the list '${unknown[0]}' is none that can be run`)
      return [name, section.data]
    })
}

function refuse(problem: string): WeirError {
  return new WeirError('CONFIG_REFUSED', `vectors: ${problem}`)
}

function* vectorsOf(section: Section): Generator<Vector> {
  const message = toMessage(section.message)
  const options = { twinChange: message.source.kind === 'twinChange' }
  const evaluate = (condition: string) => String(compileCondition(condition, options).evaluate(message))
  for (const { condition, expected } of section.evaluates) {
    yield { input: condition, expected, actual: () => attempt(() => evaluate(condition)) }
  }
  for (const condition of section.rejected) {
    yield { input: condition, expected: 'rejected', actual: () => refusal(() => compileCondition(condition, options)) }
  }
  for (const { from, source, matches } of section.sources) {
    const route = `FROM ${from} INTO $upstream`
    const actual = () => attempt(() => String(matchesSource(parseRoute(route), toSource(source))))
    yield { input: `FROM ${from} takes ${source}`, expected: String(matches), actual }
  }
  for (const { route, source, condition, sink } of section.routes) {
    yield {
      input: route,
      expected: `${source} | ${condition} | ${sink}`,
      actual: () => attempt(() => describeRoute(route)),
    }
  }
  for (const route of section.rejectedRoutes) {
    yield { input: route, expected: 'rejected', actual: () => refusal(() => parseRoute(route)) }
  }
  for (const { desired, deliveries } of section.tables) {
    for (const { message, expected } of deliveries) {
      const actual = () => attempt(() => describeDeliveries(desired, toMessage(message)))
      yield { input: `${JSON.stringify(desired)} for ${message.source}`, expected: expected.join(', '), actual }
    }
  }
  for (const { desired, because } of section.rejectedTables) {
    const actual = () => refusalBecause(because, () => compileRoutes(desired))
    yield { input: JSON.stringify(desired), expected: `rejected: ${because}`, actual }
  }
}

function describeRoute(text: string): string {
  const { source, condition, sink } = parseRoute(text)
  return `${source} | ${condition.text} | ${endpointId(sink)}`
}

function describeDeliveries(desired: unknown, message: RoutableMessage): string {
  return compileRoutes(desired)
    .route(message)
    .map(({ endpointId, priority, timeToLiveSecs }) => `${endpointId} ${priority} ${timeToLiveSecs ?? 'forever'}`)
    .sort()
    .join(', ')
}

function toMessage(message: Section['message']): RoutableMessage {
  const { source, body, bodyText, bodyEncoding } = message
  const text = bodyText ?? (body === undefined ? '' : JSON.stringify(body))
  return { ...message, source: toSource(source), body: Buffer.from(text, bodyEncoding) }
}

function toSource(path: string): RoutableMessage['source'] {
  const source = parseSourcePath(path)
  if (source === undefined) throw refuse(`'${path}' is not the path of a source`)
  return source
}

function attempt(answer: () => string): string {
  try {
    return answer()
  } catch (error) {
    return `rejected: ${errorText(error)}`
  }
}

function refusal(compile: () => unknown): string {
  try {
    compile()
    return 'accepted'
  } catch {
    return 'rejected'
  }
}

function refusalBecause(because: string, compile: () => unknown): string {
  try {
    compile()
    return 'accepted'
  } catch (error) {
    return `rejected: ${errorText(error).includes(because) ? because : errorText(error)}`
  }
}
