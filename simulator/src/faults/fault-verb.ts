/** `weir fault`: the words of the command line as a call of the service API. */
import { UsageError } from '@weir/lib/command-arguments'
import { errorText } from '@weir/lib/errors'
import type { JsonValue } from '@weir/lib/json'
import { nearest } from '@weir/lib/nearest'
import type { OptionKinds, ParsedWords } from '../weir-options.ts'
import { type Fault, faultUsage, type Place, parseFault } from './fault.ts'

export const faultOptions: OptionKinds = { delayMs: 'value', share: 'value', every: 'value', ms: 'value' }

/** What goes to `/faults`. */
export interface FaultRequest {
  readonly method: 'GET' | 'POST' | 'DELETE'
  readonly body?: JsonValue
}

/** @throws UsageError saying what is expected instead. */
export function faultRequest({ positionals, options }: ParsedWords): FaultRequest {
  const [place, ...rest] = positionals
  if (place === undefined) return { method: 'GET' }
  if (place === 'clear' && rest.length === 0) return { method: 'DELETE' }
  return { method: 'POST', body: { ...faultOf(requirePlace(place), rest, options) } }
}

function requirePlace(word: string): Place {
  if (Object.hasOwn(faultUsage, word)) return word as Place
  const places = [...Object.keys(faultUsage), 'clear']
  const meant = nearest(word, places)
  throw new UsageError(
    `fault: ${word}: ${meant === undefined ? `expected one of ${places.join(', ')}` : `did you mean ${meant}?`}`,
  )
}

function faultOf(place: Place, rest: readonly string[], options: ReadonlyMap<string, string>): Fault {
  const isNamed = place !== 'upstream' && place !== 'hub'
  const [name, action, more] = isNamed ? rest : [undefined, ...rest]
  if (more !== undefined) throw new UsageError(`fault: ${more}: expected weir fault ${faultUsage[place]}`)
  const numbers = Object.keys(faultOptions).flatMap((option) => {
    const text = options.get(option)
    return text === undefined ? [] : [[option, numberOf(option, text)]]
  })
  try {
    return parseFault({ place, ...(isNamed ? { name } : {}), action, ...Object.fromEntries(numbers) }, 'fault')
  } catch (error) {
    throw new UsageError(errorText(error))
  }
}

function numberOf(option: string, text: string): number {
  const value = Number(text)
  if (text.trim() === '' || Number.isNaN(value)) throw new UsageError(`--${option} ${text}: expected a number`)
  return value
}
