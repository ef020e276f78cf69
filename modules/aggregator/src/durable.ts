/**
 * # An aggregation that survives `kill -9`
 *
 * ```
 *   input ──► journal ──► aggregation ──► messages ──► host's queue
 *               │              │
 *               └── released ◄─┴─ snapshot, after so many bytes of journal
 * ```
 * - An input is in the journal before it changes anything; where it cannot be put there the call throws and nothing has
 *   changed. A restart reads the snapshot and takes the inputs after it again: the same ones in the same order decide the
 *   same messages, with the same ids.
 * - Before messages are handed out the journal is synced. What has left is then never contradicted, not even after a power
 *   cut, which costs inputs younger than `fsyncIntervalMs` and nothing that was decided.
 * - A message handed out stays `undelivered` until `delivered` says that the host's queue keeps it, and goes again after a
 *   restart: it cannot get lost between the two, and can go twice, under its one id.
 */
import { join } from 'node:path'
import { errorText, WeirError } from '@weir/lib/errors'
import type { FileSystem } from '@weir/lib/journal/file-system'
import {
  type Journal,
  type JournalEvent,
  type JournalRecord,
  journalEventText,
  openJournal,
} from '@weir/lib/journal/journal'
import type { ModuleContext } from '@weir/lib/module'
import { Aggregation, type Arrival, type Decision, savedAggregationSchema } from './aggregation.ts'
import type { AggregatorConfig } from './config.ts'
import { type Input, RecordDecoder, RecordEncoder } from './journal-record.ts'
import { contentKey, savedConfigSchema } from './saved.ts'
import { SnapshotFolder } from './snapshot.ts'
import type { Moment } from './window-core.ts'

const mebibyte = 2 ** 20
/** Journal bytes after which a snapshot is due: at least these, and so many times the last snapshot. */
const snapshotEveryBytesMin = 2 * mebibyte
const snapshotEveryTimes = 8
/** Of `journalBytesMax`: the journal keeps what came since the snapshot before the last. */
const snapshotShareMax = 1 / 4
/** A message of 256 KiB takes less than twice that as a record. */
const segmentBytesDefault = mebibyte
const recordOverheadBytes = 12
const replayLimits = { recordsMax: 4096, bytesMax: 2 ** 18 }

const nothing: Decision = { messages: [], refusals: [], duplicate: false }

/** What an aggregation needs of the host. */
export type DurableContext = Pick<
  ModuleContext,
  'clock' | 'log' | 'reject' | 'fail' | 'stateFolder' | 'fsyncIntervalMs'
>

/** The disk, and sizes that only tests set. */
export interface DurableParts {
  readonly fileSystem: FileSystem
  readonly segmentBytesMax?: number
  /** Journal bytes between two snapshots. */
  readonly snapshotEveryBytes?: number
}

/**
 * Takes up what the last run left in the state folder, or begins.
 * Throws STATE_LOCKED, STATE_NEWER, STATE_UNWRITABLE. What is damaged is reported and passed over.
 */
export function openAggregation(
  context: DurableContext,
  config: AggregatorConfig,
  parts: DurableParts,
): DurableAggregation {
  const journal = openFolder(context, config.journalBytesMax, parts)
  try {
    const warn = (text: string) => context.log.warning(text)
    const snapshots = new SnapshotFolder(join(context.stateFolder, 'snapshots'), parts.fileSystem, warn)
    return new DurableAggregation(context, config, parts, journal, snapshots)
  } catch (error) {
    closeQuietly(journal)
    throw unwritable(context, error)
  }
}

function openFolder(context: DurableContext, bytesMax: number, parts: DurableParts): Journal {
  return openJournal({
    folder: join(context.stateFolder, 'journal'),
    fileSystem: parts.fileSystem,
    clock: context.clock,
    bytesMax,
    segmentBytesMax: parts.segmentBytesMax ?? segmentBytesDefault,
    fsyncIntervalMs: context.fsyncIntervalMs,
    onEvent: (event) => report(context, event),
  })
}

function report(context: DurableContext, event: JournalEvent): void {
  const text = `journal: ${journalEventText(event)}`
  if (event.type === 'failed') context.fail(event.error)
  else if ((event.type === 'damaged' || event.type === 'missing') && event.records > 0) {
    context.reject('journalDamaged', text, event.records)
  } else if (event.type === 'tornTail') context.log.info(text)
  else context.log.warning(text)
}

