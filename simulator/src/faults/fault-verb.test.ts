import { UsageError } from '@weir/lib/command-arguments'
import { describe, expect, test } from 'vitest'
import { parseWords } from '../weir-options.ts'
import { faultOptions, faultRequest } from './fault-verb.ts'

function request(words: string) {
  return faultRequest(parseWords(words === '' ? [] : words.split(' '), faultOptions))
}

describe('weir fault', () => {
  test.each([
    ['', { method: 'GET' }],
    ['clear', { method: 'DELETE' }],
    ['upstream cut', { method: 'POST', body: { place: 'upstream', action: 'cut' } }],
    ['upstream slow --delayMs 200', { method: 'POST', body: { place: 'upstream', action: 'slow', delayMs: 200 } }],
    ['hub restart', { method: 'POST', body: { place: 'hub', action: 'restart' } }],
    ['module a kill', { method: 'POST', body: { place: 'module', name: 'a', action: 'kill' } }],
    [
      'messages a duplicate --share=0.5',
      { method: 'POST', body: { place: 'messages', name: 'a', action: 'duplicate', share: 0.5 } },
    ],
    ['disk a failing --every 3', { method: 'POST', body: { place: 'disk', name: 'a', action: 'failing', every: 3 } }],
    [
      'clock all step --ms -3600000',
      { method: 'POST', body: { place: 'clock', name: 'all', action: 'step', ms: -3_600_000 } },
    ],
    ['device oven-1 off', { method: 'POST', body: { place: 'device', name: 'oven-1', action: 'off' } }],
  ])('%s', (words, expected) => {
    expect(request(words)).toEqual(expected)
  })

  test.each([
    ['upsteam cut', 'fault: upsteam: did you mean upstream?'],
    ['moon', 'fault: moon: expected one of upstream, hub, module, messages, disk, clock, device, clear'],
    ['upstream', 'expected upstream cut | slow --delayMs N | restore'],
    ['upstream cut now', 'fault: now: expected weir fault upstream cut'],
    ['module a', 'expected module NAME kill | freeze | thaw | restart'],
    ['module', 'expected module NAME'],
    ['upstream slow', 'delayMs: '],
    ['upstream slow --delayMs soon', '--delayMs soon: expected a number'],
    ['module a kill --share 1', 'expected module NAME'],
  ])('%s is refused with what is expected', (words, problem) => {
    expect(() => request(words)).toThrow(UsageError)
    expect(() => request(words)).toThrow(problem)
  })
})
