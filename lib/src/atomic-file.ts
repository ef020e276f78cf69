import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { z } from 'zod'
import { errorText, WeirError } from './errors.ts'
import { asObject, type JsonValue } from './json.ts'

/**
 * Writes a file so that after a crash at any moment the old or the new content is there, whole.
 * Throws STATE_UNWRITABLE.
 */
export function writeFileAtomic(path: string, content: string | Uint8Array): void {
  const temporary = `${path}.new`
  try {
    const bytes = typeof content === 'string' ? Buffer.from(content) : content
    const file = openSync(temporary, 'w', 0o600)
    try {
      for (let written = 0; written < bytes.length; ) written += writeSync(file, bytes, written)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    renameSync(temporary, path)
    syncFolder(dirname(path))
  } catch (error) {
    throw new WeirError('STATE_UNWRITABLE', `${path}: cannot be written: ${errorText(error)}`, { cause: error })
  }
}

/** The rename itself is on disk only once its folder is. */
function syncFolder(folder: string): void {
  const handle = openSync(folder, 'r')
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}

const envelope = z.object({ stateVersion: z.int().min(1), state: z.json() })

/** Writes JSON state with its version. Throws STATE_UNWRITABLE. */
export function writeState(path: string, stateVersion: number, state: JsonValue): void {
  writeFileAtomic(path, `${JSON.stringify({ stateVersion, state })}\n`)
}

/**
 * Reads what `writeState` wrote; undefined where there is no file.
 * Throws STATE_NEWER where a newer version wrote it, STATE_DAMAGED where it cannot be read or `schema` does not take it.
 * @param migrate Turns the state of an older version into one of `stateVersion`.
 */
export function readState<State>(
  path: string,
  stateVersion: number,
  schema: z.ZodType<State>,
  migrate: (state: JsonValue, version: number) => JsonValue = (state) => state,
): State | undefined {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw new WeirError('STATE_DAMAGED', `${path}: cannot be read: ${errorText(error)}`, { cause: error })
  }
  try {
    const value: unknown = JSON.parse(text)
    const version = asObject(value)?.['stateVersion']
    if (typeof version === 'number' && version > stateVersion) {
      throw new WeirError(
        'STATE_NEWER',
        `${path}: version ${version} is newer than ${stateVersion}; run the newer module or remove the file`,
      )
    }
    const parsed = envelope.parse(value)
    const state: JsonValue =
      parsed.stateVersion < stateVersion ? migrate(parsed.state, parsed.stateVersion) : parsed.state
    return schema.parse(state)
  } catch (error) {
    if (error instanceof WeirError) throw error
    throw new WeirError('STATE_DAMAGED', `${path}: is damaged: ${errorText(error)}`, { cause: error })
  }
}