function closeQuietly(journal: Journal): void {
  try {
    journal.close()
  } catch {
    // What led here is thrown.
  }
}

function unwritable({ stateFolder }: DurableContext, error: unknown): WeirError {
  if (error instanceof WeirError) return error
  return new WeirError('STATE_UNWRITABLE', `${stateFolder}: ${errorText(error)}; check the disk`, { cause: error })
}

/** Made by `openAggregation`. Each input is safe once its call returns. */
export class DurableAggregation {
  readonly #context: DurableContext
  readonly #parts: DurableParts
  readonly #snapshots: SnapshotFolder
  readonly #aggregation: Aggregation
  readonly #encoder = new RecordEncoder()
  #journal: Journal
  #journalBytesMax: number
  /** Processing time at which the monotonic clock stood at 0. */
  readonly #processingStartMs: number
  /** Journal bytes since the last snapshot, and at how many the next is due. */
  #bytes = 0
  #dueBytes: number
  #snapshotSequence = 0

  constructor(
    context: DurableContext,
    config: AggregatorConfig,
    parts: DurableParts,
    journal: Journal,
    snapshots: SnapshotFolder,
  ) {
    this.#context = context
    this.#parts = parts
    this.#journal = journal
    this.#journalBytesMax = config.journalBytesMax
    this.#snapshots = snapshots
    this.#dueBytes = this.#snapshotBytes(0)
    this.#aggregation = this.#restore() ?? new Aggregation(savedConfigSchema.parse(config))
    this.#replay()
    // The monotonic time in whole milliseconds, so that processing time goes on exactly where it was.
    this.#processingStartMs = this.#aggregation.processingMs - Math.floor(context.clock.monotonicMs())
    this.#begin(config)
  }

