import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { ManualClock } from './clock.ts'
import { type Command, command } from './command.ts'
import { parseCommandArguments, UsageError } from './command-arguments.ts'
import { type CommandLine, runCommandLine } from './command-client.ts'
import { renderResult } from './command-render.ts'
import { CommandServer } from './command-server.ts'
import type { JsonObject, JsonValue } from './json.ts'

const described = {
  name: 'read',
  arguments: z.toJSONSchema(
    z.strictObject({
      device: z.string(),
      count: z.int().optional(),
      scale: z.number().optional(),
      raw: z.boolean().optional(),
      order: z.enum(['abcd', 'cdab']).optional(),
      signals: z.array(z.string()).optional(),
      sizes: z.array(z.int()).optional(),
      limits: z.strictObject({ high: z.number() }).optional(),
      value: z.union([z.number(), z.boolean(), z.string()]).optional(),
      anything: z.unknown().optional(),
      pollIntervalMs: z.int().optional(),
      note: z.string().nullable().optional(),
    }),
    { io: 'input' },
  ) as unknown as JsonObject,
}

describe('arguments', () => {
  test.each<[string, string[], JsonObject]>([
    [
      'texts, even those that look like numbers or JSON',
      ['--device', '42', '--note', '"q"'],
      { device: '42', note: '"q"' },
    ],
    ['values after an equals sign', ['--device=a=b', '--count=-3'], { device: 'a=b', count: -3 }],
    ['flags', ['--raw', '--device', 'a'], { raw: true, device: 'a' }],
    ['flags with a value', ['--raw', 'false', '--device', 'a'], { raw: false, device: 'a' }],
    ['flags turned off', ['--no-raw', '--device', 'a'], { raw: false, device: 'a' }],
    ['negative and broken numbers', ['--scale', '-0.5', '--device', 'a'], { scale: -0.5, device: 'a' }],
    [
      'lists given one by one',
      ['--signals', 'a', '--signals', 'b', '--device', 'x'],
      { signals: ['a', 'b'], device: 'x' },
    ],
    ['lists as JSON', ['--sizes', '[1,2]', '--device', 'x'], { sizes: [1, 2], device: 'x' }],
    ['objects', ['--limits', '{"high":80}', '--device', 'x'], { limits: { high: 80 }, device: 'x' }],
    ['unions, by the JSON that a word is', ['--value', '5', '--device', 'x'], { value: 5, device: 'x' }],
    ['unions, a text where it is none', ['--value', 'on', '--device', 'x'], { value: 'on', device: 'x' }],
    ['null where it may be', ['--note', 'null', '--device', 'x'], { note: null, device: 'x' }],
    ['anything', ['--anything', '{"a":[1]}', '--device', 'x'], { anything: { a: [1] }, device: 'x' }],
    ['keys with dashes', ['--poll-interval-ms', '5', '--device', 'x'], { pollIntervalMs: 5, device: 'x' }],
    ['one JSON object', ['{"device":"a","count":1}', '--count', '2'], { device: 'a', count: 2 }],
  ])('%s', (_what, words, expected) => {
    expect(parseCommandArguments(described, words)).toEqual(expected)
  })

  test.each([
    [
      'an unknown option names the nearest',
      ['--devcie', 'a'],
      'read: --devcie: unknown option (did you mean --device?)',
    ],
    ['an unknown key in JSON does too', ['{"scael":1}'], 'read: --scael: unknown option (did you mean --scale?)'],
    ['a missing value', ['--device'], '--device: expects text'],
    ['a value that is another option', ['--device', '--raw'], '--device: expects text'],
    ['a missing option', ['--raw'], 'read: --device is missing'],
    ['a text for a number', ['--scale', 'much'], '--scale much: expected a number'],
    ['a broken number for a whole one', ['--count', '1.5'], '--count 1.5: expected a whole number'],
    [
      'a word that is none of a list',
      ['--order', 'abdc'],
      '--order abdc: expected one of abcd, cdab (did you mean abcd?)',
    ],
    ['a flag that is none', ['--no-device'], '--no-device: --device expects text'],
    ['a word that is no object', ['device'], 'read: device: expected --key value, or one JSON object'],
    ['__proto__', ['--__proto__', 'x'], 'read: --__proto__: unknown option'],
  ])('%s', (_what, words, message) => {
    expect(() => parseCommandArguments(described, words)).toThrow(new UsageError(message))
  })
})

describe('results', () => {
  test('a list of flat objects is a table, numbers to the right', () => {
    const rows = [
      { device: 'press-4', rows: 5, note: null },
      { device: 'pump-2', rows: 1250 },
    ]
    expect(renderResult(rows)).toBe(['device   rows  note', 'press-4     5', 'pump-2   1250'].join('\n'))
  })

  test.each<[JsonValue, string]>([
    [{ state: 'up', since: 3 }, 'state  up\nsince  3'],
    [{ a: { b: 1 } }, '{\n  "a": {\n    "b": 1\n  }\n}'],
    [[], '[]'],
    ['text', 'text'],
    [null, ''],
  ])('%j', (value, expected) => {
    expect(renderResult(value)).toBe(expected)
  })

  test('what a device put into a text cannot steer the terminal', () => {
    expect(renderResult([{ '\u001b[2Jname': 'a\u001b]0;owned\u0007\nb' }])).toBe(
      '\\u001b[2Jname\na\\u001b]0;owned\\u0007\\u000ab',
    )
    expect(renderResult({ a: ['\u009b31m'] })).toContain('"\\u009b31m"')
    expect(renderResult('\u009b31m')).toBe('\\u009b31m')
  })
})

