import type { JsonObject } from '@weir/lib/json'
import { edgeHubModuleId } from './message.ts'
import type { DesiredStatus } from './router.ts'

/** What `$edgeHub` reports of itself, in the form of edgeHub 1.x (`schemaVersion` of its reported properties). */
export class OwnTwin {
  readonly #deviceId: string
  readonly #report: (moduleId: string, patch: JsonObject) => void

  constructor(deviceId: string, report: (moduleId: string, patch: JsonObject) => void) {
    this.#deviceId = deviceId
    this.#report = report
  }

  /** At start nobody is connected. */
  started(): void {
    this.#say({ clients: null, version: { version: '1.6', build: '', commit: '' } })
  }

  configured(version: number, { code, description }: DesiredStatus): void {
    this.#say({ lastDesiredVersion: version, lastDesiredStatus: { code, description: description.slice(0, 2000) } })
  }

  client(moduleId: string, connected: boolean, nowMs: number): void {
    const time = new Date(nowMs).toISOString()
    const status = connected
      ? { status: 'Connected', lastConnectedTimeUtc: time }
      : { status: 'Disconnected', lastDisconnectedTimeUtc: time }
    this.#say({ clients: { [encodeTwinKey(`${this.#deviceId}/${moduleId}`)]: status } })
  }

  #say(patch: JsonObject): void {
    this.#report(edgeHubModuleId, { schemaVersion: '1.0', ...patch })
  }
}

/** A name as a twin key can hold it. */
export function encodeTwinKey(name: string): string {
  return name.replaceAll('.', '%2E').replaceAll('$', '%24').replaceAll(' ', '%20')
}
