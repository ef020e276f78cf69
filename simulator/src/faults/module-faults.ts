/**
 * What the supervisor tells a module's preload (preload.ts): one small file of JSON for each module. Imports nothing, so
 * that every module's process has it in a moment.
 */

export interface ModuleFaults {
  /** `full`: every write fails. N: each N-th does. null: all is well. */
  readonly disk: 'full' | number | null
  /** What the wall clock is ahead of the machine's, milliseconds. */
  readonly clockOffsetMs: number
}

export const noModuleFaults: ModuleFaults = { disk: null, clockOffsetMs: 0 }

/** Names the file; taken out of the environment before the module sees it. */
export const moduleFaultsVariable = 'WEIR_SIMULATED_FAULTS'
