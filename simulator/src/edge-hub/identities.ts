import type { ModuleIdentity } from '../upstream-link.ts'
import type { Database } from './database.ts'
import type { GroupCommit } from './group-commit.ts'

/** Who may connect; kept on disk, so that modules connect while the cloud is away. */
export class IdentityStore {
  readonly #commit: GroupCommit
  readonly #database: Database
  #identities: ReadonlyMap<string, ModuleIdentity>

  constructor(database: Database, commit: GroupCommit) {
    this.#database = database
    this.#commit = commit
    const rows = database.prepare('SELECT moduleId, generationId, primaryKey FROM identity').all()
    this.#identities = new Map(
      rows.map((row) => [
        String(row['moduleId']),
        {
          moduleId: String(row['moduleId']),
          generationId: String(row['generationId']),
          primaryKey: String(row['primaryKey']),
        },
      ]),
    )
  }

  /** false until the cloud named the identities, ever. */
  get known(): boolean {
    return this.#identities.size > 0
  }

  get(moduleId: string): ModuleIdentity | undefined {
    return this.#identities.get(moduleId)
  }

  /** @returns the modules that were known and are not any more, or have another key. */
  replace(identities: readonly ModuleIdentity[]): string[] {
    const before = this.#identities
    const after = new Map(identities.map((identity) => [identity.moduleId, identity]))
    this.#identities = after
    this.#commit.later(() => {
      this.#database.prepare('DELETE FROM identity').run()
      const insert = this.#database.prepare(
        'INSERT INTO identity (moduleId, generationId, primaryKey) VALUES (?, ?, ?)',
      )
      for (const { moduleId, generationId, primaryKey } of after.values())
        insert.run(moduleId, generationId, primaryKey)
    })
    return [...before.values()]
      .filter(({ moduleId, primaryKey }) => after.get(moduleId)?.primaryKey !== primaryKey)
      .map(({ moduleId }) => moduleId)
  }
}
