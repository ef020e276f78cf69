import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { readState, writeState } from '@weir/lib/atomic-file'
import { type JsonObject, mergePatch } from '@weir/lib/json'
import { checkReported } from '@weir/lib/twin-limits'
import { z } from 'zod'
import type { TwinState } from '../upstream-link.ts'
import { RequestError } from '../workload/http-json.ts'
import { fileNameOf, makePrivateFolder } from '../workload/private-files.ts'

const stateVersion = 1
const properties = z.custom<JsonObject>((value) => typeof value === 'object' && value !== null && !Array.isArray(value))
const stateSchema = z.strictObject({
  moduleId: z.string(),
  /** Desired properties as the manifest last gave them. */
  deployed: properties,
  desired: properties,
  desiredVersion: z.int().min(1),
  reported: properties,
  reportedVersion: z.int().min(1),
})
type Twin = z.infer<typeof stateSchema>

/**
 * The twins of a device's modules, each kept in a file of `folder` that is replaced whole before a change counts.
 * Versions begin at 1 and count changes of their section.
 */
export class TwinStore {
  readonly #folder: string
  readonly #twins = new Map<string, Twin>()

  /** @throws WeirError STATE_DAMAGED or STATE_NEWER where a kept twin cannot be read. */
  constructor(folder: string) {
    this.#folder = folder
    makePrivateFolder(folder)
    for (const name of readdirSync(folder).filter((file) => file.endsWith('.json'))) {
      const twin = readState(join(folder, name), stateVersion, stateSchema)
      if (twin !== undefined) this.#twins.set(twin.moduleId, twin)
    }
  }

  get(moduleId: string): TwinState | undefined {
    const twin = this.#twins.get(moduleId)
    return twin === undefined ? undefined : stateOf(twin)
  }

  all(): Record<string, TwinState> {
    return Object.fromEntries([...this.#twins].map(([moduleId, twin]) => [moduleId, stateOf(twin)]))
  }

  /**
   * Gives exactly `desired` their twins. What the manifest says replaces the desired properties of a module when the
   * manifest changed them; where it did not, what an operator patched since stays.
   * @returns What was made and what was deleted.
   * @throws RequestError 400, and nothing is changed, where desired properties break a limit of twins.
   */
  deploy(desired: ReadonlyMap<string, JsonObject>): { created: string[]; deleted: string[] } {
    for (const [moduleId, deployed] of desired) checkSection(moduleId, 'desired', deployed, {})
    const created = [...desired.keys()].filter((moduleId) => !this.#twins.has(moduleId))
    const deleted = [...this.#twins.keys()].filter((moduleId) => !desired.has(moduleId))
    for (const moduleId of deleted) this.#delete(moduleId)
    for (const [moduleId, deployed] of desired) {
      const before = this.#twins.get(moduleId)
      if (before !== undefined && isDeepStrictEqual(before.deployed, deployed)) continue
      this.#set({
        moduleId,
        deployed,
        desired: mergePatch({}, deployed),
        desiredVersion: (before?.desiredVersion ?? 0) + 1,
        reported: before?.reported ?? {},
        reportedVersion: before?.reportedVersion ?? 1,
      })
    }
    return { created, deleted }
  }

  /** Makes an empty twin. */
  create(moduleId: string): void {
    this.#set({ moduleId, deployed: {}, desired: {}, desiredVersion: 1, reported: {}, reportedVersion: 1 })
  }

  /** Merges into the desired properties. @throws RequestError 404 for an unknown module, 400 for what a twin cannot hold. */
  patchDesired(moduleId: string, patch: JsonObject): TwinState {
    const twin = this.#known(moduleId)
    checkSection(moduleId, 'desired', patch, twin.desired)
    return this.#set({ ...twin, desired: mergePatch(twin.desired, patch), desiredVersion: twin.desiredVersion + 1 })
  }

  /** Merges into the reported properties. @throws RequestError as patchDesired. */
  patchReported(moduleId: string, patch: JsonObject): TwinState {
    const twin = this.#known(moduleId)
    checkSection(moduleId, 'reported', patch, twin.reported)
    return this.#set({ ...twin, reported: mergePatch(twin.reported, patch), reportedVersion: twin.reportedVersion + 1 })
  }

  #known(moduleId: string): Twin {
    const twin = this.#twins.get(moduleId)
    if (twin === undefined) throw new RequestError(404, `module ${moduleId}: no such module on this device`)
    return twin
  }

  #set(twin: Twin): TwinState {
    writeState(this.#file(twin.moduleId), stateVersion, twin)
    this.#twins.set(twin.moduleId, twin)
    return stateOf(twin)
  }

  #delete(moduleId: string): void {
    const file = this.#file(moduleId)
    if (existsSync(file)) rmSync(file)
    this.#twins.delete(moduleId)
  }

  #file(moduleId: string): string {
    return join(this.#folder, `${fileNameOf(moduleId)}.json`)
  }
}

function stateOf({ desired, desiredVersion, reported, reportedVersion }: Twin): TwinState {
  return { desired, desiredVersion, reported, reportedVersion }
}

function checkSection(moduleId: string, section: 'desired' | 'reported', patch: JsonObject, current: JsonObject): void {
  const problem = checkReported(patch, current)
  if (problem !== undefined) {
    throw new RequestError(400, `twin of ${moduleId}: ${problem.replace(/^reported/, section)}`)
  }
}
