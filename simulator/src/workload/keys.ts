import { randomBytes, randomInt } from 'node:crypto'
import { join } from 'node:path'
import { readState, writeState } from '@weir/lib/atomic-file'
import { z } from 'zod'
import type { ModuleIdentity } from '../upstream-link.ts'
import { makePrivateFolder } from './private-files.ts'

const stateVersion = 1
const stateSchema = z.array(z.strictObject({ moduleId: z.string(), generationId: z.string(), primaryKey: z.string() }))

/**
 * Symmetric key and generation id of each module: made the first time a module is named, the same ever after.
 * Kept in `<folder>/identities.json` (0600).
 */
export class ModuleKeys {
  readonly #file: string
  readonly #identities: Map<string, ModuleIdentity>

  /** @throws WeirError STATE_DAMAGED or STATE_NEWER where the kept identities cannot be read. */
  constructor(folder: string) {
    makePrivateFolder(folder)
    this.#file = join(folder, 'identities.json')
    const kept = readState(this.#file, stateVersion, stateSchema) ?? []
    this.#identities = new Map(kept.map((identity) => [identity.moduleId, identity]))
  }

  /** Identities of `moduleIds`, in that order; those not known yet are made and kept before this returns. */
  identities(moduleIds: readonly string[]): ModuleIdentity[] {
    const missing = moduleIds.filter((moduleId) => !this.#identities.has(moduleId))
    for (const moduleId of missing) this.#identities.set(moduleId, makeIdentity(moduleId))
    if (missing.length > 0)
      writeState(
        this.#file,
        stateVersion,
        [...this.#identities.values()].map((identity) => ({ ...identity })),
      )
    return moduleIds.flatMap((moduleId) => this.#identities.get(moduleId) ?? [])
  }

  /** The identity of a module that was named before, or undefined. */
  get(moduleId: string): ModuleIdentity | undefined {
    return this.#identities.get(moduleId)
  }
}

/** Generation ids look like IoT Hub's: a number of 18 digits. Keys have 32 bytes. */
function makeIdentity(moduleId: string): ModuleIdentity {
  const digits = `${randomInt(100_000_000, 1_000_000_000)}${randomInt(100_000_000, 1_000_000_000)}`
  return { moduleId, generationId: digits, primaryKey: randomBytes(32).toString('base64') }
}
