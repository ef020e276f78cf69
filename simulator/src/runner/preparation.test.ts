import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ManualClock } from '@weir/lib/clock'
import { asObject, type JsonObject, mergePatch } from '@weir/lib/json'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { aggregatorName, desiredOf, readerName } from './demo.ts'
import { parseOptions } from './options.ts'
import { manifestDefault, type Preparation, prepare } from './preparation.ts'
import { settingsOf } from './settings.ts'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'weir-preparation-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function file(name: string, content: unknown): string {
  const path = join(folder, name)
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
  return path
}

/** The project's manifest, with `patch` merged into the modules' desired properties. */
function manifestWith(patch: JsonObject): JsonObject {
  const manifest: JsonObject = JSON.parse(readFileSync(manifestDefault, 'utf8'))
  return mergePatch(manifest, { modulesContent: patch })
}

async function prepared(...args: string[]): Promise<Preparation> {
  const parsed = parseOptions(args)
  if (parsed.help) throw new Error('help was asked for')
  const preparation = await prepare(parsed.options, new ManualClock())
  await preparation.plant?.close()
  return preparation
}

function settings({ deployment }: Preparation): unknown {
  return settingsOf(desiredOf(deployment, readerName), desiredOf(deployment, aggregatorName))
}

function links(preparation: Preparation): JsonObject {
  return asObject(desiredOf(preparation.deployment, readerName)?.['links']) ?? {}
}

const demo = { pollMs: 250, publishMs: 1000, windowMs: 15_000 }
const own = { pollMs: 1000, publishMs: 1000, windowMs: 60_000 }

describe('a run', () => {
  test('without options serves the devices of the manifest and shows them fast', async () => {
    const run = await prepared()
    expect(settings(run)).toEqual(demo)
    expect(run.subject).toBe('simulated plant: 4 devices, 28 signals, seed 1')
    for (const [link, { host, port }] of run.plant?.addresses ?? [])
      expect(links(run)[link]).toMatchObject({ host, port })
    expect(desiredOf(run.production, readerName)?.['pollIntervalMs']).toBe(1000)
  })

  test('with --plant none leaves the manifest as it is', async () => {
    const run = await prepared('--plant', 'none')
    expect(settings(run)).toEqual(own)
    expect(asObject(links(run)['hall-1'])?.['host']).toBe('plc-hall-1')
    expect(run.plant).toBeUndefined()
  })

  test('lays --twin files over everything else, and serves what they add', async () => {
    const twin = file('twin.json', {
      pollIntervalMs: 500,
      devices: { extra: { link: 'hall-1', unitId: 9, signals: { x: { table: 'coil', address: 0, type: 'bit' } } } },
    })
    const run = await prepared('--twin', `modbus-reader=${twin}`)
    expect(settings(run)).toEqual({ ...demo, pollMs: 500 })
    expect(run.plant?.devices.map(({ deviceId }) => deviceId)).toContain('extra')
  })

  test('takes the settings of a manifest that is not made from the own one, and serves its devices', async () => {
    const section = (desired: JsonObject): JsonObject => ({ 'properties.desired': desired })
    const near = file('near.template.json', manifestWith({ [readerName]: section({ pollIntervalMs: 2000 }) }))
    expect(settings(await prepared('--manifest', near))).toEqual(demo)
    const windows = { windows: { other: { lengthMs: 30_000, lateArrivalMs: 1000 } } }
    const far = file('far.template.json', manifestWith({ [aggregatorName]: section(windows) }))
    const run = await prepared('--manifest', far)
    expect(settings(run)).toEqual({ ...own, windowMs: 30_000 })
    expect(run.plant?.devices.length).toBe(4)
  })

  test('with a recording reads that and nothing else', async () => {
    const csv = file('line.csv', 'time,speed,text\n0,1,a\n1,2,b\n')
    const run = await prepared('--plant', csv, '--replay-speed', '2')
    expect(settings(run)).toEqual({ ...demo, pollMs: 500 })
    expect(Object.keys(asObject(desiredOf(run.deployment, readerName)?.['devices']) ?? {})).toEqual(['line'])
    expect(run.notes.join()).toContain('columns without numbers are left out: text')
    expect(settingsOf(desiredOf(run.production, readerName), desiredOf(run.production, aggregatorName))).toEqual(own)
  })

  test('refuses a recording where there is no reader for it', async () => {
    const modules = { $edgeAgent: { 'properties.desired': { modules: { [readerName]: null } } }, [readerName]: null }
    const without = file('without.template.json', manifestWith(modules))
    const csv = file('any.csv', 'time,speed\n0,1\n1,2\n')
    await expect(prepared('--manifest', without, '--plant', csv)).rejects.toThrow('deploys no modbus-reader')
    expect((await prepared('--manifest', without)).plant).toBeUndefined()
  })
})
