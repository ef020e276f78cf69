import type { UnitState } from './health.ts'
import type { LinkAnswer, LinkState } from './link.ts'

/** Upper bounds of the round-trip histogram, in milliseconds. */
const boundsMs = [5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000] as const

/** How the requests to one unit went since the start, or since its link changed. */
export class UnitStatistics {
  answered = 0
  timeouts = 0
  exceptions = 0
  damaged = 0
  slowestMs = 0
  readonly #histogram: number[] = new Array(boundsMs.length + 1).fill(0)

  record({ failure, durationMs }: LinkAnswer): void {
    if (failure === 'timeout') this.timeouts++
    else if (failure === 'malformed') this.damaged++
    else if (failure !== 'closed') {
      if (failure === undefined) this.answered++
      else this.exceptions++
      this.slowestMs = Math.max(this.slowestMs, durationMs)
      const bucket = boundsMs.findIndex((bound) => durationMs <= bound)
      const at = bucket === -1 ? boundsMs.length : bucket
      this.#histogram[at] = (this.#histogram[at] ?? 0) + 1
    }
  }

  get requests(): number {
    return this.answered + this.timeouts + this.exceptions + this.damaged
  }

  /** Round trips by their length: `≤ 10 ms: 41, ≤ 20 ms: 2`. */
  get roundTrips(): string {
    const words = this.#histogram.map((count, at) => {
      return `${at < boundsMs.length ? `≤ ${boundsMs[at]}` : `> ${boundsMs.at(-1)}`} ms: ${count}`
    })
    return words.filter((_, at) => (this.#histogram[at] ?? 0) > 0).join(', ')
  }
}

/** One line of a diagnosis: what was looked at, what was found, and what to do about it. */
export interface Finding {
  readonly what: string
  readonly finding: string
  readonly advice: string
}

const nothing = 'nothing'
/** Share of requests that may go wrong without a word. */
const faultShareMax = 0.01

export function diagnoseLink(linkId: string, state: LinkState, detail: string, isSerial: boolean): Finding {
  const what = `link ${linkId}`
  if (state === 'up') return { what, finding: 'is open', advice: nothing }
  if (state === 'unknown')
    return { what, finding: 'is not used yet', advice: 'configure a device on it, or wait for its first poll' }
  const advice = isSerial
    ? 'check that the adapter is plugged in, that its path is right, and that the container was given the device'
    : 'check power and cable, host and port, and that no other master holds the only connection of the device'
  return { what, finding: `is down: ${detail}`, advice }
}

function adviceOf(state: UnitState, statistics: UnitStatistics, isSerial: boolean, timeoutMs: number): string {
  const { answered, exceptions, timeouts, damaged, requests, slowestMs } = statistics
  if (damaged > requests * faultShareMax) {
    return isSerial
      ? 'check baud rate, parity and stop bits, the termination of the line, and that no two units share an id'
      : 'check that the transport is right (tcp or rtuOverTcp), and that no two units share an id'
  }
  if (answered + exceptions === 0 && timeouts > 0) {
    return `check unitId (the command scan shows which answer)${isSerial ? ', A and B of the wiring, baud rate and parity' : ''}`
  }
  if (state === 'down') return 'it answered before: check its power and cable'
  if (timeouts > requests * faultShareMax) {
    return `raise timeoutMs (now ${timeoutMs}; the slowest answer took ${Math.ceil(slowestMs)} ms), or poll less often`
  }
  if (exceptions > requests * faultShareMax) {
    return 'check table, address and addressing of its signals; the command plan shows what is asked'
  }
  return nothing
}

export function diagnoseUnit(
  what: string,
  state: UnitState,
  statistics: UnitStatistics,
  isSerial: boolean,
  timeoutMs: number,
): Finding {
  const { answered, timeouts, exceptions, damaged, requests, roundTrips } = statistics
  if (requests === 0) return { what, finding: 'was not asked yet', advice: 'see its link' }
  const word = state === 'down' ? 'is away' : 'answers'
  const counts = `${answered} answers, ${timeouts} time-outs, ${exceptions} exceptions, ${damaged} damaged`
  const finding = `${word}: ${counts}${roundTrips === '' ? '' : `; ${roundTrips}`}`
  return { what, finding, advice: adviceOf(state, statistics, isSerial, timeoutMs) }
}

/** @param queued messages that wait for the hub. @param isClockSet whether the system clock can be believed. */
export function diagnoseModule(queued: number, isClockSet: boolean): Finding[] {
  return [
    {
      what: 'hub',
      finding: `${queued} messages wait for it`,
      advice: queued > 100 ? 'check that edgeHub runs (iotedge list) and has room on its disk' : nothing,
    },
    {
      what: 'clock',
      finding: isClockSet ? 'is set' : 'was never set; rows say clockTrusted false',
      advice: isClockSet ? nothing : 'check the time service of the gateway (timedatectl)',
    },
  ]
}
