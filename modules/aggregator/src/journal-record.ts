/**
 * # The aggregator's inputs as records of its journal
 *
 * What the aggregation decides depends on its inputs and their order alone; the journal holds just these.
 *
 * ```
 *   kind 1  epoch      | version u8 | id u16 | processingMs | wallMs |        begins a dictionary, and is what times count from
 *   kind 2  source     | id u16 | number | JSON: what messages of one device and run have in common |
 *   kind 3  names      | id u16 | number | names of signals, separated by line feeds |
 *   kind 4  arrival    | id u16 | moment | source | message | rows ... |
 *   kind 5  tick       | id u16 | moment |
 *   kind 6  configure  | id u16 | moment | JSON |
 *   kind 7  delivered  | id u16 | moment | number of the message | messages queued |
 *
 *   rows               | signals | bad signals | count | timestamps | a column per signal | values that are bad |
 *                      as often as needed; rows one after the other with the same signals stand together
 * ```
 * Numbers are varints, 7 bits to a byte; `signals` and `bad signals` are numbers of names, 0 for none. A bad signal's name
 * is followed by a space and the reason. Columns are described in column.ts.
 *
 * Nothing but epoch and dictionary joins one record to another: the loss of any other record leaves all the rest readable,
 * and a record whose epoch is lost is known by its id.
 */
import { errorText, WeirError } from '@weir/lib/errors'
import type { NewRecord } from '@weir/lib/journal/journal'
import type { QualityReason, SignalValue } from '@weir/lib/messages'
import type { BadSignal, DecodedRow } from '@weir/lib/telemetry'
import type { Arrival } from './aggregation.ts'
import { ByteReader, ByteWriter } from './bytes.ts'
import { ColumnWriter, readColumn, readValue, writeValue } from './column.ts'
import type { Moment } from './window-core.ts'

export const recordVersion = 1
const kinds = { epoch: 1, source: 2, names: 3, arrival: 4, tick: 5, configure: 6, delivered: 7 } as const
const kindMax = kinds.delivered

/** What an arrival says beside its source and rows. */
const flags = { messageId: 1, contentId: 2, units: 4, rowsKeptOut: 8 } as const
/** 22 characters of base64url, as `contentId` of messages.ts gives them, are 132 bits. */
const contentIdPattern = /^[A-Za-z0-9_-]{22}$/
const contentIdBytes = 17

/** An input of the aggregation. Times are whole milliseconds. */
export type Input =
  | { readonly type: 'arrival'; readonly now: Moment; readonly arrival: Arrival }
  | { readonly type: 'tick'; readonly now: Moment }
  | { readonly type: 'configure'; readonly now: Moment; readonly config: unknown }
  | { readonly type: 'delivered'; readonly now: Moment; readonly through: number; readonly queued: number }

/** What messages of one device and run have in common, in the order of the record. */
type SourceFields = readonly [
  deviceId: string,
  deviceType: string | null,
  location: string | null,
  clockTrusted: boolean,
  part: number | null,
  session: string,
  envelopeBytes: number,
]

export class RecordEncoder {
  readonly #writer = new ByteWriter()
  readonly #columns = new ColumnWriter()
  #epochId = 0
  #epoch: Moment | undefined
  /** Records that go before the next one. */
  #before: NewRecord[] = []
  readonly #sources = new Map<string, number>()
  readonly #names = new Map<string, number>()
  #lastNames: { readonly names: readonly string[]; readonly number: number } | undefined

  /**
   * The next record begins an epoch: it and all that follow can be read without any before. @param id Any whole number;
   * differs from that of the epoch before.
   */
  begin(id: number): void {
    this.#epochId = id % 2 ** 16
    this.#epoch = undefined
    this.#sources.clear()
    this.#names.clear()
    this.#lastNames = undefined
  }

