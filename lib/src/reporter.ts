import { errorText, WeirError } from './errors.ts'
import type { Hub } from './hub.ts'
import { isJsonObject, type JsonObject, type JsonValue } from './json.ts'

/**
 * Joins two patches into one of the same effect; unlike mergePatch it keeps null, which deletes at the hub. undefined where
 * no single patch does: an object after something that it replaces would be merged into what stood before that.
 */
export function joinPatches(first: JsonObject, second: JsonObject): JsonObject | undefined {
  const joined = new Map<string, JsonValue>(Object.entries(first))
  for (const [key, value] of Object.entries(second)) {
    const before = joined.get(key)
    if (!isJsonObject(value) || before === undefined) {
      joined.set(key, value)
      continue
    }
    const both = isJsonObject(before) ? joinPatches(before, value) : undefined
    if (both === undefined) return undefined
    joined.set(key, both)
  }
  return Object.fromEntries(joined)
}

/** Reported properties on their way to the hub: one patch at a time, what comes meanwhile is joined. */
export class Reporter {
  readonly #hub: Pick<Hub, 'report'>
  readonly #reject: (reason: string, detail: string) => void
  #pending: JsonObject[] = []
  #sending = false
  #connected = false

  constructor(hub: Pick<Hub, 'report'>, reject: (reason: string, detail: string) => void) {
    this.#hub = hub
    this.#reject = reject
  }

  report(patch: JsonObject): void {
    const last = this.#pending.pop() ?? {}
    const joined = joinPatches(last, patch)
    this.#pending.push(...(joined === undefined ? [last, patch] : [joined]))
    this.#send()
  }

  setConnected(connected: boolean): void {
    this.#connected = connected
    this.#send()
  }

  #send(): void {
    const patch = this.#sending || !this.#connected ? undefined : this.#pending.shift()
    if (patch === undefined) return
    this.#sending = true
    this.#hub.report(patch).then(
      () => this.#settle(),
      (error: unknown) => {
        const refused = error instanceof WeirError && error.reaction === 'drop'
        if (refused) this.#reject('reportRefused', errorText(error))
        else this.#pending.unshift(patch)
        this.#settle(refused)
      },
    )
  }

  /** A patch that the hub did not take waits for the next connection or the next report. */
  #settle(goOn = true): void {
    this.#sending = false
    if (goOn) this.#send()
  }
}
