import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { parseConfig } from './config-parse.ts'
import { idPattern } from './limits.ts'
import { selectorSchema } from './selector.ts'

const id = z.string().regex(idPattern, 'must match the pattern of ids')
const device = z.strictObject({
  address: z.int().min(0).max(65_535),
  host: z.string().min(1),
  order: z.enum(['ABCD', 'CDAB']).default('ABCD'),
  step: z.number().multipleOf(5).optional(),
  tags: z.array(z.string()).min(1).optional(),
})
const rule = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('limits'), high: z.number(), select: selectorSchema }),
  z.strictObject({ kind: z.literal('spike'), windowMs: z.int().min(1) }),
])
const declaration = {
  module: 'modbus-reader',
  schema: z.strictObject({
    pollIntervalMs: z.int().min(10).default(1000),
    devices: z.record(id, device).default({}),
    rules: z.record(id, rule).default({}),
    target: z.union([z.string().min(3), z.strictObject({ host: z.string() })]).optional(),
  }),
  sample: {},
}

function problemsOf(raw: unknown): readonly string[] {
  const parsed = parseConfig(declaration, raw)
  return 'problems' in parsed ? parsed.problems : []
}

const good = { address: 1, host: 'plc' }

describe('a configuration', () => {
  it('that is good gets its defaults, and the keys of the twin itself are passed over', () => {
    expect(parseConfig(declaration, { $version: 4, $metadata: {}, devices: { a: good } })).toEqual({
      config: { pollIntervalMs: 1000, devices: { a: { ...good, order: 'ABCD' } }, rules: {} },
    })
  })

  it.each<[unknown, string]>([
    [
      { devices: { 'press-4': { adress: 1, host: 'a' } } },
      'devices/press-4/adress: unknown key (did you mean "address"?)',
    ],
    [{ devices: { 'press-4': { host: 'a' } } }, 'devices/press-4/address: missing; must be a number'],
    [{ devices: { a: { ...good, address: 70_000 } } }, 'devices/a/address: 70000 must be at most 65535'],
    [{ devices: { a: { ...good, address: '1' } } }, 'devices/a/address: "1" must be a number'],
    [{ devices: { a: { ...good, address: 1.5 } } }, 'devices/a/address: 1.5 must be a whole number'],
    [{ devices: { a: { ...good, host: '' } } }, 'devices/a/host: "" must have at least 1 characters'],
    [
      { devices: { a: { ...good, order: 'ABDC' } } },
      'devices/a/order: "ABDC" must be one of ABCD, CDAB (did you mean "ABCD"?)',
    ],
    [{ devices: { a: { ...good, step: 7 } } }, 'devices/a/step: 7 must be a multiple of 5'],
    [{ devices: { a: { ...good, tags: [] } } }, 'devices/a/tags: a list must have at least 1 entries'],
    [{ devices: { 'press.4': good } }, 'devices/press.4: name "press.4" must match the pattern of ids'],
    [{ devices: [] }, 'devices: a list must be an object'],
    [{ pollIntervalMs: 3 }, 'pollIntervalMs: 3 must be at least 10'],
    [
      { rules: { a: { kind: 'limit', high: 3 } } },
      'rules/a/kind: "limit" must be one of limits, spike (did you mean "limits"?)',
    ],
    [
      { rules: { a: { kind: 'limits', hgih: 3, high: 3, select: '*' } } },
      'rules/a/hgih: unknown key (did you mean "high"?)',
    ],
    [
      { rules: { a: { kind: 'limits', high: 3, select: 'press-4' } } },
      'rules/a/select: "press-4" must be "*" or parts',
    ],
    [{ target: 7 }, 'target: 7 must be a text'],
    [{ target: { hots: 'x' } }, 'target/hots: unknown key (did you mean "host"?)'],
    [7, 'configuration: 7 must be an object'],
    [undefined, 'configuration: missing; must be an object'],
    [JSON.parse('{"devices":{"a":{"__proto__":{"x":1},"address":1,"host":"b"}}}'), 'devices/a/__proto__: unknown key'],
    [JSON.parse('{"__proto__":{"pollIntervalMs":1}}'), '__proto__: unknown key'],
  ])('%j names the place, the value and what is expected', (raw, problem) => {
    expect(problemsOf(raw)).toEqual(expect.arrayContaining([expect.stringContaining(problem)]))
  })

  it('names every problem at once', () => {
    expect(problemsOf({ pollIntervalMs: 3, devices: { a: { address: -1, host: 'a' } }, colour: 1 })).toHaveLength(3)
  })

  it('with a thousand problems names a hundred and says how many more', () => {
    const devices = Object.fromEntries(
      Array.from({ length: 1000 }, (_, index) => [`d${index}`, { address: 'x', host: 'a' }]),
    )
    const problems = problemsOf({ devices })
    expect(problems).toHaveLength(101)
    expect(problems.at(-1)).toBe('900 further problems')
  })

  it('is checked across its fields only once each field is good', () => {
    const checked = { ...declaration, check: () => ['devices/a: no two at one address'] }
    expect(parseConfig(checked, {})).toEqual({ problems: ['devices/a: no two at one address'] })
    expect(parseConfig(checked, { pollIntervalMs: 1 })).toEqual({ problems: ['pollIntervalMs: 1 must be at least 10'] })
  })

  it('of any kind is answered without a throw, and pollutes nothing', () => {
    const shape = fc.record({ pollIntervalMs: fc.anything(), devices: fc.dictionary(fc.string(), fc.anything()) })
    fc.assert(
      fc.property(fc.oneof(fc.anything(), fc.jsonValue(), shape), (raw) => {
        const parsed = parseConfig(declaration, raw)
        expect('config' in parsed || parsed.problems.length > 0).toBe(true)
      }),
    )
    expect(({} as Record<string, unknown>)['x']).toBeUndefined()
  })

  it('nested beyond the stack is a problem like any other', () => {
    const deep = JSON.parse(`${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)}`)
    let deeper: unknown = deep
    for (let level = 0; level < 50_000; level++) deeper = { a: deeper }
    expect(problemsOf({ devices: deeper }).length).toBeGreaterThan(0)
  })
})
