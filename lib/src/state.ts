import { join } from 'node:path'
import type { z } from 'zod'
import { readState } from './atomic-file.ts'
import { WeirError } from './errors.ts'
import type { ModuleContext } from './module.ts'

/**
 * Reads a module's saved state; undefined where there is none yet. Damaged state is reported and passed over, state of
 * a newer version stops the module (STATE_NEWER): an older one must not overwrite it.
 * @param file Name within the module's state folder.
 */
export function loadState<State>(
  context: Pick<ModuleContext, 'stateFolder' | 'reject'>,
  file: string,
  stateVersion: number,
  schema: z.ZodType<State>,
): State | undefined {
  try {
    return readState(join(context.stateFolder, file), stateVersion, schema)
  } catch (error) {
    if (!(error instanceof WeirError) || error.code !== 'STATE_DAMAGED') throw error
    context.reject('stateDamaged', error.message)
    return undefined
  }
}
