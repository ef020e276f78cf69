import { expect, test } from 'vitest'
import { parseProc, parsePs, sampleResources } from './resources.ts'

test('memory and processor time are read from /proc, whatever the command is called', () => {
  const stat = '17 (a) b (node) S 1 17 17 0 -1 4194560 900 0 0 0 250 50 0 0 20 0 11 0 1000 0 0'
  const status = 'Name:\tnode\nVmHWM:\t  2048 kB\nVmRSS:\t  1024 kB\n'
  expect(parseProc(stat, status)).toEqual({ rssBytes: 1_048_576, rssBytesMax: 2_097_152, cpuS: 3 })
})

test('a process that has ended has no resources', () => {
  expect(parseProc('17 (node) Z 1 17 17 0 -1 4194560 900 0 0 0 250 50', 'Name:\tnode\n')).toBeUndefined()
})

test('the output of ps is read with and without days and hours', () => {
  const resources = parsePs('  17  1024   0:01.50\n18 2048 1-02:03:04\n\n')
  expect(resources.get(17)).toEqual({ rssBytes: 1_048_576, rssBytesMax: 1_048_576, cpuS: 1.5 })
  expect(resources.get(18)?.cpuS).toBe(86_400 + 2 * 3600 + 3 * 60 + 4)
})

test('this very process is found, and one that is not there is left out', async () => {
  const resources = await sampleResources([process.pid, 2 ** 22 + 1])
  expect(resources.get(process.pid)?.rssBytes).toBeGreaterThan(1_000_000)
  expect(resources.size).toBe(1)
})
