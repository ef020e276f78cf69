import type { QualityReason, Row } from '@weir/lib/messages'
import { type Decoded, decode } from './decode.ts'
import type { GroupRequest, GroupRow, PollGroup } from './groups.ts'
import { isGatewaySilence, qualityOf, type ReadAnswer, type ReadRequest } from './transport.ts'

/** What a poll of a group brought, and what it says about the unit. */
export interface Polled {
  /** Value by column; undefined where there is none. */
  readonly values: readonly Decoded[]
  /** Reason by column, for values that could not be read. */
  readonly reasons: readonly (QualityReason | undefined)[]
  /** `malformed`: something came that fits no request. */
  readonly unit: 'answered' | 'silent' | 'cutOff' | 'malformed'
  /** What the last failure said. */
  readonly detail: string
}

type Read = (request: ReadRequest) => Promise<ReadAnswer>

function isSilence(answer: ReadAnswer): boolean {
  return answer.failure === 'timeout' || isGatewaySilence(answer)
}

function markFailed(request: GroupRequest, reason: QualityReason, reasons: (QualityReason | undefined)[]): void {
  for (const { column } of request.fields) reasons[column] = reason
}

/**
 * Reads a group, request by request. After a request without an answer the unit is not asked for the rest: each would
 * hold up the line for another time-out. Never rejects as long as `read` does not.
 */
export async function pollGroup(group: PollGroup, read: Read): Promise<Polled> {
  const values: Decoded[] = new Array(group.columnCount).fill(undefined)
  const reasons: (QualityReason | undefined)[] = new Array(group.columnCount).fill(undefined)
  let unit: Polled['unit'] | undefined
  let detail = ''
  let given: QualityReason | undefined
  for (const request of group.requests) {
    if (given !== undefined) {
      markFailed(request, given, reasons)
      continue
    }
    const { table, address, count } = request
    const answer = await read({ unitId: group.unitId, table, address, count })
    if (answer.failure === undefined) {
      decode(answer.data, request.fields, values)
      unit = 'answered'
      continue
    }
    const reason = qualityOf(answer)
    detail = answer.detail
    markFailed(request, reason, reasons)
    if (isSilence(answer) || answer.failure === 'closed') {
      given = reason
      unit ??= answer.failure === 'closed' ? 'cutOff' : 'silent'
    } else if (answer.failure === 'exception') unit = 'answered'
    else unit ??= 'malformed'
  }
  return { values, reasons, unit: unit ?? 'silent', detail }
}

/** The row of one device: a value by signal, or the reason why there is none. */
export function rowOf({ signals }: GroupRow, { values, reasons }: Polled, timestamp: string): Row {
  const good: Record<string, number | boolean> = {}
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
