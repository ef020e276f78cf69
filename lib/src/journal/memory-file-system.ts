import { dirname } from 'node:path'
import type { FileLock, FileSystem } from './file-system.ts'

/** An operation as the fault switch sees it. */
export interface FileOperation {
  readonly name: 'makeFolder' | 'list' | 'open' | 'read' | 'write' | 'truncate' | 'sync' | 'syncFolder' | 'remove'
  readonly path: string
  /** Of a read or write. */
  readonly position: number
  readonly length: number
}

export interface FileFault {
  /** Thrown as the system's error of this code. Without: a short write. */
  readonly code?: string
  /** A write stores this many bytes before it fails or returns; fewer than asked for. */
  readonly bytesWritten?: number
}

type Change =
  | { readonly type: 'write'; readonly position: number; readonly bytes: Buffer }
  | { readonly type: 'truncate'; readonly bytes: number }

/** Disks write whole sectors; of a larger write, any of them may be missing after a power cut. */
const sectorBytes = 512

/**
 * A disk in memory for tests: tells what is written from what is synced, fails on demand, and can lose its power.
 *
 * After `powerCut` a file holds what was synced plus any part of what was not, sector by sector and in any order; names
 * created or removed since the last `syncFolder` are back as they were, or not. `kill` ends only the process.
 */
export class MemoryFileSystem implements FileSystem {
  /** Called before every operation; what it returns happens instead. */
  fault: ((operation: FileOperation) => FileFault | undefined) | undefined
  /** Writes that would take all files together beyond this fail with `ENOSPC`. */
  capacityBytes = Infinity
  #names = new Map<string, MemoryFile>()
  #durableNames = new Map<string, MemoryFile>()
  #descriptors = new Map<number, { path: string; file: MemoryFile }>()
  #descriptorLast = 2
  #locks = new Set<string>()
  #boots = 1

  makeFolder(path: string): void {
    this.#begin('makeFolder', path)
  }

