import { errorText, WeirError } from './errors.ts'
import type { Hub } from './hub.ts'
import { isJsonObject, type JsonObject, type JsonValue } from './json.ts'

/** Joins two patches into one of the same effect; unlike mergePatch it keeps null, which deletes at the hub. */
export function joinPatches(first: JsonObject, second: JsonObject): JsonObject {
  const joined = new Map<string, JsonValue>(Object.entries(first))
  for (const [key, value] of Object.entries(second)) {
    const before = joined.get(key)
    joined.set(key, isJsonObject(value) && isJsonObject(before) ? joinPatches(before, value) : value)
  }
  return Object.fromEntries(joined)
}

/** Reported properties on their way to the hub: one patch at a time, what comes meanwhile is joined into the next. */
export class Reporter {
  readonly #hub: Pick<Hub, 'report'>
  readonly #reject: (reason: string, detail: string) => void
  #pending: JsonObject = {}
  #sending = false
  #connected = false

  constructor(hub: Pick<Hub, 'report'>, reject: (reason: string, detail: string) => void) {
    this.#hub = hub
    this.#reject = reject
  }

  report(patch: JsonObject): void {
    this.#pending = joinPatches(this.#pending, patch)
    this.#send()
  }

  setConnected(connected: boolean): void {
    this.#connected = connected
    this.#send()
  }

  #send(): void {
    if (this.#sending || !this.#connected || Object.keys(this.#pending).length === 0) return
    const patch = this.#pending
    this.#pending = {}
    this.#sending = true
    this.#hub.report(patch).then(
      () => this.#settle(),
      (error: unknown) => {
        if (error instanceof WeirError && error.reaction === 'drop') this.#reject('reportRefused', errorText(error))
        else this.#pending = joinPatches(patch, this.#pending)
        this.#settle(error instanceof WeirError && error.reaction === 'drop')
      },
    )
  }

  /** A patch that the hub did not take waits for the next connection or the next report. */
  #settle(goOn = true): void {
    this.#sending = false
    if (goOn) this.#send()
  }
}
