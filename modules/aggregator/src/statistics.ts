/**
 * Running figures of the signals of one window, in flat arrays: taking a value allocates nothing.
 *
 * Mean and squares follow Welford (Technometrics 4/1962, p. 419) on the differences from the first value, so that a
 * large common offset (1e9 on a counter) costs no precision.
 */
import type { SignalValue } from '@weir/lib/messages'

/** Numbers kept per signal, at these places. */
const stride = 9
const countAt = 0
const firstAt = 1
const meanAt = 2
const squaresAt = 3
const minAt = 4
const maxAt = 5
const peakAt = 6
const lastAt = 7
const lastMsAt = 8

/** Bits per signal. Booleans count as 0 and 1. */
const sawNumber = 1
const lastIsBoolean = 2

interface Text {
  count: number
  last: string
  lastMs: number
}

/** What a window knows of one signal. Figures that do not exist, or are too large for a number, are absent. */
export interface Figures {
  /** Good values of any kind. */
  readonly count: number
  /** Mean; of booleans the share that was true. */
  readonly avg: number | undefined
  /** Sample standard deviation (n − 1); absent below two numbers. */
  readonly std: number | undefined
  readonly min: number | undefined
  readonly max: number | undefined
  /** The value of largest magnitude, with its sign; of equal ones the first taken. */
  readonly peak: number | undefined
  /** The value with the newest timestamp; of equal ones the last taken. */
  readonly last: SignalValue | undefined
}

/** One signal as plain data; null stands for a number too large for JSON. */
export type SavedNumbers = (number | null)[]
export type SavedText = [signal: number, count: number, last: string, lastMs: number]
export interface SavedStatistics {
  /** `[signal, kinds, count, first, mean, squares, min, max, peak, last, lastMs]` of each signal with numbers. */
  readonly numbers: SavedNumbers[]
  readonly texts: SavedText[]
}
export const savedNumbersLength = stride + 2

export class Statistics {
  #numbers: Float64Array
  #kinds: Uint8Array
  #texts: Map<number, Text> | undefined

  constructor(signals: number) {
    this.#numbers = new Float64Array(signals * stride)
    this.#kinds = new Uint8Array(signals)
  }