  list(path: string): string[] {
    this.#begin('list', path)
    return [...this.#names.keys()].filter((name) => dirname(name) === path).map((name) => name.slice(path.length + 1))
  }

  open(path: string, mode: 'create' | 'write' | 'read'): number {
    this.#begin('open', path)
    let file = this.#names.get(path)
    if (file === undefined && mode !== 'create') throw systemError('ENOENT', `open ${path}`)
    file ??= new MemoryFile()
    this.#names.set(path, file)
    if (mode === 'create') file.change({ type: 'truncate', bytes: 0 })
    this.#descriptors.set(++this.#descriptorLast, { path, file })
    return this.#descriptorLast
  }

  close(descriptor: number): void {
    this.#opened(descriptor)
    this.#descriptors.delete(descriptor)
  }

  size(descriptor: number): number {
    return this.#opened(descriptor).file.bytes.length
  }

  read(descriptor: number, target: Uint8Array, targetOffset: number, length: number, position: number): number {
    const { path, file } = this.#opened(descriptor)
    this.#begin('read', path, position, length)
    const part = file.bytes.subarray(position, position + length)
    target.set(part, targetOffset)
    return part.length
  }

  write(descriptor: number, source: Uint8Array, sourceOffset: number, length: number, position: number): number {
    const { path, file } = this.#opened(descriptor)
    const fault = this.fault?.({ name: 'write', path, position, length })
    const room = this.capacityBytes - this.bytes + Math.max(0, file.bytes.length - position)
    const count = Math.max(0, Math.min(length, fault?.bytesWritten ?? length, room))
    if (fault === undefined || fault.bytesWritten !== undefined) {
      const bytes = Buffer.from(source.subarray(sourceOffset, sourceOffset + count))
      if (count > 0) file.change({ type: 'write', position, bytes })
    }
    if (fault?.code !== undefined) throw systemError(fault.code, `write ${path}`)
    if (count === 0 && length > 0) throw systemError('ENOSPC', `write ${path}`)
    return count
  }

  truncate(descriptor: number, bytes: number): void {
    const { path, file } = this.#opened(descriptor)
    this.#begin('truncate', path)
    file.change({ type: 'truncate', bytes })
  }

  sync(descriptor: number): void {
    const { path, file } = this.#opened(descriptor)
    this.#begin('sync', path)
    file.sync()
  }

  syncFolder(path: string): void {
    this.#begin('syncFolder', path)
    for (const name of [...this.#durableNames.keys()]) if (dirname(name) === path) this.#durableNames.delete(name)
    for (const [name, file] of this.#names) if (dirname(name) === path) this.#durableNames.set(name, file)
  }

  remove(path: string): void {
    this.#begin('remove', path)
    if (!this.#names.delete(path)) throw systemError('ENOENT', `unlink ${path}`)
  }

  lock(path: string): FileLock | undefined {
    if (this.#locks.has(path)) return undefined
    this.#locks.add(path)
    return { release: () => this.#locks.delete(path) }
  }

  bootId(): string {
    return this.#boots.toString(16).padStart(32, '0')
  }

  /** Of all files, as `df` would see them. */
  get bytes(): number {
    let bytes = 0
    for (const file of this.#names.values()) bytes += file.bytes.length
    return bytes
  }

  /** Descriptors that are open. */
  get opened(): number {
    return this.#descriptors.size
  }

  paths(): string[] {
    return [...this.#names.keys()].sort()
  }

  /** The bytes of a file, to look at or to damage. */
  content(path: string): Buffer {
    const file = this.#names.get(path)
    if (file === undefined) throw systemError('ENOENT', path)
    return file.bytes
  }

  /** Puts a file in place, on the disk, whatever was there. */
  place(path: string, bytes: Uint8Array): void {
    const file = new MemoryFile()
    file.change({ type: 'write', position: 0, bytes: Buffer.from(bytes) })
    file.sync()
    this.#names.set(path, file)
    this.#durableNames.set(path, file)
  }

  /** The process ends without a word: descriptors and locks go, everything written stays. */
  kill(): void {
    this.#descriptors.clear()
    this.#locks.clear()
  }

  /** The machine loses power and boots again; what survives is drawn from `seed`. */
  powerCut(seed: number): void {
    const random = mulberry32(seed)
    this.kill()
    this.#boots++
    const survivors = new Map<string, MemoryFile>()
    for (const path of new Set([...this.#names.keys(), ...this.#durableNames.keys()])) {
      const file = random() < 0.5 ? this.#names.get(path) : this.#durableNames.get(path)
      if (file !== undefined) survivors.set(path, file)
    }
    for (const file of new Set(survivors.values())) file.powerCut(random)
    this.#names = survivors
    this.#durableNames = new Map(survivors)
  }

  #begin(name: FileOperation['name'], path: string, position = 0, length = 0): void {
    const code = this.fault?.({ name, path, position, length })?.code
    if (code !== undefined) throw systemError(code, `${name} ${path}`)
  }

  #opened(descriptor: number): { path: string; file: MemoryFile } {
    const opened = this.#descriptors.get(descriptor)
    if (opened === undefined) throw systemError('EBADF', `descriptor ${descriptor}`)
    return opened
  }
}

/** A file's bytes as programs see them, and the changes that are not on the disk. */
class MemoryFile {
  #now = new GrowingBuffer()
  #durable = new GrowingBuffer()
  #changes: Change[] = []

  get bytes(): Buffer {
    return this.#now.bytes
  }

  change(change: Change): void {
    this.#now.apply(change)
    this.#changes.push(change)
  }

  sync(): void {
    for (const change of this.#changes) this.#durable.apply(change)
    this.#changes = []
  }

  /** Some number of changes reached the disk in order; of the later ones, some sectors did. */
  powerCut(random: () => number): void {
    const whole = Math.floor(random() * (this.#changes.length + 1))
    const later = random()
    for (const [index, change] of this.#changes.entries()) {
      if (index < whole) this.#durable.apply(change)
      else if (change.type === 'truncate') {
        if (random() < later) this.#durable.apply(change)
      } else this.#applySectors(change.position, change.bytes, () => random() < later)
    }
    this.#changes = []
    this.#now = this.#durable.copy()
  }

  #applySectors(position: number, bytes: Buffer, survives: () => boolean): void {
    const end = position + bytes.length
    for (let start = position; start < end; ) {
      const next = Math.min(end, (Math.floor(start / sectorBytes) + 1) * sectorBytes)
      const part = bytes.subarray(start - position, next - position)
      if (survives()) this.#durable.apply({ type: 'write', position: start, bytes: part })
      start = next
    }
  }
}

class GrowingBuffer {
  #buffer = Buffer.alloc(256)
  #length = 0

  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length)
  }

  apply(change: Change): void {
    const end = change.type === 'truncate' ? change.bytes : change.position + change.bytes.length
    if (end > this.#buffer.length) {
      const larger = Buffer.alloc(2 * end)
      this.bytes.copy(larger)
      this.#buffer = larger
    }
    if (change.type === 'truncate') {
      // What lies beyond the end reads as zeros if the file grows over it again.
      this.#buffer.fill(0, Math.min(end, this.#length))
      this.#length = end
    } else {
      change.bytes.copy(this.#buffer, change.position)
      this.#length = Math.max(this.#length, end)
    }
  }

  copy(): GrowingBuffer {
    const copy = new GrowingBuffer()
    copy.apply({ type: 'write', position: 0, bytes: this.bytes })
    return copy
  }
}

/** Numbers from 0 up to 1 that repeat with the seed. */
function mulberry32(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

function systemError(code: string, place: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${place}`), { code })
}
