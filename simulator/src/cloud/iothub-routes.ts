import { join } from 'node:path'
import { WeirError } from '@weir/lib/errors'
import type { JsonValue } from '@weir/lib/json'
import { z } from 'zod'
import { compileCondition } from '../routes/condition.ts'
import { RouteError } from '../routes/error.ts'
import type { RoutableMessage } from '../routes/message.ts'
import type { CloudMessage, MessageSink } from './cloud-message.ts'
import { JsonlFolder } from './jsonl-folder.ts'

const dayMs = 24 * 60 * 60 * 1000
/** Days that an endpoint's files are kept: the retention of the reference's event hub. */
const retentionDays = 7
/** The endpoint that every hub has. */
const builtInEndpoint = 'events'

const comment = z.string().optional()
const endpointName = z.string().regex(/^[A-Za-z0-9._-]{1,64}$/, 'must be 1 to 64 letters, digits, . _ -')
const schema = z.strictObject({
  comment,
  endpoints: z.array(z.strictObject({ name: endpointName, comment })),
  routes: z.array(
    z.strictObject({
      name: z.string().min(1).max(64),
      source: z.enum(['DeviceMessages', 'TwinChangeEvents', 'DeviceLifecycleEvents']),
      condition: z.string().default('true'),
      endpointNames: z.array(endpointName).min(1),
      isEnabled: z.boolean(),
      comment,
    }),
  ),
  fallbackRoute: z.strictObject({
    isEnabled: z.boolean(),
    endpointNames: z.tuple([z.literal(builtInEndpoint)]),
    comment,
  }),
})

interface CompiledRoute {
  readonly source: CloudMessage['source']
  readonly endpointNames: readonly string[]
  matches(message: RoutableMessage): boolean
}

/** IoT Hub's routing of messages: which endpoints a message goes to. */
export interface IotHubRoutes {
  readonly endpointNames: readonly string[]
  /** Each endpoint once, however many routes lead there; the fallback's for a device message that no route matched. */
  endpointsFor(message: CloudMessage): readonly string[]
}

/**
 * Compiles the routes of a hub (`cloud/iothub-routes.json`).
 * @param deviceId The device that all messages come from, `$connectionDeviceId` in conditions.
 * @throws WeirError CONFIG_REFUSED with every problem: `source: routes/<name>: text`.
 */
export function compileIotHubRoutes(definition: JsonValue, source: string, deviceId: string): IotHubRoutes {
  const parsed = schema.safeParse(definition)
  if (!parsed.success) {
    refuse(
      source,
      parsed.error.issues.map((issue) => `${issue.path.join('/')}: ${issue.message}`),
    )
  }
  const { endpoints, routes, fallbackRoute } = parsed.data
  const endpointNames = [builtInEndpoint, ...endpoints.map(({ name }) => name)]
  const problems: string[] = []
  const compiled = routes
    .filter(({ isEnabled }) => isEnabled)
    .map((route): CompiledRoute => {
      const place = `routes/${route.name}`
      for (const name of route.endpointNames) {
        if (!endpointNames.includes(name)) problems.push(`${place}: endpoint ${name} is not declared under endpoints`)
      }
      return { ...route, matches: compile(route.condition, place, problems) }
    })
  if (problems.length > 0) refuse(source, problems)
  return {
    endpointNames,
    endpointsFor(message) {
      const routable = routableMessage(message, deviceId)
      const matched = compiled.filter((route) => route.source === message.source && route.matches(routable))
      if (matched.length > 0) return [...new Set(matched.flatMap((route) => route.endpointNames))]
      return fallbackRoute.isEnabled && message.source === 'DeviceMessages' ? fallbackRoute.endpointNames : []
    },
  }
}

function refuse(source: string, problems: readonly string[]): never {
  throw new WeirError('CONFIG_REFUSED', `${source}: ${problems.join('; ')}`)
}

function compile(condition: string, place: string, problems: string[]): (message: RoutableMessage) => boolean {
  try {
    const { evaluate, trailing } = compileCondition(condition)
    if (trailing !== undefined) problems.push(`${place}: text after the condition: ${condition.slice(trailing.offset)}`)
    return (message) => evaluate(message) === true
  } catch (error) {
    if (!(error instanceof RouteError)) throw error
    problems.push(`${place}: ${error.message}`)
    return () => false
  }
}

function routableMessage(message: CloudMessage, deviceId: string): RoutableMessage {
  return {
    source: { kind: 'module', moduleId: message.moduleId },
    properties: message.properties,
    systemProperties: {
      ...message.systemProperties,
      connectionDeviceId: deviceId,
      connectionModuleId: message.moduleId,
      enqueuedTime: new Date(message.enqueuedMs).toISOString(),
    },
    body: message.body,
  }
}

/**
 * Writes messages to the endpoints that their routes lead to: `<folder>/<endpoint>/<YYYY-MM-DD>.jsonl`, a file for
 * each day (UTC), kept for seven.
 */
export class EndpointFolders implements MessageSink {
  readonly #routes: IotHubRoutes
  readonly #folders: ReadonlyMap<string, JsonlFolder>
  #today = ''

  constructor(routes: IotHubRoutes, folder: string) {
    this.#routes = routes
    this.#folders = new Map(routes.endpointNames.map((name) => [name, new JsonlFolder(join(folder, name))]))
  }

  store(messages: readonly CloudMessage[]): void {
    const lastMs = messages.at(-1)?.enqueuedMs
    if (lastMs === undefined) return
    const today = dayOf(lastMs)
    if (today !== this.#today) this.#beginDay(today, lastMs)
    const byEndpoint = new Map<string, CloudMessage[]>()
    for (const message of messages) {
      for (const endpoint of this.#routes.endpointsFor(message)) {
        byEndpoint.set(endpoint, [...(byEndpoint.get(endpoint) ?? []), message])
      }
    }
    for (const [endpoint, group] of byEndpoint) this.#folders.get(endpoint)?.append(today, group)
  }

  close(): void {
    for (const folder of this.#folders.values()) folder.close()
  }

  #beginDay(today: string, nowMs: number): void {
    this.close()
    for (const folder of this.#folders.values()) folder.deleteBefore(dayOf(nowMs - (retentionDays - 1) * dayMs))
    this.#today = today
  }
}

function dayOf(unixMs: number): string {
  return new Date(unixMs).toISOString().slice(0, 10)
}
