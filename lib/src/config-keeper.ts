import { join } from 'node:path'
import { z } from 'zod'
import { readState, writeState } from './atomic-file.ts'
import type { ConfigDeclaration } from './config.ts'
import { parseConfig } from './config-parse.ts'
import { isJsonObject, type JsonObject, mergePatch } from './json.ts'

const stateVersion = 1
const savedSchema = z.object({ version: z.int(), desired: z.record(z.string(), z.json()) })

export interface GoodConfig<Config> {
  readonly config: Config
  /** `$version` of the desired properties that it came from. */
  readonly version: number
  readonly desired: JsonObject
  /** Equal texts are equal configurations. */
  readonly text: string
}

/** Desired properties over the container's defaults, and the last good ones on disk. */
export class ConfigKeeper<Config> {
  readonly #declaration: ConfigDeclaration<Config>
  readonly #defaults: JsonObject
  readonly #path: string

  constructor(declaration: ConfigDeclaration<Config>, defaults: JsonObject, stateFolder: string) {
    this.#declaration = declaration
    this.#defaults = defaults
    this.#path = join(stateFolder, 'last-good-config.json')
  }

  check(desired: JsonObject, version: number): GoodConfig<Config> | { readonly problems: readonly string[] } {
    const merged = mergePatch(this.#defaults, withoutTwinKeys(desired))
    const parsed = parseConfig(this.#declaration, merged)
    return 'problems' in parsed ? parsed : { config: parsed.config, version, desired, text: JSON.stringify(merged) }
  }

  /** Keeps a good configuration for a start without the hub. Throws STATE_UNWRITABLE. */
  save(good: GoodConfig<Config>): void {
    writeState(this.#path, stateVersion, { version: good.version, desired: withoutTwinKeys(good.desired) })
  }

  /** The last good configuration; undefined where there is none. Throws STATE_DAMAGED, STATE_NEWER. */
  lastGood(): GoodConfig<Config> | undefined {
    const saved = readState(this.#path, stateVersion, savedSchema)
    if (saved === undefined || !isJsonObject(saved.desired)) return undefined
    const checked = this.check(saved.desired, saved.version)
    return 'problems' in checked ? undefined : checked
  }
}

function withoutTwinKeys(desired: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(desired).filter(([key]) => !key.startsWith('$')))
}
