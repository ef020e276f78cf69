import type { QualityReason, Row, SignalValue } from '@weir/lib/messages'
import { type Decoded, decode } from './decode.ts'
import { type GroupItem, type GroupRequest, type GroupRow, groupRequestOf, type PollGroup } from './groups.ts'
import type { Refusal } from './refusals.ts'
import { isAddressRefusal, isGatewaySilence, qualityOf, type ReadAnswer, type ReadRequest } from './transport.ts'

/** What a unit was found to refuse, and the signal concerned: the one refused, or the one before a gap that is. */
export interface Found extends Refusal {
  readonly item: GroupItem
}

/** What a poll of a group brought, and what it says about the unit. */
export interface Polled {
  /** Value by column; undefined where there is none. */
  readonly values: readonly Decoded[]
  /** Reason by column, for values that could not be read. */
  readonly reasons: readonly (QualityReason | undefined)[]
  /** `malformed`: something came that fits no request. `notAsked`: nothing of the group can be read. */
  readonly unit: 'answered' | 'silent' | 'cutOff' | 'malformed' | 'notAsked'
  /** What the last failure said. */
  readonly detail: string
  /** Signals that the unit refuses by themselves. */
  readonly forbidden: readonly Found[]
  /** What lies between signals that the unit answers apart, but not together. */
  readonly healed: readonly Found[]
}

type Read = (request: ReadRequest) => Promise<ReadAnswer>

/** Requests that one poll may spend on finding what is refused; the next poll goes on, so that no line is held up. */
const searchRequestsMax = 32

function isSilence(answer: ReadAnswer): boolean {
  return answer.failure === 'timeout' || isGatewaySilence(answer)
}

/** One poll under way. */
class GroupPoll {
  readonly values: Decoded[]
  readonly reasons: (QualityReason | undefined)[]
  readonly forbidden: Found[] = []
  readonly healed: Found[] = []
  unit: Polled['unit'] | undefined
  detail = ''
  readonly #unitId: number
  readonly #read: Read
  #searches = 0
  /** Set once the unit is silent: each further request would hold up the line for another time-out. */
  #given: QualityReason | undefined

  constructor(group: PollGroup, read: Read) {
    this.values = new Array(group.columnCount).fill(undefined)
    this.reasons = new Array(group.columnCount).fill(undefined)
    this.#unitId = group.unitId
    this.#read = read
  }

  /** @returns true where the request brought its data. */
  async read(request: GroupRequest): Promise<boolean> {
    if (this.#given !== undefined) {
      this.fail(request.items, this.#given)
      return false
    }
    const { table, address, count } = request
    const answer = await this.#read({ unitId: this.#unitId, table, address, count })
    if (answer.failure === undefined) {
      decode(answer.data, request.fields, this.values, this.reasons)
      this.unit = 'answered'
      return true
    }
    this.detail = answer.detail
    const reason = qualityOf(answer)
    if (isSilence(answer) || answer.failure === 'closed') {
      this.#given = reason
      this.unit ??= answer.failure === 'closed' ? 'cutOff' : 'silent'
    } else if (answer.failure === 'exception') this.unit = 'answered'
    else this.unit ??= 'malformed'
    if (isAddressRefusal(answer)) await this.#search(request, reason)
    else this.fail(request.items, reason)
    return false
  }

  fail(items: readonly GroupItem[], reason: QualityReason): void {
    for (const { column } of items) this.reasons[column] = reason
  }

  /** Finds what in a refused request is refused, by halves, and reads the rest. */
  async #search({ table, address, count, items }: GroupRequest, reason: QualityReason): Promise<void> {
    const [first] = items
    if (items.length < 2 || this.#searches >= searchRequestsMax) {
      this.fail(items, reason)
      if (items.length === 1 && first !== undefined && reason === 'notFound') {
        this.forbidden.push({ table, from: address, to: address + count, item: first })
      }
      return
    }
    this.#searches += 2
    const middle = items.length >> 1
    const left = groupRequestOf(table, items.slice(0, middle))
    const right = groupRequestOf(table, items.slice(middle))
    const isLeftRead = await this.read(left)
    const isRightRead = await this.read(right)
    const before = left.items.at(-1)
    if (!isLeftRead || !isRightRead || before === undefined) return
    const from = Math.min(left.address + left.count, right.address)
    this.healed.push({ table, from, to: right.address, item: before })
  }
}

/**
 * Reads a group, request by request. After a request without an answer the unit is not asked for the rest. A request that
 * the unit refuses for its addresses is taken apart until what is refused is found, and the rest of it is read in the
 * same poll. Never rejects as long as `read` does not.
 */
export async function pollGroup(group: PollGroup, read: Read): Promise<Polled> {
  const poll = new GroupPoll(group, read)
  poll.fail(group.unread, 'notFound')
  for (const request of group.requests) await poll.read(request)
  const { values, reasons, detail, forbidden, healed } = poll
  return { values, reasons, unit: poll.unit ?? 'notAsked', detail, forbidden, healed }
}

/** The row of one device: a value by signal, or the reason why there is none. */
export function rowOf(
  { signals }: GroupRow,
  { values, reasons }: Pick<Polled, 'values' | 'reasons'>,
  timestamp: string,
): Row {
  const good: Record<string, SignalValue> = {}
  const bad: Record<string, QualityReason> = {}
  let hasBad = false
  for (const { signalId, column } of signals) {
    const value = values[column]
    if (value !== undefined) good[signalId] = value
    else {
      bad[signalId] = reasons[column] ?? 'invalidValue'
      hasBad = true
    }
  }
  return hasBad ? { timestamp, values: good, quality: bad } : { timestamp, values: good }
}
