import { describe, expect, test } from 'vitest'
import { MemoryFileSystem } from './memory-file-system.ts'

const path = '/folder/file'

/** A file with 1,000 synced bytes `a`, then 1,000 unsynced bytes `b` over the last 500 of them. */
function halfSynced(): MemoryFileSystem {
  const fileSystem = new MemoryFileSystem()
  const file = fileSystem.open(path, 'create')
  fileSystem.write(file, Buffer.alloc(1_000, 'a'), 0, 1_000, 0)
  fileSystem.sync(file)
  fileSystem.syncFolder('/folder')
  fileSystem.write(file, Buffer.alloc(1_000, 'b'), 0, 1_000, 500)
  return fileSystem
}

function read(fileSystem: MemoryFileSystem): string {
  const file = fileSystem.open(path, 'read')
  const target = Buffer.alloc(4_000)
  return target.toString('latin1', 0, fileSystem.read(file, target, 0, target.length, 0))
}

test('a kill keeps everything written and ends descriptors and locks', () => {
  const fileSystem = halfSynced()
  const file = fileSystem.open(path, 'write')
  expect(fileSystem.lock('/folder/lock')).toBeDefined()
  expect(fileSystem.lock('/folder/lock')).toBeUndefined()
  fileSystem.kill()
  expect(read(fileSystem)).toBe('a'.repeat(500) + 'b'.repeat(1_000))
  expect(() => fileSystem.size(file)).toThrow('EBADF')
  expect(fileSystem.lock('/folder/lock')).toBeDefined()
})

describe('a power cut', () => {
  test('keeps what was synced, and any sectors of what was not', () => {
    const outcomes = new Set<string>()
    for (let seed = 0; seed < 200; seed++) {
      const fileSystem = halfSynced()
      const boot = fileSystem.bootId()
      fileSystem.powerCut(seed)
      expect(fileSystem.bootId()).not.toBe(boot)
      const content = read(fileSystem)
      expect(content.slice(0, 500)).toBe('a'.repeat(500))
      expect(content).toMatch(/^a*b*[a\0]*b*\0*b*$/)
      outcomes.add(content)
    }
    expect(outcomes.has('a'.repeat(1_000))).toBe(true)
    expect(outcomes.has('a'.repeat(500) + 'b'.repeat(1_000))).toBe(true)
    expect([...outcomes].some((content) => content.includes('\0'))).toBe(true)
    expect(outcomes.size).toBeGreaterThan(5)
  })

  test('may take back names created and removed since the folder was synced, and repeats with its seed', () => {
    const outcomes = new Set<string>()
    for (let seed = 0; seed < 50; seed++) {
      const [one, other] = [halfSynced(), halfSynced()]
      for (const fileSystem of [one, other]) {
        fileSystem.sync(fileSystem.open('/folder/new', 'create'))
        fileSystem.remove(path)
        fileSystem.powerCut(seed)
      }
      expect(one.paths()).toEqual(other.paths())
      outcomes.add(one.paths().join())
    }
    expect(outcomes).toEqual(new Set(['', path, '/folder/new', `${path},/folder/new`]))
  })

  test('leaves a synced folder and synced files alone', () => {
    const fileSystem = halfSynced()
    const file = fileSystem.open(path, 'write')
    fileSystem.truncate(file, 3)
    fileSystem.sync(file)
    fileSystem.powerCut(7)
    expect(read(fileSystem)).toBe('aaa')
  })
})

test('a file that grows again after it was cut holds zeros, not what was there', () => {
  const fileSystem = halfSynced()
  const file = fileSystem.open(path, 'write')
  fileSystem.truncate(file, 2)
  fileSystem.write(file, Buffer.from('c'), 0, 1, 4)
  expect(read(fileSystem)).toBe('aa\0\0c')
})

test('a full disk writes what fits, then nothing, and takes bytes that replace others', () => {
  const fileSystem = halfSynced()
  fileSystem.capacityBytes = 1_510
  const file = fileSystem.open(path, 'write')
  expect(fileSystem.write(file, Buffer.alloc(30), 0, 30, 1_500)).toBe(10)
  expect(() => fileSystem.write(file, Buffer.alloc(30), 0, 30, 1_510)).toThrow(
    expect.objectContaining({ code: 'ENOSPC' }),
  )
  expect(fileSystem.write(file, Buffer.alloc(30), 0, 30, 0)).toBe(30)
})

test('a fault fails the operation, or cuts a write short, and says which it was', () => {
  const fileSystem = halfSynced()
  const file = fileSystem.open(path, 'write')
  fileSystem.fault = ({ name }) => (name === 'sync' ? { code: 'EIO' } : { bytesWritten: 2 })
  expect(() => fileSystem.sync(file)).toThrow(expect.objectContaining({ code: 'EIO', message: `EIO: sync ${path}` }))
  expect(fileSystem.write(file, Buffer.from('xyz'), 0, 3, 0)).toBe(2)
  expect(read(fileSystem).slice(0, 3)).toBe('xya')
  expect(() => fileSystem.open('/folder/none', 'read')).toThrow(expect.objectContaining({ code: 'ENOENT' }))
})
