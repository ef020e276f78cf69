import { describe, expect, test } from 'vitest'
import { ManualClock } from '../clock.ts'
import { WeirError } from '../errors.ts'
import { type Journal, openJournal } from './journal.ts'
import { type FileFault, type FileOperation, MemoryFileSystem } from './memory-file-system.ts'
import { openQueue, type Queue } from './queue.ts'

/**
 * SQLite's way of testing for faults: a scenario runs with its first operation failing, then with its second, and so on,
 * until it ends before the fault does. Each time the machine is then repaired, the process killed, and the disk looked at.
 */

class Machine {
  readonly fileSystem = new MemoryFileSystem()
  readonly clock = new ManualClock()
  readonly ledger = new Ledger()
}

interface FaultKind {
  /** What the N-th operation does. */
  readonly fault: (operation: FileOperation) => FileFault
  /** true: all later ones as well. */
  readonly lasts: boolean
}

const half = ({ length }: FileOperation) => Math.floor(length / 2)
const faultKinds: readonly (FaultKind & { readonly name: string })[] = [
  { name: 'fails', fault: () => ({ code: 'EIO' }), lasts: false },
  { name: 'and all after it fail', fault: () => ({ code: 'EIO' }), lasts: true },
  { name: 'stops half way', fault: (operation) => ({ code: 'ENOSPC', bytesWritten: half(operation) }), lasts: false },
  {
    name: 'and all after it stop half way',
    fault: (operation) => ({ code: 'ENOSPC', bytesWritten: half(operation) }),
    lasts: true,
  },
  { name: 'writes half', fault: (operation) => ({ bytesWritten: half(operation) }), lasts: false },
  {
    name: 'and all after it write 50 bytes',
    fault: ({ length }) => ({ bytesWritten: Math.min(length, 50) }),
    lasts: true,
  },
]

/** Runs `attempt` for N = 1, 2, … until N is beyond its last operation; returns how many failed. */
function sweep(kind: FaultKind, attempt: (machine: Machine) => void): number {
  for (let number = 1; ; number++) {
    const machine = new Machine()
    let count = 0
    let met = false
    machine.fileSystem.fault = (operation) => {
      count++
      if (count < number || (count > number && !kind.lasts)) return undefined
      met = true
      return kind.fault(operation)
    }
    attempt(machine)
    if (!met) return number - 1
  }
}

function isRefusal(error: unknown): boolean {
  return error instanceof WeirError && error.code === 'STATE_UNWRITABLE'
}

/** What a caller knows of each message that it gave away. */
class Ledger {
  readonly acknowledged = new Map<number, string>()
  /** The call threw and the store goes on: it must not be there. */
  readonly refused = new Set<string>()
  /** The call threw and the store has failed: it may be there, once. */
  readonly uncertain = new Set<string>()
  readonly doneWith = new Set<number>()
  /** Acknowledged, and brought to the disk since: a power cut must not take it. */
  readonly synced = new Set<number>()
  #last = 0

  next(bytes: number): string {
    return `message ${++this.#last} `.padEnd(bytes, '.')
  }

  failed(text: string, store: { readonly failure: WeirError | undefined }): void {
    const set = store.failure === undefined ? this.refused : this.uncertain
    set.add(text)
  }

  noteSync(): void {
    for (const id of this.acknowledged.keys()) this.synced.add(id)
  }

  expectAgreement(found: readonly (readonly [number, string])[], kept: { has(id: number): boolean }): void {
    const contents = new Map(found)
    expect(contents.size, 'nothing twice').toBe(found.length)
    expect(new Set(contents.values()).size, 'nothing twice under two numbers').toBe(found.length)
    for (const [id, text] of this.acknowledged) {
      if (!this.doneWith.has(id) && kept.has(id)) expect(contents.get(id), `${text} was acknowledged`).toBe(text)
    }
    for (const [id, text] of contents) {
      if (this.acknowledged.has(id)) expect(text).toBe(this.acknowledged.get(id))
      else expect([...this.uncertain], `${text} was refused`).toContain(text)
    }
  }
}