  /** Goes on under `config` from what was restored. */
  #begin(config: AggregatorConfig): void {
    this.#encoder.begin(this.#journal.lastSequence)
    // Its folder was taken away: what comes now would have the numbers of records that the snapshot stands for.
    if (this.#journal.lastSequence < this.#snapshotSequence) this.#snapshot(false)
    const known = this.#journal.lastSequence > 0 || this.#snapshotSequence > 0
    const current = savedConfigSchema.parse(config)
    if (!known || contentKey(current) !== contentKey(this.#aggregation.config)) this.configure(config)
  }

  /** For looking at; whatever changes it goes through the journal. */
  get aggregation(): Omit<Aggregation, 'telemetry' | 'tick' | 'configure' | 'delivered'> {
    return this.#aggregation
  }

  /** Bytes of the journal's files. */
  get journalBytes(): number {
    return this.#journal.bytes
  }

  /** Age of the oldest input that a power cut would cost now; 0: none. */
  get unsyncedMs(): number {
    return this.#journal.stats().unsyncedMs
  }

  now(): Moment {
    const { clock } = this.#context
    return {
      processingMs: Math.floor(this.#processingStartMs + clock.monotonicMs()),
      wallMs: Math.floor(clock.nowMs()),
    }
  }

  /** Throws QUEUE_FULL and STATE_UNWRITABLE; the process must end then. The same for all that follow. */
  telemetry(arrival: Arrival): Decision {
    return this.#take({ type: 'arrival', now: this.now(), arrival })
  }

  /** To be called every second or so; costs nothing where nothing is due. */
  tick(): Decision {
    const now = this.now()
    return this.#aggregation.isDue(now) ? this.#take({ type: 'tick', now }) : nothing
  }

  configure(config: AggregatorConfig): void {
    if (config.journalBytesMax !== this.#journalBytesMax) this.#reopen(config.journalBytesMax)
    this.#take({ type: 'configure', now: this.now(), config: savedConfigSchema.parse(config) })
  }

  /** The host's queue keeps every message up to number `through`, and holds `queued` that the hub has not taken. */
  delivered(through: number, queued: number): void {
    this.#take({ type: 'delivered', now: this.now(), through, queued })
  }

  /** Leaves a snapshot, so that the next start is quick. Throws STATE_UNWRITABLE where the journal could not be synced. */
  close(): void {
    try {
      if (this.#journal.lastSequence > this.#snapshotSequence) this.#snapshot(true)
    } catch (error) {
      this.#noSnapshot(error)
    } finally {
      this.#journal.close()
    }
  }

  #take(input: Input): Decision {
    this.#append(input)
    const decision = carryOut(this.#aggregation, input)
    if (decision.messages.length > 0) this.#journal.sync()
    if (this.#bytes >= this.#dueBytes) {
      try {
        this.#snapshot(true)
      } catch (error) {
        this.#noSnapshot(error)
      }
    }
    return decision
  }

  #append(input: Input): void {
    try {
      this.#store(input)
    } catch (error) {
      if (!(error instanceof WeirError && error.code === 'QUEUE_FULL')) throw error
      this.#context.log.warning(`${error.message}; a snapshot is tried at once`)
      this.#snapshot(false)
      this.#store(input)
    }
  }

  #store(input: Input): void {
    const records = this.#encoder.encode(input)
    try {
      this.#journal.appendMany(records)
    } catch (error) {
      // Its dictionary has entries now that the journal has not.
      this.#encoder.begin(this.#journal.lastSequence)
      throw error
    }
    for (const { payload } of records) this.#bytes += recordOverheadBytes + payload.length
  }

  /** @param keepLast false: the journal up to now goes at once, and with it the use of any snapshot before. */
  #snapshot(keepLast: boolean): void {
    const throughSequence = this.#journal.lastSequence
    // Even where the file fails half way: it may turn out to be whole, and what follows must be readable from there.
    this.#encoder.begin(throughSequence)
    const content = Buffer.from(JSON.stringify(this.#aggregation.save()))
    try {
      const released = this.#snapshots.write({ throughSequence, content }, keepLast)
      this.#snapshotSequence = throughSequence
      this.#bytes = 0
      this.#dueBytes = this.#snapshotBytes(content.length)
      if (released !== undefined) this.#journal.release(released)
    } catch (error) {
      throw unwritable(this.#context, error)
    }
  }

  /** The journal has everything still; the next attempt comes after some more of it. */
  #noSnapshot(error: unknown): void {
    this.#dueBytes = this.#bytes + this.#snapshotBytes(0)
    this.#context.reject('snapshotFailed', errorText(error))
  }

  /** Journal bytes until the next snapshot. @param lastBytes Bytes of the last. */
  #snapshotBytes(lastBytes: number): number {
    const wantedBytes = Math.max(snapshotEveryBytesMin, snapshotEveryTimes * lastBytes)
    return this.#parts.snapshotEveryBytes ?? Math.min(wantedBytes, this.#journalBytesMax * snapshotShareMax)
  }

  #reopen(bytesMax: number): void {
    this.#journal.close()
    this.#journal = openFolder(this.#context, bytesMax, this.#parts)
    this.#journalBytesMax = bytesMax
  }

  #restore(): Aggregation | undefined {
    const { releasedSequence } = this.#journal
    const restored = this.#snapshots.load(releasedSequence, ({ throughSequence, content }) => {
      const saved = savedAggregationSchema.parse(JSON.parse(content.toString('utf8')))
      const aggregation = Aggregation.restore(saved)
      this.#snapshotSequence = throughSequence
      return aggregation
    })
    if (restored === undefined && releasedSequence > 0) {
      this.#context.reject('stateDamaged', 'no snapshot can be used; windows that were open before it are incomplete')
    }
    return restored
  }

  /** Takes all inputs after the snapshot again. One that cannot be taken must not keep the module from starting. */
  #replay(): void {
    const decoder = new RecordDecoder()
    for (let from = this.#snapshotSequence + 1; ; ) {
      const records = this.#journal.read(from, replayLimits)
      for (const record of records) this.#takeAgain(decoder, record)
      const last = records.at(-1)
      if (last === undefined) return
      from = last.sequence + 1
    }
  }

  #takeAgain(decoder: RecordDecoder, { kind, payload, sequence }: JournalRecord): void {
    this.#bytes += recordOverheadBytes + payload.length
    try {
      const input = decoder.decode(kind, payload)
      if (input !== undefined) carryOut(this.#aggregation, input)
    } catch (error) {
      if (error instanceof WeirError && error.code === 'STATE_NEWER') throw error
      this.#context.reject('journalDamaged', `record ${sequence}: ${errorText(error)}`)
    }
  }
}

function carryOut(aggregation: Aggregation, input: Input): Decision {
  switch (input.type) {
    case 'arrival':
      return aggregation.telemetry(input.arrival, input.now)
    case 'tick':
      return aggregation.tick(input.now)
    case 'configure':
      aggregation.configure(savedConfigSchema.parse(input.config))
      return nothing
    case 'delivered':
      aggregation.delivered(input.through, input.queued)
      return nothing
  }
}