  /** Makes room for `signals` signals, numbered from 0. */
  reserve(signals: number): void {
    if (signals <= this.#kinds.length) return
    const room = Math.max(signals, this.#kinds.length * 2)
    const numbers = new Float64Array(room * stride)
    numbers.set(this.#numbers)
    this.#numbers = numbers
    const kinds = new Uint8Array(room)
    kinds.set(this.#kinds)
    this.#kinds = kinds
  }

  /** Takes a finite number; `isBoolean` says that 0 or 1 stands for false or true. There must be room for `signal`. */
  addNumber(signal: number, value: number, isBoolean: boolean, timestampMs: number): void {
    const numbers = this.#numbers
    const at = signal * stride
    if (!isBoolean) this.#kinds[signal] = (this.#kinds[signal] ?? 0) | sawNumber
    const count = (numbers[at + countAt] ?? 0) + 1
    numbers[at + countAt] = count
    if (count === 1) {
      numbers[at + firstAt] = value
      numbers[at + minAt] = value
      numbers[at + maxAt] = value
      numbers[at + peakAt] = value
      this.#setLast(signal, value, isBoolean, timestampMs)
      return
    }
    const mean = numbers[at + meanAt] ?? 0
    const difference = value - (numbers[at + firstAt] ?? 0)
    const delta = difference - mean
    const newMean = mean + delta / count
    numbers[at + meanAt] = newMean
    numbers[at + squaresAt] = (numbers[at + squaresAt] ?? 0) + delta * (difference - newMean)
    if (value < (numbers[at + minAt] ?? 0)) numbers[at + minAt] = value
    if (value > (numbers[at + maxAt] ?? 0)) numbers[at + maxAt] = value
    if (Math.abs(value) > Math.abs(numbers[at + peakAt] ?? 0)) numbers[at + peakAt] = value
    if (timestampMs >= (numbers[at + lastMsAt] ?? 0)) this.#setLast(signal, value, isBoolean, timestampMs)
  }

  addText(signal: number, value: string, timestampMs: number): void {
    this.#texts ??= new Map()
    const text = this.#texts.get(signal)
    if (text === undefined) {
      this.#texts.set(signal, { count: 1, last: value, lastMs: timestampMs })
      return
    }
    text.count += 1
    if (timestampMs < text.lastMs) return
    text.last = value
    text.lastMs = timestampMs
  }

  /** undefined where the signal had no good value. */
  figures(signal: number): Figures | undefined {
    const numbers = this.#numbers
    const at = signal * stride
    const count = numbers[at + countAt] ?? 0
    const text = this.#texts?.get(signal)
    if (count === 0 && text === undefined) return undefined
    // Extremes and deviation of switches say nothing that `avg` and `last` do not.
    const measured = ((this.#kinds[signal] ?? 0) & sawNumber) !== 0
    const number = (place: number): number | undefined => finite(numbers[at + place] ?? Number.NaN)
    return {
      count: count + (text?.count ?? 0),
      avg: count === 0 ? undefined : finite((numbers[at + firstAt] ?? 0) + (numbers[at + meanAt] ?? 0)),
      std: measured && count > 1 ? finite(Math.sqrt((numbers[at + squaresAt] ?? 0) / (count - 1))) : undefined,
      min: measured ? number(minAt) : undefined,
      max: measured ? number(maxAt) : undefined,
      peak: measured ? number(peakAt) : undefined,
      last: this.#last(signal, count, text),
    }
  }

  save(): SavedStatistics {
    const numbers: SavedNumbers[] = []
    for (let signal = 0; signal < this.#kinds.length; signal++) {
      const at = signal * stride
      if (this.#numbers[at + countAt] === 0) continue
      const saved = Array.from(this.#numbers.subarray(at, at + stride), (number) => finite(number) ?? null)
      numbers.push([signal, this.#kinds[signal] ?? 0, ...saved])
    }
    const texts = [...(this.#texts ?? [])].map(
      ([signal, text]): SavedText => [signal, text.count, text.last, text.lastMs],
    )
    return { numbers, texts }
  }

  static restore(saved: SavedStatistics, signals: number): Statistics {
    const statistics = new Statistics(signals)
    for (const [signal, kinds, ...numbers] of saved.numbers) {
      statistics.#kinds[signal ?? 0] = kinds ?? 0
      numbers.forEach((number, place) => {
        statistics.#numbers[(signal ?? 0) * stride + place] = number ?? Number.NaN
      })
    }
    for (const [signal, count, last, lastMs] of saved.texts) {
      statistics.#texts ??= new Map()
      statistics.#texts.set(signal, { count, last, lastMs })
    }
    return statistics
  }

  #setLast(signal: number, value: number, isBoolean: boolean, timestampMs: number): void {
    this.#numbers[signal * stride + lastAt] = value
    this.#numbers[signal * stride + lastMsAt] = timestampMs
    const kinds = this.#kinds[signal] ?? 0
    this.#kinds[signal] = isBoolean ? kinds | lastIsBoolean : kinds & ~lastIsBoolean
  }

  #last(signal: number, count: number, text: Text | undefined): SignalValue | undefined {
    const at = signal * stride
    if (text !== undefined && (count === 0 || text.lastMs >= (this.#numbers[at + lastMsAt] ?? 0))) return text.last
    const value = this.#numbers[at + lastAt] ?? Number.NaN
    return ((this.#kinds[signal] ?? 0) & lastIsBoolean) !== 0 ? value !== 0 : finite(value)
  }
}

function finite(number: number): number | undefined {
  return Number.isFinite(number) ? number : undefined
}