/** Opens again after a failure, as the restarted module does; undefined: the disk does not even allow that. */
function reopen<Store>(machine: Machine, open: (machine: Machine) => Store): Store | undefined {
  for (let attempts = 0; attempts < 2; attempts++) {
    machine.fileSystem.kill()
    try {
      const store = open(machine)
      machine.ledger.noteSync()
      return store
    } catch (error) {
      if (!isRefusal(error)) throw error
    }
  }
  return undefined
}

describe.each(faultKinds)('when the N-th operation $name', (kind) => {
  test('a journal keeps every acknowledged record, in order, once, and none that it refused', () => {
    const operations = sweep(kind, (machine) => {
      runJournal(machine)
      machine.fileSystem.fault = undefined
      machine.fileSystem.kill()
      expectJournal(machine, machine.ledger.acknowledged)
    })
    expect(operations).toBeGreaterThan(60)
  })

  test('a queue keeps every acknowledged item until it is done, once, and none that it refused', () => {
    const operations = sweep(kind, (machine) => {
      runQueue(machine)
      machine.fileSystem.fault = undefined
      machine.fileSystem.kill()
      expectQueue(machine, machine.ledger.acknowledged)
    })
    expect(operations).toBeGreaterThan(60)
  })
})

describe.each([1, 2, 3])(
  'when the power fails at the N-th operation, leaving remainder %d of what was not synced',
  (seed) => {
    const kind = { fault: (operation: FileOperation) => ({ code: 'EIO', bytesWritten: half(operation) }), lasts: true }

    test('a journal keeps every record that was synced, in order, once', () => {
      sweep(kind, (machine) => {
        runJournal(machine)
        machine.fileSystem.fault = undefined
        machine.fileSystem.powerCut(seed)
        expectJournal(machine, machine.ledger.synced)
      })
    })

    test('a queue keeps every item that was synced and is not done, once, those too that were being moved', () => {
      sweep(kind, (machine) => {
        runQueue(machine)
        machine.fileSystem.fault = undefined
        machine.fileSystem.powerCut(seed)
        expectQueue(machine, machine.ledger.synced)
      })
    })
  },
)

function expectJournal(machine: Machine, kept: { has(id: number): boolean }): void {
  const journal = openSmallJournal(machine)
  const found: [number, string][] = []
  journal.replay(({ sequence, payload }) => found.push([sequence, payload.toString()]))
  machine.ledger.expectAgreement(found, kept)
  const sequences = found.map(([sequence]) => sequence)
  expect(sequences).toEqual([...sequences].sort((a, b) => a - b))
  expect(journal.stats().bytes).toBe(machine.fileSystem.bytes)
  journal.close()
  expect(machine.fileSystem.opened).toBe(0)
}

function expectQueue(machine: Machine, kept: { has(id: number): boolean }): void {
  let queue = openSmallQueue(machine)
  const found: [number, string][] = []
  for (let item = queue.take(); item !== undefined; item = queue.take()) {
    found.push([item.id, item.payload.toString()])
  }
  machine.ledger.expectAgreement(found, kept)
  const ids = found.map(([id]) => id).sort((a, b) => a - b)
  for (let id = ids.shift(); id !== undefined; id = ids.shift()) {
    queue.done(id)
    machine.fileSystem.kill()
    queue = openSmallQueue(machine)
    expect(queue.size, 'what is done stays done').toBe(ids.length)
  }
  queue.close()
  expect(machine.fileSystem.opened).toBe(0)
}

function openSmallJournal({ fileSystem, clock }: Machine): Journal {
  return openJournal({ folder: '/j', fileSystem, clock, bytesMax: 4_000, segmentBytesMax: 300, fsyncIntervalMs: 1_000 })
}

