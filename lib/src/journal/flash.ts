import { readFileSync } from 'node:fs'

const dayMs = 86_400_000

/**
 * `write_bytes` of `/proc/self/io` (proc_pid_io(5)): bytes that this process has caused to be written to the disk since it
 * started, whole pages, whatever the number of `write` calls. undefined where the text has none.
 */
export function parseWriteBytes(text: string): number | undefined {
  const digits = /^write_bytes: (\d+)$/m.exec(text)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

/** Flash written per day, in bytes, if the process goes on as it did for `elapsedMs`. 0 before any time has passed. */
export function flashBytesPerDay(writeBytes: number, elapsedMs: number): number {
  return elapsedMs > 0 ? (writeBytes * dayMs) / elapsedMs : 0
}

/** What this process has written so far; undefined where the system does not tell (no Linux, or no permission). */
export function readWriteBytes(): number | undefined {
  try {
    return parseWriteBytes(readFileSync('/proc/self/io', 'latin1'))
  } catch {
    return undefined
  }
}
