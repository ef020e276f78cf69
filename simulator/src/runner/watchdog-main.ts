/**
 * Ends the process groups of a run whose runner is gone, even where `kill -9` took it. Runs apart, holding nothing but
 * a pipe from the runner: when the pipe closes without the word `done`, every group named on it is ended. Imports no
 * file of the project, so that it is there in a moment.
 *
 * Lines on the pipe: `+PID` a group to watch, `-PID` no longer, `folder PATH` to remove at the end, `done`.
 */
import { rmSync } from 'node:fs'
import { createInterface } from 'node:readline'

const graceMs = 3000
const pollMs = 50
const groups = new Set<number>()
const folders = new Set<string>()
let done = false

function signal(pid: number, name: 'SIGTERM' | 'SIGKILL' | 0): boolean {
  try {
    process.kill(-pid, name)
    return true
  } catch {
    return false
  }
}

function endGroups(deadlineMs: number): void {
  const live = [...groups].filter((pid) => signal(pid, 0))
  if (live.length > 0 && performance.now() < deadlineMs) {
    setTimeout(endGroups, pollMs, deadlineMs)
    return
  }
  for (const pid of live) signal(pid, 'SIGKILL')
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
}

const lines = createInterface({ input: process.stdin })
lines.on('line', (line) => {
  if (line === 'done') done = true
  else if (line.startsWith('folder ')) folders.add(line.slice('folder '.length))
  else if (line.startsWith('+')) groups.add(Number(line.slice(1)))
  else if (line.startsWith('-')) groups.delete(Number(line.slice(1)))
})
lines.on('close', () => {
  if (done) return
  for (const pid of groups) signal(pid, 'SIGTERM')
  endGroups(performance.now() + graceMs)
})
