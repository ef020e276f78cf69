import { WeirError } from '@weir/lib/errors'
import { describe, expect, test } from 'vitest'
import { type Fault, faultText, parseFault } from './fault.ts'

const faults: readonly (readonly [Fault, string])[] = [
  [{ place: 'upstream', action: 'cut' }, 'upstream cut'],
  [{ place: 'upstream', action: 'slow', delayMs: 300 }, 'upstream slow 300 ms'],
  [{ place: 'hub', action: 'kill' }, 'hub kill'],
  [{ place: 'module', name: 'aggregator', action: 'freeze' }, 'module aggregator freeze'],
  [{ place: 'messages', name: 'aggregator', action: 'delay', delayMs: 20 }, 'messages aggregator delay 20 ms'],
  [{ place: 'messages', name: 'a', action: 'duplicate', share: 0.5 }, 'messages a duplicate share 0.5'],
  [{ place: 'messages', name: 'a', action: 'dropBeforeAck', share: 1 }, 'messages a dropBeforeAck'],
  [{ place: 'disk', name: 'a', action: 'failing', every: 3 }, 'disk a failing every 3'],
  [{ place: 'clock', name: 'all', action: 'step', ms: 3_600_000 }, 'clock all step +3600000 ms'],
  [{ place: 'clock', name: 'a', action: 'step', ms: -1 }, 'clock a step -1 ms'],
  [{ place: 'device', name: 'oven-1', action: 'garbled' }, 'device oven-1 garbled'],
]

describe('a fault', () => {
  test.each(faults)('%j is taken as it is, and said as %s', (fault, text) => {
    expect(parseFault(fault, 'x')).toEqual(fault)
    expect(faultText(fault)).toBe(text)
  })

  test('concerns every message, and every write, unless it says otherwise', () => {
    expect(parseFault({ place: 'messages', name: 'a', action: 'duplicate' }, 'x')).toMatchObject({ share: 1 })
    expect(parseFault({ place: 'disk', name: 'a', action: 'failing' }, 'x')).toMatchObject({ every: 1 })
  })

  test.each([
    [{ place: 'moon', action: 'cut' }, 'expected one of the places upstream, hub, module'],
    ['cut', 'expected one of the places'],
    [{ place: 'upstream', action: 'stop' }, 'action: '],
    [{ place: 'upstream', action: 'slow' }, 'delayMs: '],
    [{ place: 'upstream', action: 'slow', delayMs: -1 }, 'delayMs: '],
    [{ place: 'upstream', action: 'cut', delayMs: 5 }, 'expected upstream cut | slow --delayMs N | restore'],
    [{ place: 'module', action: 'kill' }, 'name: '],
    [{ place: 'messages', name: 'a', action: 'duplicate', share: 2 }, 'share: '],
    [{ place: 'disk', name: 'a', action: 'failing', every: 0 }, 'every: '],
    [{ place: 'clock', name: 'a', action: 'step', ms: 0.5 }, 'ms: '],
  ])('%j is refused with what is expected', (value, problem) => {
    expect(() => parseFault(value, 'order')).toThrow(WeirError)
    expect(() => parseFault(value, 'order')).toThrow(problem)
    expect(() => parseFault(value, 'order')).toThrow(/^order: .*; expected /)
  })
})
