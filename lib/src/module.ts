import type { Clock } from './clock.ts'
import type { Command } from './command.ts'
import type { ConfigDeclaration } from './config.ts'
import type { WeirError } from './errors.ts'
import type { InputMessage } from './hub.ts'
import type { JsonObject } from './json.ts'
import type { Log } from './log.ts'
import type { MessageType } from './messages.ts'
import type { Metrics } from './metrics.ts'

/** A message as a module gives it to the host; the host adds session, sequence and the standard properties. */
export interface Outgoing {
  readonly output: string
  readonly messageType: MessageType
  /** Names the content: see contentId in messages.ts. */
  readonly messageId: string
  readonly body: Buffer
  /**
   * `deviceId`, `deviceType`, `location` where the whole message is about one device, and any others. `part` (from 1)
   * marks the parts of one row that was too wide: published one after the other, they share one sequence.
   */
  readonly properties: Readonly<Record<string, string>>
  /** true: goes ahead of everything queued, and carries `priority=high`. */
  readonly urgent?: boolean
}

/** What the host gives a module. Everything outside the module's pure parts is reached through this. */
export interface ModuleContext {
  readonly module: string
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
  /** Exists, is writable and survives restarts. */
  readonly stateFolder: string
  /** How long what is written may wait for the disk: what a power cut can cost. Holds for the host's queue too. */
  readonly fsyncIntervalMs: number
  /** Queues a message for the hub; what is queued is sent until the hub has it, or counted as given up. Never throws. */
  publish(message: Outgoing): void
  /** Messages queued and not yet taken by the hub. */
  queued(): number
  /** Counts something kept out by reason (`count` of them, by default 1); logs at most once a minute per reason. */
  reject(reason: string, detail: string, count?: number): void
  /** Reported properties, merged. */
  report(patch: JsonObject): void
  /** An unrecoverable fault: logs, drains what can be, exits non-zero. */
  fail(error: WeirError): void
}

export interface ModuleInstance<Config> {
  /** A configuration that passed every check; applied without restart. */
  apply(config: Config): void
  /** Runs before the message is acknowledged; a throw makes the hub deliver it again. */
  input?(message: InputMessage): void
  /** What `getStatus` answers beside the host's own part: flat, plain numbers and words. */
  status(): JsonObject
  /** Operator commands beside `ping` and `getStatus`. */
  readonly commands: readonly Command[]
  /** Stops taking; leaves open windows and queues in the state folder. Under 3 s. */
  stop(): Promise<void>
}

/** A module: `main.ts` hands it to `runModule` of host.ts. */
export interface ModuleDeclaration<Config> {
  readonly name: string
  readonly config: ConfigDeclaration<Config>
  /**
   * `durable` (default): a message is on the disk before `publish` returns, as it must be where the module acknowledges
   * what it was made from. `spilling`: in memory while the hub takes messages, on the disk while it does not; spares the
   * flash of a module that acknowledges nothing to anybody, as readers.
   */
  readonly queue?: 'durable' | 'spilling'
  start(context: ModuleContext, config: Config): ModuleInstance<Config>
}
