import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { WeirError } from '@weir/lib/errors'
import { findService } from '../cloud/service-file.ts'
import { makePrivateFolder } from '../workload/private-files.ts'
import { rootFolder } from './preparation.ts'

/** Where `weir` looks for the simulator unless it is told another folder. */
export const stateFolderDefault = join(rootFolder, '.state')

const answerTimeoutMs = 1000

/** Whether a simulator that answers runs on the folder; one that was killed leaves its file behind. */
async function isInUse(folder: string): Promise<boolean> {
  try {
    const { url, token } = findService(folder)
    const headers = { authorization: `Bearer ${token}` }
    const answer = await fetch(`${url}/modules`, { headers, signal: AbortSignal.timeout(answerTimeoutMs) })
    return answer.ok
  } catch {
    return false
  }
}

export interface StateFolder {
  readonly path: string
  /** An earlier run left something in it. */
  readonly isUsed: boolean
}

/**
 * Makes the state folder ready: one that the user names is kept as it is, the default one is emptied.
 * Throws STATE_LOCKED where another simulator runs on it.
 */
export async function openStateFolder(given: string | undefined): Promise<StateFolder> {
  const path = given ?? stateFolderDefault
  if (await isInUse(path)) {
    throw new WeirError(
      'STATE_LOCKED',
      `${path}: another simulator runs on it; stop that one, or start this one with --state FOLDER --port 0`,
    )
  }
  if (given === undefined) rmSync(path, { recursive: true, force: true })
  const isUsed = existsSync(path) && readdirSync(path).length > 0
  makePrivateFolder(path)
  mkdirSync(join(path, 'logs'), { recursive: true })
  return { path, isUsed }
}
