import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ManualClock } from '../clock.ts'
import { WeirError } from '../errors.ts'
import { MemoryFileSystem } from './memory-file-system.ts'
import { openQueue, type Queue, type QueueItem } from './queue.ts'

const bytesMax = 1_200
const segmentBytesMax = 300
const folderBytesMax = 2 * bytesMax + 8 * segmentBytesMax + 4096
const itemOverheadBytes = 18

interface Item {
  readonly priority: number
  readonly payload: string
  taken: boolean
}

interface Model {
  /** Not done, by id. */
  items: Map<number, Item>
  /** Done or dropped; a power cut may bring one back. */
  readonly past: Map<number, Item>
  readonly synced: Set<number>
  idLast: number
}

class Real {
  readonly fileSystem = new MemoryFileSystem()
  readonly clock = new ManualClock()
  dropped: QueueItem[] = []
  queue: Queue

  constructor() {
    this.queue = this.open()
  }

  open(): Queue {
    return openQueue({
      folder: '/state/queue',
      fileSystem: this.fileSystem,
      clock: this.clock,
      bytesMax,
      segmentBytesMax,
      fsyncIntervalMs: 5_000,
      whenFull: 'dropOldest',
      onDropped: (item) => this.dropped.push(item),
    })
  }
}

type Command = fc.Command<Model, Real>

function command(name: string, run: (model: Model, real: Real) => void): Command {
  return {
    check: () => true,
    run(model, real) {
      run(model, real)
      const stats = real.queue.stats()
      expect(stats.items).toBe(model.items.size)
      expect(stats.itemBytes).toBe(bytesOf(model.items.values()))
      expect(stats.itemBytes).toBeLessThanOrEqual(bytesMax)
      expect(stats.bytes).toBe(real.fileSystem.bytes)
      expect(stats.bytes).toBeLessThanOrEqual(folderBytesMax)
    },
    toString: () => name,
  }
}

function bytesOf(items: Iterable<Item>): number {
  let bytes = 0
  for (const item of items) bytes += item.payload.length + itemOverheadBytes
  return bytes
}

function inOrder(items: Map<number, Item>): [number, Item][] {
  return [...items].sort(([idA, a], [idB, b]) => a.priority - b.priority || idA - idB)
}

/** The items that have to give way to a new one, in order; undefined: it is refused. */
function victims(model: Model, bytes: number, priority: number): number[] | undefined {
  let missingBytes = bytesOf(model.items.values()) + bytes - bytesMax
  const candidates = [...model.items]
    .filter(([, item]) => !item.taken && item.priority >= priority)
    .sort(([idA, a], [idB, b]) => b.priority - a.priority || idA - idB)
  const ids: number[] = []
  for (const [id, item] of candidates) {
    if (missingBytes <= 0) break
    ids.push(id)
    missingBytes -= bytesOf([item])
  }
  return missingBytes > 0 ? undefined : ids
}

function moveToPast(model: Model, id: number): void {
  const item = model.items.get(id)
  if (item === undefined) return
  model.past.set(id, item)
  model.items.delete(id)
}

function put(payload: string, priority: number, sync: boolean): Command {
  return command(`put(${payload.length} bytes, ${priority}${sync ? ', sync' : ''})`, (model, real) => {
    const gone = victims(model, payload.length + itemOverheadBytes, priority)
    real.dropped = []
    let id: number
    try {
      id = real.queue.put(Buffer.from(payload, 'latin1'), { priority, sync })
    } catch (error) {
      if (!(error instanceof WeirError) || error.code !== 'QUEUE_FULL') throw error
      expect(gone).toBeUndefined()
      expect(real.dropped).toEqual([])
      return
    }
    expect(real.dropped.map((item) => item.id)).toEqual(gone)
    for (const item of real.dropped) {
      expect(item.payload.toString('latin1')).toBe(model.items.get(item.id)?.payload)
      moveToPast(model, item.id)
    }
    expect(id).toBeGreaterThan(model.idLast)
    model.idLast = id
    model.items.set(id, { priority, payload, taken: false })
    if (sync) for (const one of model.items.keys()) model.synced.add(one)
  })
}

const take = command('take', (model, real) => {
  const [id, item] = inOrder(model.items).find(([, one]) => !one.taken) ?? []
  const taken = real.queue.take()
  expect(taken?.id).toBe(id)
  expect(taken?.payload.toString('latin1')).toBe(item?.payload)
  expect(taken?.priority).toBe(item?.priority)
  if (item !== undefined) item.taken = true
})

