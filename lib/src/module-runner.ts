import type { Clock } from './clock.ts'
import type { Command } from './command.ts'
import type { ConfigKeeper, GoodConfig } from './config-keeper.ts'
import { WeirError } from './errors.ts'
import type { InputMessage } from './hub.ts'
import { asObject, type JsonObject } from './json.ts'
import { reportedProblemCharsMax, reportedProblemsMax } from './limits.ts'
import type { Log } from './log.ts'
import type { ModuleContext, ModuleDeclaration, ModuleInstance } from './module.ts'

export interface ConfigOutcome {
  /** `$version` of the desired properties; 0 before any came. */
  readonly version: number
  readonly status: 'waiting' | 'applied' | 'refused'
}

export interface ModuleRunnerParts<Config> {
  readonly declaration: ModuleDeclaration<Config>
  readonly context: ModuleContext
  readonly keeper: ConfigKeeper<Config>
  readonly clock: Clock
  readonly log: Log
  /** The module is there and takes inputs. */
  takesInputs(listener: (message: InputMessage) => void): void
  /** Application properties that the configuration wants on every message. */
  setFixedProperties(properties: Readonly<Record<string, string>>): void
  fail(error: unknown): void
}

/** The module itself, from its first good configuration on; and which configuration it runs. */
export class ModuleRunner<Config> {
  readonly #parts: ModuleRunnerParts<Config>
  #instance: ModuleInstance<Config> | undefined
  #applied: GoodConfig<Config> | undefined
  #outcome: ConfigOutcome = { version: 0, status: 'waiting' }

  constructor(parts: ModuleRunnerParts<Config>) {
    this.#parts = parts
  }

  get runs(): boolean {
    return this.#instance !== undefined
  }

  get outcome(): ConfigOutcome {
    return this.#outcome
  }

  get commands(): readonly Command[] {
    return this.#instance?.commands ?? []
  }

  status(): JsonObject {
    return this.#instance?.status() ?? {}
  }

  async stop(): Promise<void> {
    await this.#instance?.stop()
  }

  /** New desired properties: applied, or refused whole. */
  takeDesired(desired: JsonObject, version: number): void {
    const checked = this.#parts.keeper.check(desired, version)
    if ('problems' in checked) {
      this.#refuse(version, checked.problems)
      this.startWithLastGood()
      return
    }
    try {
      if (this.#instance === undefined) this.#start(checked.config)
      else if (checked.text !== this.#applied?.text) this.#instance.apply(checked.config)
    } catch (error) {
      if (error instanceof WeirError && error.code === 'CONFIG_REFUSED') this.#refuse(version, [error.message])
      else this.#parts.fail(error)
      return
    }
    this.#conclude(checked)
  }

  /** The last good configuration runs until the hub says otherwise; nothing happens where there is none. */
  startWithLastGood(): void {
    if (this.#instance !== undefined) return
    const { keeper, log, fail } = this.#parts
    try {
      const good = keeper.lastGood()
      if (good === undefined) return
      this.#start(good.config)
      this.#applied = good
      this.#parts.setFixedProperties(fixedProperties(good.config))
      if (this.#outcome.status === 'waiting') this.#outcome = { version: good.version, status: 'applied' }
      log.warning(`configuration version ${good.version}, the last good one, is used`)
    } catch (error) {
      if (error instanceof WeirError && error.code === 'STATE_DAMAGED') log.error(error.message)
      else fail(error)
    }
  }

  #start(config: Config): void {
    const instance = this.#parts.declaration.start(this.#parts.context, config)
    this.#instance = instance
    if (instance.input !== undefined) this.#parts.takesInputs((message) => instance.input?.(message))
  }

  #conclude(good: GoodConfig<Config>): void {
    const { keeper, log, fail } = this.#parts
    const known = good.text === this.#applied?.text && good.version === this.#applied.version
    this.#applied = good
    this.#parts.setFixedProperties(fixedProperties(good.config))
    // The same comes again with each connection.
    if (known && this.#outcome.status === 'applied') return
    try {
      keeper.save(good)
    } catch (error) {
      fail(error)
    }
    this.#outcome = { version: good.version, status: 'applied' }
    log.info(`configuration version ${good.version}: applied`)
    this.#report([])
  }

  #refuse(version: number, problems: readonly string[]): void {
    if (this.#outcome.status === 'refused' && this.#outcome.version === version) return
    const { log, declaration } = this.#parts
    const shown = problems.slice(0, reportedProblemsMax)
    for (const problem of shown) log.error(`${declaration.name}: ${problem}`)
    const rest = this.#instance === undefined ? 'none runs yet' : 'the last good one runs on'
    log.error(`configuration version ${version}: refused; ${rest}`)
    this.#outcome = { version, status: 'refused' }
    this.#report(shown.map((problem) => problem.slice(0, reportedProblemCharsMax)))
  }

  #report(problems: readonly string[]): void {
    const { version, status } = this.#outcome
    const at = new Date(this.#parts.clock.nowMs()).toISOString()
    // null takes the problems of a refused version off the twin.
    this.#parts.context.report({ config: { version, status, at, problems: problems.length > 0 ? problems : null } })
  }
}

/** The `properties` map of a configuration, where it has one. */
function fixedProperties(config: unknown): Record<string, string> {
  const entries = Object.entries(asObject(asObject(config)?.['properties']) ?? {})
  return Object.fromEntries(entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string'))
}
