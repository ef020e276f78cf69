import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseConfig } from '@weir/lib/config-parse'
import { describe, expect, it } from 'vitest'
import { aggregatorConfig } from './config.ts'

const problemsOf = (raw: unknown) => {
  const parsed = parseConfig(aggregatorConfig, raw)
  return 'problems' in parsed ? parsed.problems : []
}
const window = (lengthMs: number) => ({ lengthMs })
const rule = { select: '*', functions: ['avg'] }

describe('the configuration', () => {
  it('takes its own sample', () => {
    expect(problemsOf(aggregatorConfig.sample)).toEqual([])
  })

  it('runs on defaults alone, with one window a minute', () => {
    const parsed = parseConfig(aggregatorConfig, {})
    expect('config' in parsed && parsed.config).toMatchObject({
      windows: { main: { lengthMs: 60_000, lateArrivalMs: 5_000 } },
      deviceIdleMs: 30_000,
      batch: { maxDelayMs: 1_000 },
    })
  })

  it.each(['deployment.template.json', 'deployment.debug.template.json'])('takes what %s sets', (file) => {
    const manifest = JSON.parse(readFileSync(join(import.meta.dirname, '../../..', file), 'utf8'))
    expect(problemsOf(manifest.modulesContent.aggregator['properties.desired'])).toEqual([])
  })

  it.each([
    [
      'two windows of one length',
      { windows: { a: window(1_000), b: window(1_000) } },
      /windows\/b\/lengthMs: 1000 .* a too/,
    ],
    ['a length between seconds', { windows: { a: window(1_500) } }, /windows\/a\/lengthMs: 1500 must be whole seconds/],
    ['no window at all', { windows: {} }, /windows: is empty/],
    [
      'a function named twice',
      { rules: { r: { ...rule, functions: ['avg', 'avg'] } } },
      /rules\/r\/functions: avg, avg/,
    ],
    ['an unknown function', { rules: { r: { ...rule, functions: ['median'] } } }, /rules\/r\/functions\/0: "median"/],
    ['a selector that is none', { rules: { r: { ...rule, select: 'sgnal:x' } } }, /rules\/r\/select: .*signal/],
    ['an unknown key', { window: {} }, /window: unknown key \(did you mean "windows"\?\)/],
    ['an id that is none', { windows: { 'a.b': window(1_000) } }, /windows\/a\.b/],
    ['a property that Weir sets', { properties: { session: 'x' } }, /properties\/session: is set by Weir/],
  ])('with %s is refused by its path', (_what, raw, problem) => {
    expect(problemsOf(raw)).toEqual([expect.stringMatching(problem)])
  })

  it('takes windows that divide a second', () => {
    expect(problemsOf({ windows: { fast: window(250) } })).toEqual([])
  })
})
