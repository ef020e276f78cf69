import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type ModuleFaults, moduleFaultsVariable, noModuleFaults } from './module-faults.ts'

/** A module that does what it reads, line by line, and says what came of it. */
const program = `
import { appendFileSync, closeSync, fsyncSync, openSync, renameSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
const folder = process.env.WEIR_STATE_FOLDER
const early = openSync(join(folder, 'early'), 'w')
const loaded = new Date()
const sync = fsyncSync
const deeds = {
  write: () => writeSync(early, 'x'),
  sync: () => sync(early),
  file: () => writeFileSync(join(folder, 'f'), 'x'),
  append: () => appendFileSync(join(folder, 'f'), 'x'),
  rename: () => renameSync(join(folder, 'f'), join(folder, 'g')),
  elsewhere: () => {
    const file = openSync(join(folder, '..', 'other'), 'w')
    writeSync(file, 'x')
    fsyncSync(file)
    closeSync(file)
  },
  variable: () => process.env.${moduleFaultsVariable},
  clock: () => ({
    now: Date.now(), made: new Date().getTime(), text: Date.parse(Date()), monotonic: performance.now(),
    instance: loaded instanceof Date && new Date() instanceof Date && loaded.constructor === Date,
    given: new Date(5).getTime(), utc: Date.UTC(1970, 0, 2), sub: new (class Own extends Date {})().getTime(),
  }),
}
createInterface({ input: process.stdin }).on('line', (deed) => {
  try {
    console.log(JSON.stringify(deeds[deed]() ?? 'done'))
  } catch ({ code, syscall, errno }) {
    console.log(JSON.stringify(code + ' ' + syscall + ' ' + (errno < 0)))
  }
})
console.log('"up"')
`

let folder = ''
let faultsFile = ''
let ask: (deed: string) => Promise<unknown>
let stop: () => Promise<number | null>

async function start(): Promise<void> {
  const file = join(folder, 'module.mjs')
  writeFileSync(file, program)
  const preload = pathToFileURL(join(import.meta.dirname, 'preload.ts')).href
  const child = spawn(process.execPath, ['--import', preload, file], {
    env: { WEIR_STATE_FOLDER: join(folder, 'state'), [moduleFaultsVariable]: faultsFile },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const next = async (): Promise<unknown> => JSON.parse((await lines.next()).value ?? 'null')
  const exit = once(child, 'exit')
  ask = (deed) => {
    child.stdin.write(`${deed}\n`)
    return next()
  }
  stop = async () => {
    child.stdin.end()
    return (await exit)[0]
  }
  expect(await next()).toBe('up')
}

function order(faults: Partial<ModuleFaults>): void {
  writeFileSync(faultsFile, JSON.stringify({ ...noModuleFaults, ...faults }))
}

/** The preload looks for orders every now and then. */
async function untilAnswered(deed: string, answer: (given: unknown) => boolean): Promise<unknown> {
  for (;;) {
    const given = await ask(deed)
    if (answer(given)) return given
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weir-preload-'))
  mkdirSync(join(folder, 'state'))
  faultsFile = join(folder, 'faults.json')
})
afterEach(async () => {
  await stop()
  rmSync(folder, { recursive: true, force: true })
})

describe('the preload of a module', () => {
  test('changes nothing, shows nothing and keeps no process alive while nothing is ordered', async () => {
    await start()
    for (const deed of ['write', 'sync', 'file', 'append', 'rename', 'elsewhere', 'variable']) {
      expect(await ask(deed), deed).toEqual(deed === 'write' ? 1 : 'done')
    }
    expect(await stop()).toBe(0)
  })

  test('a full disk refuses every write, sync and rename below the state folder, and nothing elsewhere', async () => {
    await start()
    await ask('file')
    order({ disk: 'full' })
    await untilAnswered('write', (given) => given === 'ENOSPC write true')
    expect(await ask('sync')).toBe('ENOSPC fsync true')
    expect(await ask('file')).toBe('ENOSPC write true')
    expect(await ask('append')).toBe('ENOSPC write true')
    expect(await ask('rename')).toBe('ENOSPC rename true')
    expect(await ask('elsewhere')).toBe('done')
    order({})
    await untilAnswered('write', (given) => given === 1)
    expect(await ask('rename')).toBe('done')
  })

  test('a failing disk refuses each N-th call, counted from the order', async () => {
    order({ disk: 3 })
    await start()
    const answers: unknown[] = []
    for (const deed of ['write', 'sync', 'write', 'elsewhere', 'write', 'write', 'sync']) answers.push(await ask(deed))
    expect(answers).toEqual([1, 'done', 'EIO write true', 'done', 1, 1, 'EIO fsync true'])
  })

  test('a stepped clock shows in every way to read it, and in no monotonic time', async () => {
    await start()
    const before = (await ask('clock')) as { now: number; monotonic: number }
    order({ clockOffsetMs: 86_400_000 })
    const isStepped = (given: unknown): boolean => (given as { now: number }).now > before.now + 80_000_000
    const after = (await untilAnswered('clock', isStepped)) as Record<string, number>
    const stepMs = (after['now'] ?? 0) - before.now - ((after['monotonic'] ?? 0) - before.monotonic)
    expect(stepMs).toBeGreaterThan(86_399_900)
    expect(stepMs).toBeLessThan(86_400_100)
    expect(after['monotonic']).toBeLessThan(60_000)
    for (const way of ['made', 'text', 'sub']) {
      expect(Math.abs((after[way] ?? 0) - (after['now'] ?? 0)), way).toBeLessThan(1100)
    }
    expect(after).toMatchObject({ instance: true, given: 5, utc: 86_400_000 })
    order({})
    await untilAnswered('clock', (given) => !isStepped(given))
  })
})
