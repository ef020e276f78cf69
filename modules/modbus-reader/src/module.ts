import { readFile } from 'node:fs/promises'
import type { Command } from '@weir/lib/command'
import type { WeirError } from '@weir/lib/errors'
import type { JsonObject } from '@weir/lib/json'
import { contentId, type ReaderEvent, type Row, schemaVersion } from '@weir/lib/messages'
import type { ModuleContext, ModuleDeclaration, ModuleInstance } from '@weir/lib/module'
import { readerCommands } from './commands.ts'
import { type ModbusConfig, modbusConfig } from './config.ts'
import type { Device } from './device.ts'
import { doctorCommand } from './doctor-command.ts'
import { findCommand } from './find-command.ts'
import type { LinkAnswer } from './link.ts'
import type { LinkConfig } from './link-config.ts'
import { LinkRunner, type RunnerSink } from './link-runner.ts'
import { type Instruments, readerInstruments } from './metrics.ts'
import { openLink } from './open-link.ts'
import type { Polled } from './poll.ts'
import { telemetryMessages } from './telemetry.ts'
import type { OpenTransport } from './transport.ts'
import { writeCommand } from './write-command.ts'

/** What the reader takes from outside beside its context; tests put their own in. */
export interface ReaderParts {
  open(settings: LinkConfig): OpenTransport
  /** Gives 0 ≤ x < 1. */
  random(): number
  /** Text of a file; rejects where it cannot be read. */
  readFile(path: string): Promise<string>
}

const badKinds: ReadonlySet<ReaderEvent['kind']> = new Set([
  'linkDown',
  'unitDown',
  'registerForbidden',
  'writeRefused',
])

class Reader implements ModuleInstance<ModbusConfig>, RunnerSink {
  readonly commands: readonly Command[]
  readonly #context: ModuleContext
  readonly #parts: ReaderParts
  readonly #instruments: Instruments
  readonly #totals = { polls: 0, rows: 0, values: 0, badValues: 0, overruns: 0 }
  readonly #runners = new Map<string, LinkRunner>()
  #config: ModbusConfig

  constructor(context: ModuleContext, config: ModbusConfig, parts: ReaderParts) {
    this.#context = context
    this.#parts = parts
    this.#instruments = readerInstruments(context.metrics)
    this.#config = config
    const targets = { config: () => this.#config, runners: () => this.#runners }
    this.commands = [
      ...readerCommands(targets),
      findCommand(targets),
      doctorCommand({ ...targets, context }),
      writeCommand({ ...targets, readFile: (path) => parts.readFile(path), event: (event) => this.event(event) }),
    ]
    this.apply(config)
  }

  apply(config: ModbusConfig): void {
    this.#config = config
    for (const [linkId, runner] of this.#runners) {
      const settings = config.links[linkId]
      if (settings !== undefined && runner.fingerprint === JSON.stringify(settings)) continue
      runner.stop()
      this.#runners.delete(linkId)
    }
    for (const [linkId, settings] of Object.entries(config.links)) {
      const runner = this.#runners.get(linkId) ?? this.#startRunner(linkId, settings)
      runner.apply(config)
    }
  }

  status(): JsonObject {
    return {
      ...this.#totals,
      links: Object.fromEntries([...this.#runners].map(([linkId, runner]) => [linkId, linkStatus(runner)])),
    }
  }

  stop(): Promise<void> {
    for (const runner of this.#runners.values()) runner.stop()
    return Promise.resolve()
  }

  publish(device: Device, rows: Row[]): void {
    this.#totals.rows += rows.length
    this.#instruments.rows.add(rows.length)
    for (const message of telemetryMessages(device.id, device.labels(), rows)) this.#context.publish(message)
  }

  event(event: Omit<ReaderEvent, 'schemaVersion' | 'timestamp'>): void {
    const isBad = badKinds.has(event.kind)
    this.#context.log[isBad ? 'warning' : 'info'](event.detail)
    const timestamp = new Date(this.#context.clock.nowMs()).toISOString()
    const body = Buffer.from(JSON.stringify({ schemaVersion, ...event, timestamp } satisfies ReaderEvent))
    this.#context.publish({
      output: 'events',
      messageType: 'event',
      messageId: contentId('event', body),
      body,
      properties: event.deviceId === undefined ? {} : { deviceId: event.deviceId },
    })
  }

  polled(linkId: string, { values, reasons }: Polled, overruns: number): void {
    const good = values.filter((value) => value !== undefined).length
    this.#totals.polls++
    this.#totals.values += good
    this.#totals.badValues += values.length - good
    this.#totals.overruns += overruns
    this.#instruments.polls.add(1, { link: linkId })
    this.#instruments.values.add(good)
    values.forEach((value, column) => {
      if (value === undefined) this.#instruments.badValues.add(1, { reason: reasons[column] ?? 'invalidValue' })
    })
    if (overruns > 0) this.#instruments.overruns.add(overruns, { link: linkId })
  }

  requested(linkId: string, answer: LinkAnswer): void {
    this.#instruments.requestSeconds.observe(answer.durationMs / 1000, { link: linkId })
    if (answer.failure === undefined) return
    this.#instruments.failures.add(1, { link: linkId, kind: answer.failure })
    if (answer.failure === 'malformed') this.#context.reject('answerMalformed', `link ${linkId}: ${answer.detail}`)
  }

  fault(error: WeirError): void {
    this.#context.fail(error)
  }

  #startRunner(linkId: string, settings: LinkConfig): LinkRunner {
    const { clock } = this.#context
    const { open, random } = this.#parts
    const runner = new LinkRunner({ linkId, settings, open: open(settings), clock, random, sink: this })
    this.#runners.set(linkId, runner)
    return runner
  }
}

/** The link's state and, of its units, how many answer. */
function linkStatus(runner: LinkRunner): string {
  const units = [...runner.units.values()]
  const up = units.filter(({ state }) => state === 'up').length
  const link = runner.linkState === 'down' ? `down: ${runner.linkDetail}` : runner.linkState
  return `${link}; ${up} of ${units.length} units answer`
}

export function startReader(
  context: ModuleContext,
  config: ModbusConfig,
  parts: ReaderParts = {
    open: (settings) => openLink(settings, context.clock),
    random: Math.random,
    readFile: (path) => readFile(path, 'utf8'),
  },
): ModuleInstance<ModbusConfig> {
  return new Reader(context, config, parts)
}

export const modbusReader: ModuleDeclaration<ModbusConfig> = {
  name: 'modbus-reader',
  config: modbusConfig,
  queue: 'spilling',
  start: (context, config) => startReader(context, config),
}
