import {
  closeSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { dirname, resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

/** What the journal asks of the operating system; all calls block. Errors are the system's, with its `code` (`ENOSPC`). */
export interface FileSystem {
  /** Creates a folder and its parents, durably; does nothing where it exists. */
  makeFolder(path: string): void
  /** Names of the files of a folder, in any order. */
  list(path: string): string[]
  /** `create` empties an existing file; `read` and `write` need one. Returns a descriptor. */
  open(path: string, mode: 'create' | 'write' | 'read'): number
  close(descriptor: number): void
  size(descriptor: number): number
  /** Returns the bytes read, 0 at the end of the file. */
  read(descriptor: number, target: Uint8Array, targetOffset: number, length: number, position: number): number
  /** Returns the bytes written, which may be fewer than `length`. */
  write(descriptor: number, source: Uint8Array, sourceOffset: number, length: number, position: number): number
  truncate(descriptor: number, bytes: number): void
  /** Returns when the file's bytes are on the disk. */
  sync(descriptor: number): void
  /** Returns when names created in and removed from the folder are on the disk. */
  syncFolder(path: string): void
  remove(path: string): void
  /** Holds `path` as a lock until released or until the process ends, however it ends. undefined: another holder lives. */
  lock(path: string): FileLock | undefined
  /** 32 hexadecimal digits that differ between any two boots of the machine, all zero where the system tells none. */
  bootId(): string
}

export interface FileLock {
  release(): void
}

const sqliteBusy = 5
const openFlags = { create: 'w+', write: 'r+', read: 'r' } as const

export const nodeFileSystem: FileSystem = {
  makeFolder(path) {
    const first = mkdirSync(path, { recursive: true })
    if (first === undefined) return
    // A name is durable once the folder that holds it is synced.
    const top = dirname(resolve(first))
    for (let folder = dirname(resolve(path)); folder.length >= top.length; folder = dirname(folder)) {
      syncFolder(folder)
      if (folder === dirname(folder)) break
    }
  },
  list: (path) => readdirSync(path),
  open: (path, mode) => openSync(path, openFlags[mode]),
  close: closeSync,
  size: (descriptor) => fstatSync(descriptor).size,
  read: readSync,
  write: writeSync,
  truncate: ftruncateSync,
  sync: fsyncSync,
  syncFolder,
  remove: unlinkSync,
  lock: lockFile,
  bootId: readBootId,
}

function syncFolder(path: string): void {
  // Windows cannot open a folder; NTFS journals its names by itself.
  if (process.platform === 'win32') return
  const descriptor = openSync(path, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/**
 * SQLite is Node's only way to a lock that the kernel holds (fcntl, LockFileEx). The kernel lets go of it when the process
 * ends, by SIGKILL too, and keeps it while the process is frozen. A process id in a file would do neither: in a container
 * the id is always 1, and a volume may be shared by two containers that do not see each other's processes.
 */
function lockFile(path: string): FileLock | undefined {
  const database = new DatabaseSync(path)
  try {
    database.exec('PRAGMA journal_mode = OFF; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE')
  } catch (error) {
    database.close()
    if (error instanceof Error && 'errcode' in error && error.errcode === sqliteBusy) return undefined
    throw error
  }
  return { release: () => database.close() }
}

function readBootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim().replaceAll('-', '')
  } catch {
    return '0'.repeat(32)
  }
}
