import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemClock } from '../clock.ts'
import { nodeFileSystem } from './file-system.ts'
import { type Journal, type JournalEvent, openJournal } from './journal.ts'

const bytesMax = 64 * 2 ** 20
const segmentBytesMax = 2 ** 20

/**
 * Takes messages as a module does: stores each, and only then acknowledges it, here by a line on standard output. Every
 * payload names its own number, so that whoever reads the journal can tell what it must hold.
 */
const taker = `
import { writeSync } from 'node:fs'
import { systemClock } from '${new URL('../clock.ts', import.meta.url).href}'
import { nodeFileSystem } from '${new URL('./file-system.ts', import.meta.url).href}'
import { openJournal } from '${new URL('./journal.ts', import.meta.url).href}'

const [folder] = process.argv.slice(2)
const journal = openJournal({
  folder, fileSystem: nodeFileSystem, clock: systemClock,
  bytesMax: ${bytesMax}, segmentBytesMax: ${segmentBytesMax}, fsyncIntervalMs: 20,
})
writeSync(1, 'open\\n')
for (let number = journal.lastSequence + 1; ; ) {
  const batch = Array.from({ length: 1 + number % 3 }, (_, index) => {
    return { kind: 1, payload: Buffer.from(String(number + index).padEnd(200 + (number * 31) % 900, '.')) }
  })
  journal.appendMany(batch, { sync: number % 97 === 0 })
  number += batch.length
  writeSync(1, (number - 1) + '\\n')
}
`

let folder: string
let children: ChildProcessByStdio<null, Readable, null>[]

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weir-journal-'))
  children = []
  writeFileSync(join(folder, 'taker.mts'), taker)
})

afterEach(() => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})

const journalFolder = () => join(folder, 'state', 'journal')

function open(onEvent?: (event: JournalEvent) => void): Journal {
  const options = { fileSystem: nodeFileSystem, clock: systemClock, bytesMax, segmentBytesMax, fsyncIntervalMs: 60_000 }
  return openJournal({ folder: journalFolder(), ...options, ...(onEvent === undefined ? {} : { onEvent }) })
}

/** Starts a taker and resolves once it holds the journal; `acknowledged` follows what it says. */
async function startTaker(): Promise<{ kill: (signal: NodeJS.Signals) => Promise<void>; acknowledged: () => number }> {
  const program = join(folder, 'taker.mts')
  const child = spawn(process.execPath, [program, journalFolder()], { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  let acknowledged = 0
  const lines = createInterface({ input: child.stdout })
  const opened = once(lines, 'line')
  lines.on('line', (line) => {
    if (line !== 'open') acknowledged = Number(line)
  })
  await opened
  return {
    acknowledged: () => acknowledged,
    async kill(signal) {
      const ended = once(child, 'close')
      child.kill(signal)
      if (signal === 'SIGKILL') await ended
    },
  }
}

test('a process killed at any moment has lost no message that it acknowledged, and its journal goes on', async () => {
  let released = 0
  for (const delayMs of [1, 7, 30, 75]) {
    const one = await startTaker()
    await new Promise((resolve) => setTimeout(resolve, delayMs))
    await one.kill('SIGKILL')
    const events: JournalEvent[] = []
    const journal = open((event) => events.push(event))
    const found: number[] = []
    journal.replay(({ sequence, payload }) => {
      expect(payload.toString()).toMatch(new RegExp(`^${sequence}\\.`))
      found.push(sequence)
    })
    expect(found).toEqual(Array.from(found, (_, index) => released + 1 + index))
    const last = found.at(-1) ?? released
    expect(last).toBeGreaterThanOrEqual(one.acknowledged())
    // At most the batch that was being taken was stored and not acknowledged, or cut off.
    expect(last).toBeLessThanOrEqual(Math.max(one.acknowledged(), released) + 3)
    expect(events.filter((event) => event.type !== 'tornTail')).toEqual([])
    journal.release(last)
    released = journal.lastSequence
    journal.close()
    if (events.length > 0) break
  }
})

test('a journal is locked while its process runs or is frozen, and free as soon as that is killed', async () => {
  const one = await startTaker()
  expect(open).toThrow(expect.objectContaining({ code: 'STATE_LOCKED' }))
  await one.kill('SIGSTOP')
  expect(open).toThrow(expect.objectContaining({ code: 'STATE_LOCKED' }))
  await one.kill('SIGKILL')
  const journal = open()
  expect(open).toThrow(expect.objectContaining({ code: 'STATE_LOCKED' }))
  journal.close()
  open().close()
})

test('on a real disk: records, releases and deleted segments are as they were after closing and opening', () => {
  const journal = open()
  const payload = Buffer.alloc(100_000, 'x')
  for (let number = 0; number < 50; number++) journal.append(9, payload, { sync: number === 25 })
  journal.release(45)
  journal.close()
  const reopened = open()
  expect(reopened.read(1, { recordsMax: 100, bytesMax: 10_000_000 }).map((record) => record.sequence)).toEqual([
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50,
  ])
  expect(reopened.releasedSequence).toBe(45)
  expect(reopened.append(9, payload)).toBe(51)
  reopened.close()
  expect(readdirSync(journalFolder()).sort()).toEqual(['0000000000000041.journal', '0000000000000051.journal', 'lock'])
})

test('a folder that cannot be made is refused with the reason', () => {
  writeFileSync(join(folder, 'state'), 'a file')
  expect(open).toThrow(
    expect.objectContaining({ code: 'STATE_UNWRITABLE', message: expect.stringContaining('ENOTDIR') }),
  )
})