function openSmallQueue({ fileSystem, clock }: Machine): Queue {
  const sizes = { bytesMax: 1_000, segmentBytesMax: 300 }
  return openQueue({ folder: '/q', fileSystem, clock, ...sizes, fsyncIntervalMs: 1_000, whenFull: 'refuse' })
}

/** Appends, batches, syncs, releases, rotations, deletions and a restart; stops where the disk allows no restart. */
function runJournal(machine: Machine): void {
  const { clock, ledger } = machine
  let journal = reopen(machine, openSmallJournal)
  const step = (act: (open: Journal) => void) => {
    if (journal === undefined) return
    try {
      act(journal)
    } catch (error) {
      if (!isRefusal(error)) throw error
    }
    if (journal.failure !== undefined) journal = reopen(machine, openSmallJournal)
  }
  const append = (count: number, bytes: number, sync: boolean) =>
    step((open) => {
      const texts = Array.from({ length: count }, () => ledger.next(bytes))
      try {
        const first = open.appendMany(
          texts.map((text) => ({ kind: 1, payload: Buffer.from(text) })),
          { sync },
        )
        for (const [index, text] of texts.entries()) ledger.acknowledged.set(first + index, text)
        if (sync) ledger.noteSync()
      } catch (error) {
        for (const text of texts) ledger.failed(text, open)
        throw error
      }
    })
  const release = (keep: number) =>
    step((open) => {
      const through = [...ledger.acknowledged.keys()].at(-1 - keep) ?? 0
      for (const sequence of ledger.acknowledged.keys()) if (sequence <= through) ledger.doneWith.add(sequence)
      open.release(through)
    })
  append(1, 20, false)
  append(1, 20, true)
  append(3, 40, false)
  release(2)
  step((open) => {
    clock.advance(1_000)
    if (open.failure === undefined) ledger.noteSync()
  })
  for (let count = 0; count < 8; count++) append(1, 120, count % 4 === 3)
  release(3)
  step((open) => {
    open.sync()
    ledger.noteSync()
  })
  append(2, 100, true)
  step((open) => expect(open.read(1, { recordsMax: 100, bytesMax: 10_000 }).length).toBeGreaterThan(0))
  step((open) => open.close())
  journal = reopen(machine, openSmallJournal)
  append(1, 20, true)
  release(0)
  append(1, 220, false)
  step((open) => open.close())
}

/** Puts of three priorities, taken and done out of order until items are moved, and a restart. */
function runQueue(machine: Machine): void {
  const { clock, ledger } = machine
  let queue = reopen(machine, openSmallQueue)
  const step = (act: (open: Queue) => void) => {
    if (queue === undefined) return
    try {
      act(queue)
    } catch (error) {
      if (!isRefusal(error)) throw error
    }
    if (queue.failure !== undefined) queue = reopen(machine, openSmallQueue)
  }
  const put = (bytes: number, priority: number, sync: boolean) =>
    step((open) => {
      const text = ledger.next(bytes)
      try {
        ledger.acknowledged.set(open.put(Buffer.from(text), { priority, sync }), text)
        if (sync) ledger.noteSync()
      } catch (error) {
        ledger.failed(text, open)
        throw error
      }
    })
  const finishOne = () =>
    step((open) => {
      const item = open.take()
      if (item === undefined) return
      // Before the call: where it throws it may be done all the same.
      ledger.doneWith.add(item.id)
      open.done(item.id)
    })
  put(100, 9, false)
  put(100, 5, true)
  for (let count = 0; count < 26; count++) {
    put(150, 0, count % 6 === 0)
    finishOne()
  }
  step((open) => {
    clock.advance(1_000)
    if (open.failure === undefined) ledger.noteSync()
  })
  step((open) => open.close())
  queue = reopen(machine, openSmallQueue)
  put(100, 0, false)
  finishOne()
  finishOne()
  step((open) => open.close())
}
