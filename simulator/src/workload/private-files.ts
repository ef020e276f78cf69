import { chmodSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { writeFileAtomic } from '@weir/lib/atomic-file'

/** Makes `folder` (and those above it) when missing, and leaves it to its owner alone. */
export function makePrivateFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  chmodSync(folder, 0o700)
}

/** Replaces `file` whole, readable by its owner alone, in a folder that is made when missing. */
export function writePrivateFile(file: string, text: string): void {
  makePrivateFolder(dirname(file))
  writeFileAtomic(file, text)
}

/** File name for any id: what a path could take for its own is escaped. */
export function fileNameOf(id: string): string {
  return encodeURIComponent(id).replace(/^\.+/, (dots) => '%2E'.repeat(dots.length))
}
