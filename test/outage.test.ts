import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Telemetry } from '@weir/lib/messages'
import { type CloudMessage, messageTypeOf, parseBody } from '@weir/simulator/cloud/cloud-message'
import { loadDeployment } from '@weir/simulator/manifest/load'
import { aggregatorName, laidOver, readerName } from '@weir/simulator/runner/demo'
import { edgeHubName } from '@weir/simulator/runner/module-processes'
import { manifestDefault } from '@weir/simulator/runner/preparation'
import type { ModuleProcess } from '@weir/simulator/runner/supervisor'
import { expect, test } from 'vitest'
import { dayDevices, dayMessages, minuteMs } from './soak/day.ts'
import type { RowsElsewhere } from './soak/invariants.ts'
import { allProblems, examine } from './soak/proof.ts'
import { RunningDevice } from './soak/running-device.ts'

const hourMs = 60 * minuteMs
const dayMs = 24 * hourMs
/** The manifest's windows close after this. */
const afterMs = 5_000
const program = join(import.meta.dirname, 'programs', 'day-reader.ts')

interface Outage {
  /** Telemetry while the cloud is away. */
  readonly minutes: number
  /** How long it stays away, by every clock of the device. */
  readonly awayMs: number
}

interface AfterOutage {
  readonly telemetry: readonly Telemetry[]
  readonly arrived: readonly CloudMessage[]
  readonly elsewhere: RowsElsewhere
  readonly dropped: Readonly<Record<string, number>>
  readonly deaths: readonly string[]
}

/** The modules as the manifest has them, but for a reader that replays. */
function modulesWithReplay({ runtime }: RunningDevice, day: object): ModuleProcess[] {
  return runtime.modules.map((module) =>
    module.name === readerName
      ? {
          ...module,
          nodeArguments: [...module.nodeArguments.slice(0, -1), program],
          environment: () => ({ ...module.environment(), WEIR_DAY: JSON.stringify(day) }),
        }
      : module,
  )
}

/**
 * The manifest's modules with the manifest's settings, fed with a stretch of time while the cloud is away. In the middle
 * the edge hub is killed; then the clocks go on, and the cloud comes back.
 */
async function outage(stateFolder: string, { minutes, awayMs }: Outage): Promise<AfterOutage> {
  const startMs = Math.floor((Date.now() - 2 * afterMs) / minuteMs) * minuteMs - minutes * minuteMs
  // Windows of all devices close together, once a minute, as they do where time is not replayed.
  const settings = { module: aggregatorName, desired: { batch: { recordsMax: dayDevices.length } } }
  const deployment = laidOver(loadDeployment(manifestDefault, process.env), [settings])
  await using device = await RunningDevice.start(deployment, stateFolder)
  const { supervisor, faults, edgeHub, cloud } = device.runtime
  await faults.order({ place: 'upstream', action: 'cut' })
  await device.until('the cloud to be away', () => !cloud.edgeHubConnected)
  supervisor.start(modulesWithReplay(device, { startMs, minutes, afterMs }))
  const queuedUpstream = async (): Promise<number> => (await edgeHub.counters()).queued['$upstream'] ?? 0
  await device.until('half of the windows', async () => (await queuedUpstream()) >= minutes / 2)
  await device.kill(edgeHubName)
  await device.until('every window at the edge hub', async () => (await queuedUpstream()) >= minutes)
  let before = 0
  await device.until('the queues between the modules to be empty', async () => {
    const { queued } = await edgeHub.counters()
    const { $upstream = 0, ...others } = queued
    const isQuiet = Object.values(others).every((count) => count === 0) && $upstream === before
    before = $upstream
    return isQuiet
  })
  await faults.order({ place: 'clock', name: 'all', action: 'step', ms: awayMs })
  expect(device.arrived).toEqual([])
  await faults.order({ place: 'upstream', action: 'restore' })
  await device.until('all of it to arrive', () => device.isQuiet())
  const telemetry = [...dayMessages(startMs, minutes)].map(
    ({ deviceId, rows }): Telemetry => ({ schemaVersion: 1, deviceId, readings: [...rows] }),
  )
  const elsewhere = await device.rowsElsewhere()
  return {
    telemetry,
    arrived: [...device.arrived],
    // The rows that closed the last windows are in windows that are open.
    elsewhere: { ...elsewhere, kept: elsewhere.kept - dayDevices.length },
    dropped: (await edgeHub.counters()).messagesDropped,
    deaths: [...device.deaths],
  }
}

async function withFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'weir-outage-'))
  await run(folder)
  rmSync(folder, { recursive: true, force: true })
}

function typesOf(arrived: readonly CloudMessage[]): string[] {
  return arrived.map(messageTypeOf)
}

function windowRecords(arrived: readonly CloudMessage[]): number {
  const bodies = arrived.filter((message) => messageTypeOf(message) === 'aggregate').map(parseBody)
  return bodies.reduce((sum, body) => sum + ('value' in body && Array.isArray(body.value) ? body.value.length : 0), 0)
}

/** Of each sender, whether its messages came in the order in which they were sent. */
function isInOrder(arrived: readonly CloudMessage[]): boolean {
  const latest = new Map<string, number>()
  return arrived.every(({ moduleId, properties, systemProperties }) => {
    const session = [moduleId, systemProperties['outputName'], properties['session']].join(' ')
    const sequence = Number(properties['sequence'])
    const isNext = sequence > (latest.get(session) ?? 0)
    latest.set(session, sequence)
    return isNext
  })
}

test('a day without the cloud loses nothing: every window and every alert arrives once, in order, alerts first', () =>
  withFolder(async (folder) => {
    const minutes = dayMs / minuteMs
    const { telemetry, arrived, elsewhere, dropped, deaths } = await outage(folder, { minutes, awayMs: dayMs })
    const findings = examine(arrived, { telemetry, elsewhere, windowMs: minuteMs, readerTailMax: 0 })
    expect(allProblems(findings)).toEqual([])
    expect(findings.seen.records).toBe(minutes * dayDevices.length)
    // A device is too hot in each hour.
    expect(findings.seen.alerts).toBe(2 * 24)
    expect(typesOf(arrived).lastIndexOf('alert')).toBeLessThan(typesOf(arrived).indexOf('aggregate'))
    expect(isInOrder(arrived)).toBe(true)
    expect(dropped).toEqual({})
    expect(deaths).toEqual([`${edgeHubName}: SIGKILL`])
  }))

test('messages wait for the cloud for as long as their routes say: windows for seven days, alerts for ever', () =>
  withFolder(async (folder) => {
    const minutes = 60
    const almost = await outage(join(folder, 'almost'), { minutes, awayMs: 7 * dayMs - hourMs })
    expect(windowRecords(almost.arrived)).toBe(minutes * dayDevices.length)
    expect(almost.dropped).toEqual({})

    const over = await outage(join(folder, 'over'), { minutes, awayMs: 7 * dayMs + minuteMs })
    expect(typesOf(over.arrived).filter((type) => type === 'aggregate')).toEqual([])
    expect(typesOf(over.arrived).filter((type) => type === 'alert')).toHaveLength(2)
    // How many windows share a message depends on how fast they come.
    expect(Object.keys(over.dropped)).toEqual(['ttl_expiry'])
    expect(over.dropped['ttl_expiry']).toBeGreaterThanOrEqual(minutes)
    expect(over.dropped['ttl_expiry']).toBeLessThanOrEqual(minutes * dayDevices.length)
  }))
