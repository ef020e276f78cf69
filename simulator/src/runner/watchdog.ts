import { spawn } from 'node:child_process'
import { join } from 'node:path'

/** Sees to it that no process outlives the run: see watchdog-main.ts. */
export interface Watchdog {
  /** The process group that `pid` leads is ended with the run. */
  watch(pid: number): void
  forget(pid: number): void
  /** The orderly end: nothing is left to be ended. */
  done(): void
}

/** Starts the watchdog. `folder` is removed if the runner dies. */
export function startWatchdog(folder: string): Watchdog {
  // In a session of its own, so that Ctrl-C in the terminal does not reach it.
  const child = spawn(process.execPath, [join(import.meta.dirname, 'watchdog-main.ts')], {
    detached: true,
    stdio: ['pipe', 'ignore', 'inherit'],
    env: {},
  })
  child.unref()
  child.on('error', () => undefined)
  // When the watchdog itself was killed there is nobody left to tell.
  child.stdin.on('error', () => undefined)
  const say = (line: string): void => {
    child.stdin.write(`${line}\n`)
  }
  say(`folder ${folder}`)
  return {
    watch: (pid) => say(`+${pid}`),
    forget: (pid) => say(`-${pid}`),
    done() {
      say('done')
      child.stdin.end()
    },
  }
}
