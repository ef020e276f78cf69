import { closeSync, mkdirSync, openSync, readdirSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { errorText, WeirError } from '@weir/lib/errors'
import { type CloudMessage, messageLine } from './cloud-message.ts'

const openFilesMax = 32

/**
 * A folder of JSONL files, one line a message (see messageLine), appended to. What `append` was given is with the
 * operating system when it returns: a killed process loses none of it.
 */
export class JsonlFolder {
  readonly #folder: string
  readonly #files = new Map<string, number>()

  /** Makes the folder when missing. @throws WeirError STATE_UNWRITABLE. */
  constructor(folder: string) {
    this.#folder = folder
    this.#guard(() => mkdirSync(folder, { recursive: true }))
  }

  /** Appends to `<name>.jsonl`; characters that do not belong in a file name become `_`. */
  append(name: string, messages: readonly CloudMessage[]): void {
    if (messages.length === 0) return
    const bytes = Buffer.from(messages.map((message) => `${messageLine(message)}\n`).join(''))
    this.#guard(() => {
      const file = this.#open(fileName(name))
      for (let written = 0; written < bytes.length; ) written += writeSync(file, bytes, written)
    })
  }

  /** Deletes the files whose name, without `.jsonl`, sorts before `name`. */
  deleteBefore(name: string): void {
    this.#guard(() => {
      for (const file of readdirSync(this.#folder)) {
        if (file.endsWith('.jsonl') && file.slice(0, -'.jsonl'.length) < name) rmSync(join(this.#folder, file))
      }
    })
  }

  close(): void {
    for (const file of this.#files.values()) closeSync(file)
    this.#files.clear()
  }

  #open(name: string): number {
    const known = this.#files.get(name)
    if (known !== undefined) return known
    if (this.#files.size >= openFilesMax) this.close()
    const file = openSync(join(this.#folder, name), 'a', 0o644)
    this.#files.set(name, file)
    return file
  }

  #guard(run: () => void): void {
    try {
      run()
    } catch (error) {
      throw new WeirError('STATE_UNWRITABLE', `${this.#folder}: cannot be written: ${errorText(error)}`, {
        cause: error,
      })
    }
  }
}

function fileName(name: string): string {
  return `${name.replace(/[^A-Za-z0-9_-]/g, '_').slice(0, 100) || 'other'}.jsonl`
}
