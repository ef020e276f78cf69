import { errorText } from '@weir/lib/errors'
import { asObject, type JsonObject, type JsonValue } from '@weir/lib/json'
import { RouteError } from './error.ts'
import type { RoutableMessage } from './message.ts'
import { type ParsedRoute, parseRoute, type Sink } from './route.ts'
import { foldedSourcePath } from './source.ts'

/** Of routes that name no priority: after all that do. */
export const priorityDefault = 2_000_000_000
const priorityMax = 9
const unsignedMax = 0xffff_ffff
const signedMax = 0x7fff_ffff
const schemaMinorMax = 3

export interface NamedRoute extends ParsedRoute {
  readonly name: string
  /** 0 is served first. */
  readonly priority: number
  /** Seconds; null when messages are kept until delivered. The route's own, else that of the whole hub. */
  readonly timeToLiveSecs: number | null
}

/** One copy of a message for one endpoint. */
export interface Delivery {
  /** `$upstream` or `module/input`. */
  readonly endpointId: string
  readonly sink: Sink
  readonly priority: number
  /** Seconds; null when the message is kept until delivered. */
  readonly timeToLiveSecs: number | null
  /** The route that brought it here. */
  readonly route: string
}

export interface RouteTable {
  /** In the order of the manifest. */
  readonly routes: readonly NamedRoute[]
  /** Of `storeAndForwardConfiguration`, in seconds; null when messages are kept until delivered. */
  readonly timeToLiveSecs: number | null
  /**
   * One delivery for each endpoint that a matching route leads to, at the lowest number of their priorities; of equal
   * ones the first route's. None when no route takes the message. Never throws.
   */
  route(message: RoutableMessage): Delivery[]
}

export interface RoutesReading {
  readonly routes: readonly NamedRoute[]
  readonly timeToLiveSecs: number | null
  readonly problems: readonly RouteError[]
}

/**
 * Compiles the desired properties of `$edgeHub`, schema 1.0 to 1.3.
 * Throws the first `RouteError`: one bad route refuses the whole configuration, and a running hub keeps its old one.
 */
export function compileRoutes(desiredOfEdgeHub: unknown): RouteTable {
  const { routes, timeToLiveSecs, problems } = readRoutes(desiredOfEdgeHub)
  const [problem] = problems
  if (problem !== undefined) throw problem
  return { routes, timeToLiveSecs, route: (message) => routeMessage(routes, message) }
}

export function endpointId(sink: Sink): string {
  return sink.kind === 'upstream' ? '$upstream' : `${sink.moduleId}/${sink.input}`
}

function routeMessage(routes: readonly NamedRoute[], message: RoutableMessage): Delivery[] {
  const path = foldedSourcePath(message.source)
  const best = new Map<string, Delivery>()
  for (const { name, sourcePrefix, condition, sink, priority, timeToLiveSecs } of routes) {
    if (!path.startsWith(sourcePrefix)) continue
    const id = endpointId(sink)
    const before = best.get(id)
    if (before !== undefined && before.priority <= priority) continue
    if (condition.evaluate(message) !== true) continue
    best.set(id, { endpointId: id, sink, priority, timeToLiveSecs, route: name })
  }
  return [...best.values()]
}

/** Reads what can be read, and every problem: what `compileRoutes` throws first, a linter shows whole. */
export function readRoutes(desiredOfEdgeHub: unknown): RoutesReading {
  const problems: RouteError[] = []
  const attempt = <T>(read: () => T): T | undefined => {
    try {
      return read()
    } catch (error) {
      problems.push(toRouteError(error))
      return undefined
    }
  }
  const desired = asObject(desiredOfEdgeHub) ?? {}
  const minor = attempt(() => schemaMinor(desired['schemaVersion'])) ?? schemaMinorMax
  const timeToLiveSecs = attempt(() => hubTimeToLive(desired)) ?? null
  const routes: NamedRoute[] = []
  for (const [name, value] of attempt(() => routeEntries(desired, minor)) ?? []) {
    const route = attempt(() => readNamedRoute(name, value, minor, timeToLiveSecs))
    if (route !== undefined) routes.push(route)
  }
  return { routes, timeToLiveSecs, problems }
}

function toRouteError(error: unknown): RouteError {
  if (error instanceof RouteError) return error
  return new RouteError({ problem: errorText(error), hint: 'this is a fault of the simulator' })
}

function fail(problem: string, hint: string): never {
  throw new RouteError({ problem, hint })
}

function schemaMinor(version: JsonValue | undefined): number {
  const hint = 'write "schemaVersion": "1.1" for routes with priorities, or "1.0"'
  if (version === undefined) fail('$edgeHub: schemaVersion is missing', hint)
  const match = /^1\.([0-9]+)(?:\.[0-9]+){0,2}$/.exec(String(version))
  const minor = Number(match?.[1])
  if (!(minor <= schemaMinorMax)) fail(`$edgeHub: schemaVersion "${version}" is not supported`, hint)
  return minor
}

