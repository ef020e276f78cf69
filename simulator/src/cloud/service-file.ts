import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { errorText, WeirError } from '@weir/lib/errors'
import { z } from 'zod'

/** Where a running simulator tells `weir` how to reach it: `{url, token, pid}`, in its state folder. */
export const serviceFileName = 'service.json'

const schema = z.object({ url: z.url(), token: z.string(), pid: z.int() })
export type Service = z.infer<typeof schema>

/** Finds the simulator that runs on `stateFolder`. @throws WeirError HUB_AWAY where none does. */
export function findService(stateFolder: string): Service {
  const file = join(stateFolder, serviceFileName)
  if (!existsSync(file)) {
    throw new WeirError(
      'HUB_AWAY',
      `no simulator runs on ${stateFolder} (${file} is missing); start one with npm start, or name its folder with --state`,
    )
  }
  let service: Service
  try {
    service = schema.parse(JSON.parse(readFileSync(file, 'utf8')))
  } catch (error) {
    throw new WeirError('HUB_AWAY', `${file}: cannot be read (${errorText(error)}); start the simulator again`, {
      cause: error,
    })
  }
  if (!isAlive(service.pid)) {
    throw new WeirError(
      'HUB_AWAY',
      `the simulator on ${stateFolder} (process ${service.pid}) is gone; start it again with npm start`,
    )
  }
  return service
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}
