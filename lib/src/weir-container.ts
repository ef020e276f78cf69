/** `weir` inside a module's container: the module's commands, over the unix socket that only the module's user can open. */
import process from 'node:process'
import { systemClock } from './clock.ts'
import { runCommandLine } from './command-client.ts'
import { callSocket, socketPaths } from './command-socket.ts'
import { errorText } from './errors.ts'
import { stateFolderOf } from './host-settings.ts'
import type { MethodResult } from './hub.ts'
import type { JsonValue } from './json.ts'

const environment = process.env
const paths = socketPaths(environment, '', stateFolderOf(environment))

/** Calls on the first path where somebody answers. */
async function call(method: string, payload: JsonValue): Promise<MethodResult> {
  const problems: string[] = []
  for (const path of paths) {
    try {
      return await callSocket(path, method, payload)
    } catch (error) {
      problems.push(`${path}: ${errorText(error)}`)
    }
  }
  throw new Error(`the module cannot be reached (${problems.join('; ')}); it must run, and you must be its user`)
}

const abort = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => abort.abort())
process.exitCode = await runCommandLine(process.argv.slice(2), {
  call,
  clock: systemClock,
  signal: abort.signal,
  out: (text) => process.stdout.write(`${text}\n`),
  err: (text) => process.stderr.write(`${text}\n`),
})