function hubTimeToLive(desired: JsonObject): number | null {
  const configuration = asObject(field(desired, 'storeAndForwardConfiguration'))
  if (configuration === undefined) {
    fail(
      '$edgeHub: storeAndForwardConfiguration is missing',
      'write "storeAndForwardConfiguration": {"timeToLiveSecs": 7200}',
    )
  }
  const value = field(configuration, 'timeToLiveSecs') ?? 0
  const secs = readInteger(value, -signedMax - 1, signedMax)
  if (secs === undefined) {
    fail(
      `$edgeHub: storeAndForwardConfiguration: timeToLiveSecs ${JSON.stringify(value)} is not a whole number`,
      'write seconds, or a negative number to keep messages until they are delivered',
    )
  }
  return secs < 0 ? null : secs
}

/** Schema 1.0 may do without routes, and skips blank ones. */
function routeEntries(desired: JsonObject, minor: number): [string, JsonValue][] {
  const value = field(desired, 'routes')
  if (minor === 0 && (value === undefined || value === null)) return []
  const routes = asObject(value)
  if (routes === undefined) {
    fail('$edgeHub: routes are missing', 'write "routes": {"<name>": "FROM /messages/* INTO $upstream"}')
  }
  return Object.entries(routes).filter(([, route]) => minor > 0 || typeof route !== 'string' || route.trim() !== '')
}

function readNamedRoute(name: string, value: JsonValue, minor: number, hubSecs: number | null): NamedRoute {
  try {
    checkName(name)
    const { text, priority, timeToLiveSecs } = readSpecification(value, minor)
    const route = parseRoute(text)
    return { ...route, name, priority, timeToLiveSecs: timeToLiveSecs === 0 ? hubSecs : timeToLiveSecs }
  } catch (error) {
    throw toRouteError(error).with({ route: name })
  }
}

function checkName(name: string): void {
  // Names are keys of a twin, which takes none of these.
  const wrong = [...name].find((char) => '.$#'.includes(char) || /[\s\p{Cc}]/u.test(char))
  if (wrong !== undefined)
    fail(`its name has ${JSON.stringify(wrong)}`, 'leave out dots, $, #, spaces and control characters')
  if (name === '') fail('it has no name', 'give every route a name')
}

interface Specification {
  readonly text: string
  readonly priority: number
  /** 0: that of the hub. */
  readonly timeToLiveSecs: number
}

function readSpecification(value: JsonValue, minor: number): Specification {
  if (typeof value === 'string') return { text: value, priority: priorityDefault, timeToLiveSecs: 0 }
  const object = asObject(value)
  if (minor === 0 || object === undefined) {
    const hint =
      minor === 0
        ? 'schema 1.0 takes routes as text only; priority and timeToLiveSecs need schemaVersion 1.1'
        : 'write text, or {"route": "FROM … INTO …", "priority": 0, "timeToLiveSecs": 7200}'
    fail(`${JSON.stringify(value)} is not a route`, hint)
  }
  const text = field(object, 'route')
  if (typeof text !== 'string' || text.trim() === '') fail('it has no "route"', 'write "route": "FROM … INTO …"')
  const priorityValue = field(object, 'priority') ?? priorityDefault
  const priority = readInteger(priorityValue, 0, priorityDefault)
  if (priority === undefined || (priority > priorityMax && priority !== priorityDefault)) {
    fail(`priority ${JSON.stringify(priorityValue)} is not between 0 and ${priorityMax}`, '0 is served first')
  }
  const secsValue = field(object, 'timeToLiveSecs') ?? 0
  const timeToLiveSecs = readInteger(secsValue, 0, unsignedMax)
  if (timeToLiveSecs === undefined) {
    fail(
      `timeToLiveSecs ${JSON.stringify(secsValue)} is not a whole number from 0`,
      'write seconds; 0 means that of storeAndForwardConfiguration',
    )
  }
  return { text, priority, timeToLiveSecs }
}

/** A member by its name, or by its name in other case, as edgeHub's JSON reader finds it. */
function field(object: JsonObject, name: string): JsonValue | undefined {
  if (Object.hasOwn(object, name)) return object[name]
  const lower = name.toLowerCase()
  return Object.entries(object).find(([key]) => key.toLowerCase() === lower)?.[1]
}

/** A whole number within bounds, or text of one; undefined for anything else. */
function readInteger(value: JsonValue, min: number, max: number): number | undefined {
  const number = typeof value === 'string' && /^[+-]?[0-9]+$/.test(value.trim()) ? Number(value) : value
  return typeof number === 'number' && Number.isInteger(number) && number >= min && number <= max ? number : undefined
}