function finish(share: number, how: 'done' | 'putBack'): Command {
  return command(`${how}(${share})`, (model, real) => {
    const taken = inOrder(model.items).filter(([, item]) => item.taken)
    const [id, item] = taken[Math.floor(share * taken.length)] ?? []
    if (id === undefined || item === undefined) return
    real.queue[how](id)
    if (how === 'putBack') item.taken = false
    else moveToPast(model, id)
  })
}

const sync = command('sync', (model, real) => {
  real.queue.sync()
  for (const id of model.items.keys()) model.synced.add(id)
})

/** Items that come and go, so that what is done piles up behind what waits. */
function pass(count: number): Command {
  return command(`pass(${count})`, (model, real) => {
    for (let number = 0; number < count; number++) {
      const text = `passing ${number}`
      if (bytesOf(model.items.values()) + text.length + itemOverheadBytes > bytesMax) return
      const id = real.queue.put(Buffer.from(text), { priority: 9 })
      real.queue.done(id)
      model.past.set(id, { priority: 9, payload: text, taken: false })
      model.idLast = id
    }
  })
}

function restart(how: 'close' | 'kill'): Command {
  return command(how, (model, real) => {
    if (how === 'close') real.queue.close()
    else real.fileSystem.kill()
    real.queue = real.open()
    for (const [id, item] of model.items) {
      item.taken = false
      model.synced.add(id)
    }
    expectItems(model, real)
  })
}

function powerCut(seed: number): Command {
  return command(`powerCut(${seed})`, (model, real) => {
    real.fileSystem.powerCut(seed)
    real.queue = real.open()
    const contents = expectItems(undefined, real)
    for (const [id, item] of contents)
      expect(item).toEqual({ ...(model.items.get(id) ?? model.past.get(id)), taken: false })
    for (const id of model.items.keys())
      if (model.synced.has(id)) expect(contents.has(id), `${id} was synced`).toBe(true)
    model.items = contents
    for (const id of contents.keys()) model.synced.add(id)
  })
}

/** Takes everything out, in order, and puts it back. */
function expectItems(model: Model | undefined, real: Real): Map<number, Item> {
  const items = new Map<number, Item>()
  for (let item = real.queue.take(); item !== undefined; item = real.queue.take()) {
    items.set(item.id, { priority: item.priority, payload: item.payload.toString('latin1'), taken: false })
  }
  expect([...items]).toEqual(inOrder(model?.items ?? items))
  for (const id of items.keys()) real.queue.putBack(id)
  return items
}

const payload = fc.string({ unit: fc.constantFrom('a', '\0', '\xff'), maxLength: 150 })
const priority = fc.constantFrom(0, 5, 9)
const share = fc.double({ min: 0, max: 0.999, noNaN: true })
const anyPut = fc.tuple(payload, priority, fc.boolean()).map((all) => put(...all))
const anyFinish = fc.tuple(share, fc.constantFrom('done' as const, 'done' as const, 'putBack' as const))

test('whatever the order of puts, takes, dones, kills and power cuts: items come by priority and age, once, and what was synced and not done stays', () => {
  const commands = fc.commands(
    [
      anyPut,
      anyPut,
      fc.constant(take),
      anyFinish.map((all) => finish(...all)),
      fc.constant(sync),
      fc.integer({ min: 1, max: 60 }).map(pass),
      fc.constantFrom('close' as const, 'kill' as const).map(restart),
      fc.integer().map(powerCut),
    ],
    { maxCommands: 80, size: 'max' },
  )
  fc.assert(
    fc.property(commands, (sequence) => {
      fc.modelRun(() => {
        const model: Model = { items: new Map(), past: new Map(), synced: new Set(), idLast: 0 }
        return { model, real: new Real() }
      }, sequence)
    }),
    { numRuns: 100 },
  )
})

test('an item that waits for long keeps its place while thousands pass it, and the folder stays within its bound', () => {
  const real = new Real()
  const old = real.queue.put(Buffer.from('old'), { priority: 9 })
  for (let count = 0; count < 3_000; count++) {
    real.queue.put(Buffer.from(`new ${count}`), { priority: 0 })
    const item = real.queue.take()
    expect(item?.payload.toString()).toBe(`new ${count}`)
    real.queue.done(item?.id ?? 0)
    expect(real.fileSystem.bytes).toBeLessThanOrEqual(folderBytesMax)
  }
  real.fileSystem.kill()
  real.queue = real.open()
  expect(real.queue.size).toBe(1)
  expect(real.queue.take()).toMatchObject({ id: old, priority: 9, payload: Buffer.from('old') })
})
