/**
 * The one place that opens SQLite. WAL with synchronous=FULL: each commit is synced before it counts, so that neither
 * kill -9 nor a power cut loses what was acknowledged. Group commits (group-commit.ts) pay for it: one sync serves every
 * message of an event-loop turn.
 */
import { closeSync, mkdirSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { errorText, WeirError } from '@weir/lib/errors'

export type Statement = StatementSync

const schemaVersion = 1
const schema = `
CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
-- A queue holds what goes to one module (or upstream) with one priority.
CREATE TABLE queue (id INTEGER PRIMARY KEY, target TEXT NOT NULL, priority INTEGER NOT NULL, UNIQUE (target, priority)) STRICT;
CREATE TABLE message (id INTEGER PRIMARY KEY, head TEXT NOT NULL, body BLOB NOT NULL) STRICT;
-- id: number of the queue * 2^40 + sequence, so that a queue is a range of the table, in order.
CREATE TABLE delivery (
  id INTEGER PRIMARY KEY, message INTEGER NOT NULL, input TEXT NOT NULL, expiresMs INTEGER, shared INTEGER NOT NULL
) STRICT;
-- A message that several deliveries share goes with the last of them.
CREATE INDEX sharedDelivery ON delivery (message) WHERE shared = 1;
CREATE TABLE twin (
  moduleId TEXT PRIMARY KEY, desired TEXT NOT NULL, desiredVersion INTEGER NOT NULL,
  reported TEXT NOT NULL, reportedVersion INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE reportedPatch (id INTEGER PRIMARY KEY AUTOINCREMENT, moduleId TEXT NOT NULL, patch TEXT NOT NULL) STRICT;
CREATE TABLE identity (moduleId TEXT PRIMARY KEY, generationId TEXT NOT NULL, primaryKey TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE subscription (
  clientId TEXT NOT NULL, filter TEXT NOT NULL, qos INTEGER NOT NULL, PRIMARY KEY (clientId, filter)
) STRICT, WITHOUT ROWID;
`

/** Result codes (https://sqlite.org/rescode.html): SQLITE_BUSY, SQLITE_CORRUPT, SQLITE_NOTADB. */
const busy = 5
const damaged: readonly unknown[] = [11, 26]

export class Database {
  readonly #database: DatabaseSync

  /**
   * Opens or makes the file (0600) and holds it alone until `close` or the end of the process.
   * @throws WeirError STATE_LOCKED, STATE_NEWER, STATE_DAMAGED, STATE_UNWRITABLE.
   */
  constructor(path: string) {
    try {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
      closeSync(openSync(path, 'a', 0o600))
      this.#database = new DatabaseSync(path)
      // auto_vacuum must be set before the first table is made.
      this.#database.exec(`
        PRAGMA locking_mode = EXCLUSIVE; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;
        PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -4096;
      `)
      this.#migrate(path)
    } catch (error) {
      if (error instanceof WeirError) throw error
      const code = error instanceof Error && 'errcode' in error ? error.errcode : undefined
      if (code === busy) {
        throw new WeirError('STATE_LOCKED', `edge-hub: ${path}: another edge hub holds it; stop that one first`)
      }
      if (damaged.includes(code)) {
        throw new WeirError(
          'STATE_DAMAGED',
          `edge-hub: ${path}: is damaged: ${errorText(error)}; move it away, and the edge hub begins with empty queues`,
          { cause: error },
        )
      }
      throw new WeirError('STATE_UNWRITABLE', `edge-hub: ${path}: cannot be opened: ${errorText(error)}`, {
        cause: error,
      })
    }
  }

  prepare(sql: string): Statement {
    return this.#database.prepare(sql)
  }

  /** Runs `work` in one transaction: all of it is on disk afterwards, or none where it throws. */
  transaction(work: () => void): void {
    this.#database.exec('BEGIN IMMEDIATE')
    try {
      work()
      this.#database.exec('COMMIT')
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      throw error
    }
  }

  /** Gives free pages back to the file system where they are many, a few megabytes at a time. */
  reclaim(): void {
    const free = Number(this.prepare('PRAGMA freelist_count').get()?.['freelist_count'])
    const pages = Number(this.prepare('PRAGMA page_count').get()?.['page_count'])
    if (free > 4096 && free > pages / 4) this.#database.exec('PRAGMA incremental_vacuum(2048)')
  }

  close(): void {
    if (this.#database.isOpen) this.#database.close()
  }

  #migrate(path: string): void {
    const version = Number(this.prepare('PRAGMA user_version').get()?.['user_version'])
    if (version > schemaVersion) {
      throw new WeirError(
        'STATE_NEWER',
        `edge-hub: ${path}: version ${version} is newer than ${schemaVersion}; run the newer Weir or remove the file`,
      )
    }
    if (version === 0) {
      this.transaction(() => this.#database.exec(`${schema} PRAGMA user_version = ${schemaVersion};`))
    }
  }
}
