import { isJsonObject, type JsonObject, type JsonValue, mergePatch } from '@weir/lib/json'
import { checkReported } from '@weir/lib/twin-limits'
import type { TwinState } from '../upstream-link.ts'
import type { Database } from './database.ts'
import type { GroupCommit } from './group-commit.ts'

/** A change of desired properties, as it goes to the module. */
export interface DesiredChange {
  readonly moduleId: string
  readonly patch: JsonObject
  readonly version: number
}

/** A reported patch that the cloud has not taken yet. */
export interface PendingReport {
  readonly id: number
  readonly moduleId: string
  readonly patch: JsonObject
}

const emptyTwin: TwinState = { desired: {}, desiredVersion: 1, reported: {}, reportedVersion: 1 }

/** What `$iothub/twin/GET` answers. */
export function twinDocument({ desired, desiredVersion, reported, reportedVersion }: TwinState): JsonObject {
  return {
    desired: { ...desired, $version: desiredVersion },
    reported: { ...reported, $version: reportedVersion },
  }
}

/** The patch that turns `before` into `after`: null deletes. */
export function desiredDifference(before: JsonObject, after: JsonObject): JsonObject {
  const patch = new Map<string, JsonValue>()
  for (const key of Object.keys(before)) if (!Object.hasOwn(after, key)) patch.set(key, null)
  for (const [key, value] of Object.entries(after)) {
    const old = Object.hasOwn(before, key) ? before[key] : undefined
    if (isJsonObject(old) && isJsonObject(value)) {
      const inner = desiredDifference(old, value)
      if (Object.keys(inner).length > 0) patch.set(key, inner)
    } else if (JSON.stringify(old) !== JSON.stringify(value)) {
      patch.set(key, value)
    }
  }
  return Object.fromEntries(patch)
}

/** `$version` and `$metadata` are the service's, not properties. */
function withoutServiceKeys(section: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(section).filter(([name]) => !name.startsWith('$')))
}

/**
 * Twins of the device's modules, on disk, so that everything works while the cloud is away. Reported patches wait on
 * disk for the cloud, in order.
 */
export class TwinStore {
  readonly #commit: GroupCommit
  readonly #database: Database
  readonly #twins: Map<string, TwinState>

  constructor(database: Database, commit: GroupCommit) {
    this.#database = database
    this.#commit = commit
    const rows = database.prepare('SELECT * FROM twin').all()
    this.#twins = new Map(
      rows.map((row) => [
        String(row['moduleId']),
        {
          desired: JSON.parse(String(row['desired'])),
          desiredVersion: Number(row['desiredVersion']),
          reported: JSON.parse(String(row['reported'])),
          reportedVersion: Number(row['reportedVersion']),
        },
      ]),
    )
  }

  get(moduleId: string): TwinState {
    return this.#twins.get(moduleId) ?? emptyTwin
  }

  /** What the cloud holds, after a connection was made. @returns what changed meanwhile, for each module. */
  welcome(twins: Readonly<Record<string, TwinState>>): DesiredChange[] {
    for (const moduleId of [...this.#twins.keys()]) {
      if (Object.hasOwn(twins, moduleId)) continue
      this.#twins.delete(moduleId)
      this.#commit.later(() => this.#database.prepare('DELETE FROM twin WHERE moduleId = ?').run(moduleId))
    }
    this.#commit.flush()
    return Object.entries(twins).flatMap(([moduleId, twin]) => this.#welcomeTwin(moduleId, twin) ?? [])
  }

  #welcomeTwin(moduleId: string, twin: TwinState): DesiredChange | undefined {
    const pending = this.#database
      .prepare('SELECT patch FROM reportedPatch WHERE moduleId = ? ORDER BY id')
      .all(moduleId)
    const desired = withoutServiceKeys(twin.desired)
    const before = this.get(moduleId)
    this.#set(moduleId, {
      desired,
      desiredVersion: twin.desiredVersion,
      reported: pending.reduce(
        (reported, row) => mergePatch(reported, JSON.parse(String(row['patch']))),
        withoutServiceKeys(twin.reported),
      ),
      reportedVersion: twin.reportedVersion + pending.length,
    })
    const patch = desiredDifference(before.desired, desired)
    const changed = before.desiredVersion !== twin.desiredVersion || Object.keys(patch).length > 0
    return changed ? { moduleId, patch, version: twin.desiredVersion } : undefined
  }

  /** A patch of desired properties from the cloud. @returns undefined where it is not newer than what is known. */
  desiredPatch(moduleId: string, patch: JsonObject, version: number): DesiredChange | undefined {
    const twin = this.get(moduleId)
    if (version <= twin.desiredVersion && this.#twins.has(moduleId)) return undefined
    const properties = withoutServiceKeys(patch)
    this.#set(moduleId, { ...twin, desired: mergePatch(twin.desired, properties), desiredVersion: version })
    return { moduleId, patch: properties, version }
  }

  /**
   * Merges reported properties; `settled` is called once the patch is on disk, for the cloud too.
   * @returns why it is refused, and then nothing changes and `settled` is not called.
   */
  report(moduleId: string, patch: unknown, settled: (error: Error | undefined) => void): string | undefined {
    if (!isJsonObject(patch)) return 'reported: not an object'
    const twin = this.get(moduleId)
    const problem = checkReported(patch, twin.reported)
    if (problem !== undefined) return problem
    const changed = {
      ...twin,
      reported: mergePatch(twin.reported, patch),
      reportedVersion: twin.reportedVersion + 1,
    }
    this.#twins.set(moduleId, changed)
    this.#commit.write(() => {
      this.#write(moduleId, changed)
      this.#database
        .prepare('INSERT INTO reportedPatch (moduleId, patch) VALUES (?, ?)')
        .run(moduleId, JSON.stringify(patch))
    }, settled)
    return undefined
  }

  nextReport(): PendingReport | undefined {
    const row = this.#database.prepare('SELECT id, moduleId, patch FROM reportedPatch ORDER BY id LIMIT 1').get()
    return row === undefined
      ? undefined
      : { id: Number(row['id']), moduleId: String(row['moduleId']), patch: JSON.parse(String(row['patch'])) }
  }

  /** The cloud took or refused the patch. */
  reportDone({ id }: PendingReport): void {
    this.#commit.later(() => this.#database.prepare('DELETE FROM reportedPatch WHERE id = ?').run(id))
    this.#commit.flush()
  }

  #set(moduleId: string, twin: TwinState): void {
    this.#twins.set(moduleId, twin)
    this.#commit.later(() => this.#write(moduleId, twin))
  }

  #write(moduleId: string, { desired, desiredVersion, reported, reportedVersion }: TwinState): void {
    this.#database
      .prepare('INSERT OR REPLACE INTO twin VALUES (?, ?, ?, ?, ?)')
      .run(moduleId, JSON.stringify(desired), desiredVersion, JSON.stringify(reported), reportedVersion)
  }
}
