import { crc32 } from 'node:zlib'
import { MemoryFileSystem } from '@weir/lib/journal/memory-file-system'
import { describe, expect, it } from 'vitest'
import { type Snapshot, SnapshotFolder } from './snapshot.ts'

const folder = '/snapshots'

function open(fileSystem: MemoryFileSystem) {
  const warnings: string[] = []
  const snapshots = new SnapshotFolder(folder, fileSystem, (text) => warnings.push(text))
  const load = (releasedSequence = 0) =>
    snapshots.load(releasedSequence, ({ throughSequence, content }) => `${throughSequence} ${content}`)
  const write = (throughSequence: number, text: string, keepLast = true) =>
    snapshots.write({ throughSequence, content: Buffer.from(text) }, keepLast)
  return { snapshots, load, write, warnings }
}

describe('snapshots', () => {
  it('are read as they were written, the newest first', () => {
    const fileSystem = new MemoryFileSystem()
    const { load, write } = open(fileSystem)
    expect(load()).toBeUndefined()
    write(5, 'a')
    write(9, 'b')
    expect(open(fileSystem).load()).toBe('9 b')
  })

  it('let the journal go as far as the one before the last, and keep these two', () => {
    const fileSystem = new MemoryFileSystem()
    const { write } = open(fileSystem)
    expect([write(5, 'a'), write(9, 'b'), write(12, 'c')]).toEqual([undefined, 5, 9])
    expect(fileSystem.paths()).toHaveLength(2)
    const { load, write: writeLater } = open(fileSystem)
    load()
    expect(writeLater(20, 'd')).toBe(12)
    expect(fileSystem.paths()).toHaveLength(2)
  })

  it('that must make room at once leave nothing before them', () => {
    const fileSystem = new MemoryFileSystem()
    const { write } = open(fileSystem)
    write(5, 'a')
    expect(write(9, 'b', false)).toBe(9)
    expect(fileSystem.paths()).toHaveLength(1)
  })

  it.each([
    ['cut short', (bytes: Buffer) => bytes.subarray(0, bytes.length - 1)],
    ['empty', () => Buffer.alloc(0)],
    ['faded', (bytes: Buffer) => bytes.map((byte, place) => (place === bytes.length - 1 ? byte ^ 1 : byte))],
    ['longer than they were', (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc(1)])],
  ])('that are %s are passed over for the one before, with a word', (_what, damage) => {
    const fileSystem = new MemoryFileSystem()
    const { write } = open(fileSystem)
    write(5, 'a')
    write(9, 'b')
    const path = `${folder}/0000000000000002.snapshot`
    fileSystem.place(path, damage(fileSystem.content(path)))
    const { load, warnings, write: writeLater } = open(fileSystem)
    expect(load()).toBe('5 a')
    expect(warnings).toEqual([expect.stringContaining(path)])
    expect(writeLater(12, 'c')).toBe(5)
    expect(open(fileSystem).load()).toBe('12 c')
    expect(fileSystem.paths()).not.toContain(path)
  })

  it('of which the content makes no sense are passed over too', () => {
    const fileSystem = new MemoryFileSystem()
    const { write, snapshots } = open(fileSystem)
    write(5, '{}')
    write(9, '{')
    const parse = ({ content }: Snapshot): unknown => JSON.parse(String(content))
    expect(snapshots.load(0, parse)).toEqual({})
  })

  it('after which the journal lacks records are of no use', () => {
    const fileSystem = new MemoryFileSystem()
    const { write, load } = open(fileSystem)
    write(5, 'a')
    expect(load(5)).toBe('5 a')
    expect(load(6)).toBeUndefined()
  })

  it('of a newer version are refused by name and stay where they are', () => {
    const fileSystem = new MemoryFileSystem()
    open(fileSystem).write(5, 'a')
    const path = `${folder}/0000000000000001.snapshot`
    const bytes = Buffer.from(fileSystem.content(path))
    bytes.writeUInt16LE(2, 8)
    bytes.writeUInt32LE(0, 24)
    bytes.writeUInt32LE(crc32(bytes), 24)
    fileSystem.place(path, bytes)
    expect(() => open(fileSystem).load()).toThrow(expect.objectContaining({ code: 'STATE_NEWER' }))
    expect(fileSystem.paths()).toEqual([path])
  })

  it('are not begun where the disk refuses: what was there is there still', () => {
    for (let operation = 1; ; operation++) {
      const fileSystem = new MemoryFileSystem()
      const { write } = open(fileSystem)
      write(5, 'a')
      let count = 0
      let met = false
      fileSystem.fault = () => {
        count += 1
        met ||= count === operation
        return count === operation ? { code: 'ENOSPC' } : undefined
      }
      let written = true
      try {
        write(9, 'b')
      } catch {
        written = false
      }
      fileSystem.fault = undefined
      const found = open(fileSystem).load()
      if (written) expect(found).toBe('9 b')
      else expect(['5 a', '9 b']).toContain(found)
      expect(fileSystem.opened).toBe(0)
      if (!met) return
    }
  })
})