function moduleWith(clock: ManualClock, ...commands: Command[]) {
  return new CommandServer({
    clock,
    module: 'reader',
    version: '1',
    status: () => ({ rows: 1 }),
    commands: () => commands,
  })
}

/** Runs a command line against a real command server while its clock moves on. */
async function run(words: string[], commands: Command[], more: Partial<CommandLine> = {}) {
  const clock = new ManualClock()
  const server = moduleWith(clock, ...commands)
  const out: string[] = []
  const err: string[] = []
  let ended = false
  const code = runCommandLine(words, {
    call: (method, payload) => server.call(method, payload),
    clock,
    signal: new AbortController().signal,
    out: (text) => out.push(text),
    err: (text) => err.push(text),
    ...more,
  }).finally(() => {
    ended = true
  })
  while (!ended) {
    await new Promise((resolve) => setImmediate(resolve))
    clock.advance(500)
  }
  return { code: await code, out: out.join('\n'), err: err.join('\n'), server }
}

const add = command({
  name: 'add',
  summary: 'Adds.',
  arguments: z.strictObject({ a: z.number().meta({ description: 'First.' }), b: z.number().default(1) }),
  job: false,
  run: async ({ a, b }) => ({ sum: a + b }),
})
const scan = command({
  name: 'scan',
  summary: 'Scans.',
  arguments: z.strictObject({ count: z.int() }),
  job: true,
  run: async ({ count }, { progress, signal }) => {
    for (let at = 0; at < count && !signal.aborted; at++) {
      progress(`${at + 1} of ${count}`)
      await new Promise((resolve) => setImmediate(resolve))
    }
    if (count === 13) throw new Error('unlucky')
    return Array.from({ length: count * 1000 }, (_, index) => ({ register: index, text: 'é'.repeat(30) }))
  },
})

describe('a command line', () => {
  test('runs a command and prints its result, as JSON where asked', async () => {
    expect(await run(['add', '--a', '2'], [add])).toMatchObject({ code: 0, out: 'sum  3' })
    expect(await run(['add', '--a', '2', '--json'], [add])).toMatchObject({ code: 0, out: '{"sum":3}' })
  })

  test('follows a job to its end, shows its progress, puts its pages together and lets go of it', async () => {
    const { code, out, err } = await run(['scan', '--count', '3', '--json'], [scan])
    expect(code).toBe(0)
    expect(JSON.parse(out)).toHaveLength(3000)
    expect(err).toContain('3 of 3')
    for (let again = 0; again < 20; again++) expect((await run(['scan', '--count', '1'], [scan])).code).toBe(0)
  })

  test('a job that fails says why', async () => {
    expect(await run(['scan', '--count', '13'], [scan])).toMatchObject({
      code: 1,
      err: expect.stringContaining('scan: unlucky'),
    })
  })

  test('Ctrl-C cancels the job', async () => {
    const abort = new AbortController()
    let aborted = false
    const endless = command({
      name: 'endless',
      summary: 'Never ends.',
      arguments: z.strictObject({}),
      job: true,
      run: (_input, { signal }) =>
        new Promise((resolve) => {
          signal.addEventListener('abort', () => {
            aborted = true
            resolve(null)
          })
          abort.abort()
        }),
    })
    expect(await run(['endless'], [endless], { signal: abort.signal })).toMatchObject({
      code: 1,
      err: 'endless: cancelled',
    })
    expect(aborted).toBe(true)
  })

  test('a connection that fails for a while does not end a job; one that stays away does', async () => {
    const clock = new ManualClock()
    const server = moduleWith(clock, scan)
    let failures = 0
    const flaky = (allowed: number) => (method: string, payload: JsonValue) =>
      method === 'jobStatus' && failures++ < allowed ? Promise.reject(new Error('away')) : server.call(method, payload)
    expect(await run(['scan', '--count', '1'], [], { call: flaky(5) })).toMatchObject({ code: 0 })
    failures = 0
    expect(await run(['scan', '--count', '1'], [], { call: flaky(1000) })).toMatchObject({
      code: 1,
      err: expect.stringContaining('away'),
    })
  })

  test('help lists the commands, and the arguments of one', async () => {
    const { out } = await run([], [add])
    expect(out).toMatch(/ {2}add +Adds\./)
    expect(out).toContain('getStatus')
    expect((await run(['help', 'add'], [add])).out).toMatch(/--a NUMBER +First\. \(required\)/)
    expect((await run(['scan', '--help'], [scan])).out).toContain('Runs as a job')
  })

  test.each([
    [['ad'], 2, 'ad: no such command (did you mean add?)'],
    [['add', '--x', '1'], 2, 'add: --x: unknown option (did you mean --a?)'],
    [['help', 'nothing'], 2, 'nothing: no such command; help lists them'],
  ])('%j ends with %i and says what was meant', async (words, code, message) => {
    expect(await run(words, [add])).toMatchObject({ code, err: message })
  })
})
