/** `npm start`: see runner/options.ts for what it takes. */
import process from 'node:process'
import { errorText, WeirError } from '@weir/lib/errors'
import { parseOptions, usage } from './runner/options.ts'
import { run } from './runner/runner.ts'

const stop = new AbortController()

/** The first asks for the orderly end, the second ends at once; the watchdog then sees to the processes left. */
function requestStop(): void {
  if (stop.signal.aborted) process.exit(130)
  stop.abort()
}

async function main(): Promise<number> {
  const parsed = parseOptions(process.argv.slice(2))
  if (parsed.help) {
    process.stdout.write(`${usage}\n`)
    return 0
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, requestStop)
  // The program that started this one is gone, or whoever read its output is.
  process.once('disconnect', requestStop)
  process.channel?.unref()
  process.stdout.on('error', requestStop)
  return run(parsed.options, { out: process.stdout, stop: stop.signal })
}

try {
  process.exitCode = await main()
} catch (error) {
  process.stderr.write(`weir: ${error instanceof WeirError ? errorText(error) : (error as Error).stack}\n`)
  process.exitCode = 2
}
// Nothing should be left that keeps the process; should something be, it is not waited for.
process.exit()
