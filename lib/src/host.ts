import { mkdirSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Clock, systemClock } from './clock.ts'
import { errorText, WeirError } from './errors.ts'
import { type Environment, readSettings } from './host-settings.ts'
import type { Hub, MethodResult } from './hub.ts'
import type { JsonValue } from './json.ts'
import { drainTimeoutMs } from './limits.ts'
import type { Log } from './log.ts'
import { createLog } from './log-stdout.ts'
import type { ModuleDeclaration } from './module.ts'
import { ModuleHost } from './module-host.ts'

export type ModuleState = 'waitingForHub' | 'waitingForConfig' | 'running' | 'stopping' | 'stopped'

/** What `startModule` needs beside the declaration; what is left out is taken from the process. */
export interface HostParts {
  readonly hub: Hub
  readonly clock?: Clock
  readonly log?: Log
  readonly environment?: Environment
  /** 0 to below 1; spreads the attempts of several modules to open the hub. */
  random?(): number
}

/** A running module, as `main.ts` and tests hold it. */
export interface ModuleHandle {
  /** Names this run to receivers. */
  readonly session: string
  /** 0 where none are served. */
  readonly metricsPort: number
  readonly commandSocket: string | undefined
  /** Exit code, once the module has stopped: 0 after `stop`, 1 after a fault. */
  readonly done: Promise<number>
  state(): ModuleState
  /** A command, as a direct method calls it. */
  call(name: string, payload?: JsonValue): Promise<MethodResult>
  /** Ends the module as SIGTERM does. */
  stop(): Promise<number>
}

const hardStopMs = drainTimeoutMs + 800

/**
 * Starts a module. Resolves once its metrics and commands are served; the hub is opened, and opened again, on its own.
 * Throws CONFIG_REFUSED (environment), STATE_UNWRITABLE, STATE_LOCKED and STATE_NEWER.
 */
export async function startModule<Config>(
  declaration: ModuleDeclaration<Config>,
  parts: HostParts,
): Promise<ModuleHandle> {
  const environment = parts.environment ?? process.env
  const settings = readSettings(environment)
  const clock = parts.clock ?? systemClock
  const log = parts.log ?? createLog(settings.logLevel, clock, (line) => process.stdout.write(line))
  checkStateFolder(settings.stateFolder)
  const random = parts.random ?? Math.random
  const host = new ModuleHost(declaration, { hub: parts.hub, clock, log, environment, settings, random })
  await host.start()
  return host
}

/** The whole of a module's `main.ts`: runs until a signal or a fault ends the process. */
export async function runModule<Config>(declaration: ModuleDeclaration<Config>): Promise<never> {
  const log = createLog('info', systemClock, (line) => process.stdout.write(line))
  // Exits at once: an input listener that throws arrives here, and the acknowledgement of its message leaves this tick.
  const crash = (error: unknown) => {
    log.critical(`${declaration.name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
    process.exit(1)
  }
  process.on('uncaughtException', crash)
  process.on('unhandledRejection', crash)
  // The SDK calls url.parse(); the warning would tell a technician nothing.
  process.noDeprecation = true
  let handle: ModuleHandle | undefined
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (handle === undefined) process.exit(0)
      else void stopInTime(handle, log)
    })
  }
  try {
    const { AzureHub } = await import('./hub-azure.ts')
    const hub = new AzureHub({ renewalMs: readSettings(process.env).tokenRenewalMs })
    handle = await startModule(declaration, { hub })
    process.exit(await handle.done)
  } catch (error) {
    log.critical(`${declaration.name}: ${errorText(error)}`)
    process.exit(1)
  }
}

async function stopInTime(handle: ModuleHandle, log: Log): Promise<void> {
  setTimeout(() => {
    log.error(`not stopped after ${hardStopMs} ms; the process ends now`)
    process.exit(1)
  }, hardStopMs).unref()
  await handle.stop()
}

function checkStateFolder(folder: string): void {
  const probe = join(folder, '.writable')
  try {
    mkdirSync(folder, { recursive: true, mode: 0o750 })
    writeFileSync(probe, '')
    unlinkSync(probe)
  } catch (error) {
    throw new WeirError(
      'STATE_UNWRITABLE',
      `${folder}: cannot be written: ${errorText(error)}; set WEIR_STATE_FOLDER, or give the folder to the module's user`,
      { cause: error },
    )
  }
}
