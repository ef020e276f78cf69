import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { runRoutesCommand } from './command.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weir-routes-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

async function run(args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  let stdout = ''
  let stderr = ''
  const output = {
    stdout: (text: string) => {
      stdout += text
    },
    stderr: (text: string) => {
      stderr += text
    },
    cwd: folder,
  }
  return { code: await runRoutesCommand(args, output), stdout, stderr }
}

function write(content: unknown): void {
  writeFileSync(join(folder, 'file.json'), JSON.stringify(content))
}

it('test prints nothing but the count when all vectors agree', async () => {
  const evaluates = [{ condition: '1 = 1', expected: 'true' }]
  write({ source: 'here', plain: { evaluates, rejected: ['1 ='] } })
  expect(await run(['test', 'file.json'])).toEqual({ code: 0, stdout: '2 passed, 0 failed\n', stderr: '' })
})

it('test prints each vector that disagrees, ends with the count and fails', async () => {
  const evaluates = [
    { condition: '1 = 1', expected: 'false' },
    { condition: '1 =', expected: 'true' },
  ]
  write({ plain: { evaluates, rejected: ['true'] } })
  const { code, stdout } = await run(['test', 'file.json'])
  expect(code).toBe(1)
  expect(stdout.split('\n')).toEqual([
    'plain: 1 = 1',
    '  expected false, got true',
    'plain: 1 =',
    expect.stringMatching(/^ {2}expected true, got rejected: the text ends where a value was expected at 1:4/),
    'plain: true',
    '  expected rejected, got accepted',
    '0 passed, 3 failed',
    '',
  ])
})

it.each([
  [{}, 'none found'],
  [[], 'none found'],
  [{ plain: { evaluates: [{ condition: 1 }] } }, 'section plain'],
  [{ plain: { evaluate: [] } }, "the list 'evaluate'"],
  [{ plain: { message: { source: '/nowhere' }, rejected: ['='] } }, "'/nowhere' is not the path of a source"],
])('a vector file %j is refused, so that nothing passes unseen', async (content, problem) => {
  write(content)
  const { code, stdout, stderr } = await run(['test', 'file.json'])
  expect(code).toBe(2)
  expect(stdout).toBe('')
  expect(stderr).toContain(problem)
})

it('check fails on errors only', async () => {
  const hub = (route: string) => ({
    modulesContent: {
      $edgeHub: {
        'properties.desired': {
          schemaVersion: '1.1',
          routes: { up: route },
          storeAndForwardConfiguration: { timeToLiveSecs: 60 },
        },
      },
    },
  })
  write(hub('FROM /messages INTO $upstream please'))
  expect(await run(['check', 'file.json'])).toEqual({
    code: 0,
    stdout: `warning: route "up": edgeHub does not read 'please' after the sink; remove it\n0 errors, 1 warnings\n`,
    stderr: '',
  })
  write(hub('FROM /messages INTO'))
  const { code, stdout } = await run(['check', 'file.json'])
  expect(code).toBe(1)
  expect(stdout).toMatch(
    /^error: route "up": the text ends where a sink was expected at 1:20; .*\n1 errors, 0 warnings\n$/,
  )
})

it('missing arguments print the usage, and an unreadable file its name', async () => {
  for (const args of [[], ['test'], ['run', 'x'], ['test', 'a', 'b']]) {
    const { code, stderr } = await run(args)
    expect(code).toBe(2)
    expect(stderr).toMatch(/^usage: weir routes test FILE/)
  }
  expect((await run(['check', 'absent.json'])).stderr).toMatch(/^absent.json: .*; expected a readable file of JSON\n$/)
})
