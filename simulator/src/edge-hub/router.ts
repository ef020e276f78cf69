import { errorText } from '@weir/lib/errors'
import type { JsonObject } from '@weir/lib/json'
import { compileRoutes, type RouteTable } from '../routes/table.ts'
import type { Database } from './database.ts'
import type { GroupCommit } from './group-commit.ts'
import { connectionModuleId, type Destination, type HubMessage, upstreamTarget } from './message.ts'

/** System properties that edgeHub calls by another name than IoT Hub, for conditions such as `$cid = 'a'`. */
const edgeHubNames = [
  ['correlationId', 'cid'],
  ['expiryTimeUtc', 'absolute-expiry-time'],
  ['creationTimeUtc', 'creationTime'],
  ['interfaceId', 'iothub-interface-id'],
] as const

export interface DesiredStatus {
  readonly code: 200 | 400
  readonly description: string
}

/**
 * The routes in force. A configuration with one bad route is refused whole and the one before stays, over restarts too.
 */
export class Router {
  readonly #deviceId: string
  readonly #database: Database
  readonly #commit: GroupCommit
  #table: RouteTable | undefined

  constructor(deviceId: string, database: Database, commit: GroupCommit) {
    this.#deviceId = deviceId
    this.#database = database
    this.#commit = commit
    const kept = database.prepare("SELECT value FROM meta WHERE name = 'routes'").get()?.['value']
    if (typeof kept === 'string') this.configure(JSON.parse(kept))
  }

  /** Takes the desired properties of `$edgeHub`. */
  configure(desired: JsonObject): DesiredStatus {
    try {
      this.#table = compileRoutes(desired)
    } catch (error) {
      return { code: 400, description: `Error while parsing desired properties - ${errorText(error)}` }
    }
    this.#commit.later(() => {
      const keep = this.#database.prepare("INSERT OR REPLACE INTO meta (name, value) VALUES ('routes', ?)")
      keep.run(JSON.stringify(desired))
    })
    return { code: 200, description: '' }
  }

  /** Where a message goes; empty where no route takes it. Priority and time to live are those of this moment. */
  route(message: HubMessage): Destination[] {
    const { kind, moduleId, properties, body, enqueuedMs } = message
    const output = message.systemProperties['outputName']
    const deliveries = this.#table?.route({
      source: kind === 'twinChange' ? { kind, moduleId } : { kind: 'module', moduleId, output },
      properties,
      systemProperties: this.#systemProperties(message),
      body,
    })
    return (deliveries ?? []).map(({ sink, priority, timeToLiveSecs }) => ({
      ...(sink.kind === 'upstream'
        ? { target: upstreamTarget, input: '' }
        : { target: sink.moduleId, input: sink.input }),
      priority,
      expiresMs: timeToLiveSecs === null ? undefined : enqueuedMs + timeToLiveSecs * 1000,
    }))
  }

  #systemProperties(message: HubMessage): Record<string, string> {
    const named: Record<string, string> = {
      ...message.systemProperties,
      connectionDeviceId: this.#deviceId,
      connectionModuleId: connectionModuleId(message),
    }
    for (const [name, edgeHubName] of edgeHubNames) {
      const value = named[name]
      if (value !== undefined) named[edgeHubName] = value
    }
    return named
  }
}
