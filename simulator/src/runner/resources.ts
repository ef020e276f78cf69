/** Memory and processor time of processes, as the system counts them. */
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'

export interface Resources {
  readonly rssBytes: number
  /** Highest resident size so far, where the system tells it; else the present one. */
  readonly rssBytesMax: number
  readonly cpuS: number
}

/** Linux counts processor time in units of 1/100 s on every architecture (USER_HZ). */
const clockTicksPerSecond = 100

/** `/proc/<pid>/stat` and `/proc/<pid>/status`; undefined where they hold no memory figures (a process that ended). */
export function parseProc(stat: string, status: string): Resources | undefined {
  // The command's name stands in brackets and may itself hold any character.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const ticks = Number(fields[11]) + Number(fields[12])
  const kilobytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1])
  const rssBytes = kilobytes('VmRSS') * 1024
  if (Number.isNaN(rssBytes) || Number.isNaN(ticks)) return undefined
  return { rssBytes, rssBytesMax: kilobytes('VmHWM') * 1024, cpuS: ticks / clockTicksPerSecond }
}

/** `ps -o pid=,rss=,time=` by process; times look like `1-02:03:04.56` with the larger parts left out. */
export function parsePs(output: string): Map<number, Resources> {
  const resources = new Map<number, Resources>()
  for (const line of output.split('\n')) {
    const [pid, rss, time] = line.trim().split(/\s+/)
    if (pid === undefined || rss === undefined || time === undefined) continue
    const [clock = '', days = '0'] = time.split('-').toReversed()
    const cpuS = clock.split(':').reduce((seconds, part) => seconds * 60 + Number(part), 0) + Number(days) * 86_400
    const rssBytes = Number(rss) * 1024
    resources.set(Number(pid), { rssBytes, rssBytesMax: rssBytes, cpuS })
  }
  return resources
}

function readProc(pid: number): Resources | undefined {
  try {
    return parseProc(readFileSync(`/proc/${pid}/stat`, 'utf8'), readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return undefined
  }
}

/** Resources of the processes that live, by process id. */
export async function sampleResources(pids: readonly number[]): Promise<Map<number, Resources>> {
  if (pids.length === 0) return new Map()
  if (process.platform === 'linux') {
    return new Map(
      pids.flatMap((pid) => {
        const resources = readProc(pid)
        return resources === undefined ? [] : [[pid, resources] as const]
      }),
    )
  }
  try {
    const { stdout } = await promisify(execFile)('ps', ['-o', 'pid=,rss=,time=', '-p', pids.join(',')])
    return parsePs(stdout)
  } catch {
    return new Map()
  }
}