  /** The records of an input, to be stored together. Their bytes are valid until the next call. */
  encode(input: Input): NewRecord[] {
    this.#before = []
    this.#epoch ??= this.#writeEpoch(input.now)
    const writer = this.#writer
    writer.clear()
    writer.uint16(this.#epochId)
    const elapsedMs = input.now.processingMs - this.#epoch.processingMs
    writer.varint(elapsedMs)
    writer.signed(input.now.wallMs - this.#epoch.wallMs - elapsedMs)
    if (input.type === 'arrival') this.#arrival(input.arrival, input.now.wallMs)
    else if (input.type === 'configure') writer.text(JSON.stringify(input.config))
    else if (input.type === 'delivered') {
      writer.varint(input.through)
      writer.varint(input.queued)
    }
    return [...this.#before, { kind: kinds[input.type], payload: writer.written }]
  }

  #writeEpoch(now: Moment): Moment {
    const writer = new ByteWriter()
    writer.byte(recordVersion)
    writer.uint16(this.#epochId)
    writer.varint(now.processingMs)
    writer.signed(now.wallMs)
    this.#before.push({ kind: kinds.epoch, payload: writer.written })
    return now
  }

  #arrival({ telemetry, rowsKeptOut, session, messageId, bytes }: Arrival, wallMs: number): void {
    const writer = this.#writer
    const { deviceId, deviceType, location, clockTrusted, part, units, rows } = telemetry
    const source: SourceFields = [
      deviceId,
      deviceType ?? null,
      location ?? null,
      clockTrusted,
      part ?? null,
      session,
      bytes.envelope,
    ]
    writer.varint(this.#define(this.#sources, kinds.source, JSON.stringify(source)))
    const isContentId = messageId !== undefined && contentIdPattern.test(messageId)
    writer.byte(
      (messageId === undefined ? 0 : flags.messageId) |
        (isContentId ? flags.contentId : 0) |
        (units === undefined ? 0 : flags.units) |
        (rowsKeptOut === 0 ? 0 : flags.rowsKeptOut),
    )
    // One more character fills the last of the bytes.
    if (isContentId) writer.encoded(`${messageId}A`, 'base64url', contentIdBytes)
    else if (messageId !== undefined) writer.text(messageId)
    writer.varint(bytes.body)
    writer.varint(bytes.properties)
    if (units !== undefined) writer.text(JSON.stringify(units))
    if (rowsKeptOut !== 0) writer.varint(rowsKeptOut)
    this.#rows(rows, wallMs)
  }

  #rows(rows: readonly DecodedRow[], wallMs: number): void {
    const writer = this.#writer
    let beforeMs = wallMs
    for (let from = 0; from < rows.length; ) {
      const first = rows[from]
      if (first === undefined) return
      let to = from + 1
      while (to < rows.length && sameShape(rows[to], first)) to += 1
      writer.varint(this.#numberOf(first.signals))
      writer.varint(this.#numberOf(first.bad.map(({ signal, reason }) => `${signal} ${reason}`)))
      writer.varint(to - from)
      for (let row = from; row < to; row++) {
        const timestampMs = rows[row]?.timestampMs ?? 0
        writer.signed(timestampMs - beforeMs)
        beforeMs = timestampMs
      }
      const { length } = first.signals
      for (let column = 0; column < length; column++) this.#columns.write(writer, rows, from, to, column)
      if (first.bad.length > 0) {
        for (let row = from; row < to; row++) for (const { value } of rows[row]?.bad ?? []) writeValue(writer, value)
      }
      from = to
    }
  }

  #numberOf(names: readonly string[]): number {
    if (names.length === 0) return 0
    if (this.#lastNames !== undefined && sameNames(this.#lastNames.names, names)) return this.#lastNames.number
    const number = this.#define(this.#names, kinds.names, names.join('\n'))
    this.#lastNames = { names, number }
    return number
  }

  /** Number of an entry of the dictionary, from 1; a new one becomes a record of its own. */
  #define(numbers: Map<string, number>, kind: number, text: string): number {
    const known = numbers.get(text)
    if (known !== undefined) return known
    const number = numbers.size + 1
    numbers.set(text, number)
    const writer = new ByteWriter()
    writer.uint16(this.#epochId)
    writer.varint(number)
    writer.text(text)
    this.#before.push({ kind, payload: writer.written })
    return number
  }
}

function sameShape(row: DecodedRow | undefined, first: DecodedRow): boolean {
  if (row === undefined || row.bad.length !== first.bad.length || !sameNames(row.signals, first.signals)) return false
  for (let place = 0; place < row.bad.length; place++) {
    const [one, other] = [row.bad[place], first.bad[place]]
    if (one?.signal !== other?.signal || one?.reason !== other?.reason) return false
  }
  return true
}

function sameNames(a: readonly string[], b: readonly string[]): boolean {
  if (a === b) return true
  if (a.length !== b.length) return false
  for (let place = 0; place < a.length; place++) if (a[place] !== b[place]) return false
  return true
}

export class RecordDecoder {
  #epochId: number | undefined
  #epoch: Moment = { processingMs: 0, wallMs: 0 }
  readonly #sources = new Map<number, SourceFields>()
  readonly #names = new Map<number, readonly string[]>()

  /**
   * The input that a record holds; undefined of one that serves those after it.
   * Throws STATE_NEWER, and STATE_DAMAGED where the record, or one that it needs, cannot be read.
   */
  decode(kind: number, payload: Buffer): Input | undefined {
    if (kind > kindMax) throw newer(`record of kind ${kind}`)
    const reader = new ByteReader(payload)
    try {
      if (kind === kinds.epoch) return this.#takeEpoch(reader)
      const id = reader.uint16()
      if (id !== this.#epochId) throw new WeirError('STATE_DAMAGED', `epoch ${id} is missing`)
      if (kind === kinds.source) return this.#takeSource(reader)
      if (kind === kinds.names) return this.#takeNames(reader)
      return this.#input(kind, reader)
    } catch (error) {
      if (error instanceof WeirError) throw error
      throw new WeirError('STATE_DAMAGED', `record of kind ${kind}: ${errorText(error)}`, { cause: error })
    }
  }

  #takeEpoch(reader: ByteReader): undefined {
    const version = reader.byte()
    if (version > recordVersion) throw newer(`record version ${version}`)
    this.#epochId = reader.uint16()
    this.#epoch = { processingMs: reader.varint(), wallMs: reader.signed() }
    this.#sources.clear()
    this.#names.clear()
  }

  #takeSource(reader: ByteReader): undefined {
    this.#sources.set(reader.varint(), JSON.parse(reader.text()))
  }

  #takeNames(reader: ByteReader): undefined {
    this.#names.set(reader.varint(), reader.text().split('\n'))
  }

  #input(kind: number, reader: ByteReader): Input {
    const elapsedMs = reader.varint()
    const now = {
      processingMs: this.#epoch.processingMs + elapsedMs,
      wallMs: this.#epoch.wallMs + elapsedMs + reader.signed(),
    }
    if (kind === kinds.arrival) return { type: 'arrival', now, arrival: this.#arrival(reader, now.wallMs) }
    if (kind === kinds.configure) return { type: 'configure', now, config: JSON.parse(reader.text()) }
    if (kind === kinds.delivered) return { type: 'delivered', now, through: reader.varint(), queued: reader.varint() }
    return { type: 'tick', now }
  }

  #arrival(reader: ByteReader, wallMs: number): Arrival {
    const number = reader.varint()
    const source = this.#sources.get(number)
    if (source === undefined) throw new WeirError('STATE_DAMAGED', `source ${number} is missing`)
    const [deviceId, deviceType, location, clockTrusted, part, session, envelope] = source
    const has = reader.byte()
    const messageId = readMessageId(reader, has)
    const body = reader.varint()
    const properties = reader.varint()
    const units = (has & flags.units) === 0 ? undefined : JSON.parse(reader.text())
    const rowsKeptOut = (has & flags.rowsKeptOut) === 0 ? 0 : reader.varint()
    return {
      telemetry: {
        deviceId,
        deviceType: deviceType ?? undefined,
        location: location ?? undefined,
        clockTrusted,
        part: part ?? undefined,
        units,
        rows: this.#rows(reader, wallMs),
      },
      rowsKeptOut,
      session,
      messageId,
      bytes: { body, envelope, properties },
    }
  }

  #rows(reader: ByteReader, wallMs: number): DecodedRow[] {
    const rows: DecodedRow[] = []
    let timestampMs = wallMs
    while (!reader.atEnd) {
      const signals = this.#namesOf(reader.varint())
      const bad = this.#namesOf(reader.varint()).map(badSignal)
      const count = reader.varint()
      const values: SignalValue[][] = []
      const first = rows.length
      for (let row = 0; row < count; row++) {
        timestampMs += reader.signed()
        const own: SignalValue[] = []
        values.push(own)
        rows.push({ timestampMs, signals, values: own, bad: noBad })
      }
      for (let column = 0; column < signals.length; column++) {
        readColumn(reader, count, (row, value) => {
          if (value !== undefined) values[row]?.push(value)
        })
      }
      for (let row = first; bad.length > 0 && row < rows.length; row++) {
        const own = rows[row]
        if (own === undefined) continue
        rows[row] = { ...own, bad: bad.map((each) => ({ ...each, value: readValue(reader) })) }
      }
    }
    return rows
  }

  #namesOf(number: number): readonly string[] {
    const names = number === 0 ? noNames : this.#names.get(number)
    if (names === undefined) throw new WeirError('STATE_DAMAGED', `names ${number} are missing`)
    return names
  }
}

const noNames: readonly string[] = []
const noBad: readonly BadSignal[] = []

function badSignal(text: string): Omit<BadSignal, 'value'> {
  const [signal = '', reason = 'uncertain'] = text.split(' ')
  return { signal, reason: reason as QualityReason }
}

function readMessageId(reader: ByteReader, has: number): string | undefined {
  if ((has & flags.contentId) !== 0) return reader.encoded('base64url', contentIdBytes).slice(0, 22)
  return (has & flags.messageId) === 0 ? undefined : reader.text()
}

function newer(what: string): WeirError {
  return new WeirError('STATE_NEWER', `journal: ${what} is newer than this version; upgrade, or move the folder away`)
}
