import { existsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import type { Clock } from '@weir/lib/clock'
import { WeirError } from '@weir/lib/errors'
import type { JsonObject } from '@weir/lib/json'
import { type LoadedDeployment, loadDeployment } from '../manifest/load.ts'
import { readTwinOverlay } from '../manifest/overlay.ts'
import { startCsvPlant } from '../plant/csv-plant.ts'
import { startDefaultPlant } from '../plant/default-plant.ts'
import type { Plant } from '../plant/plant.ts'
import {
  aggregatorName,
  demoOverlays,
  desiredOf,
  laidOver,
  linksOverlay,
  readerName,
  takesDemoSettings,
  withDesired,
} from './demo.ts'
import type { RunOptions } from './options.ts'
import { counted } from './text.ts'

/** What a run deploys, and the plant that it reads. */
export interface Preparation {
  /** The manifest with the settings of this run laid over it. */
  readonly deployment: LoadedDeployment
  /** The settings that a gateway would run with: those of the manifest, on the devices of the plant. */
  readonly production: LoadedDeployment
  readonly plant: Plant | undefined
  /** One line about the plant. */
  readonly subject: string
  readonly notes: readonly string[]
}

export const rootFolder = resolve(import.meta.dirname, '../../..')
export const manifestDefault = join(rootFolder, 'deployment.template.json')

/** Reads a manifest; one that lies apart from the sources of its modules has the project's. */
function load(file: string): LoadedDeployment {
  const hasModules = existsSync(join(dirname(file), 'modules'))
  const modules = hasModules ? {} : { MODULES_PATH: join(rootFolder, 'modules') }
  return loadDeployment(file, { ...modules, ...process.env })
}

function requireReader(deployment: LoadedDeployment, plant: string): void {
  if (desiredOf(deployment, readerName) === undefined) {
    throw new WeirError(
      'CONFIG_REFUSED',
      `--plant ${plant}: ${deployment.source} deploys no ${readerName}; use --plant none`,
    )
  }
}

function intervalsOf(reader: JsonObject | undefined): JsonObject {
  const names = ['pollIntervalMs', 'publishIntervalMs'].filter((name) => reader?.[name] !== undefined)
  return Object.fromEntries(names.map((name) => [name, reader?.[name] ?? null]))
}

/**
 * Loads the manifest and starts the plant that the options ask for.
 * Throws CONFIG_REFUSED naming the option or the part of the manifest that does not fit.
 */
export async function prepare(options: RunOptions, clock: Clock): Promise<Preparation> {
  const file = options.manifestFile ?? manifestDefault
  const manifest = load(file)
  const twins = options.twinFiles.map(({ module, file: twin }) => readTwinOverlay(module, twin))
  const without = { production: manifest, notes: manifest.warnings }
  if (options.plant === 'none') {
    const deployment = laidOver(manifest, twins)
    return { ...without, deployment, plant: undefined, subject: 'real devices, settings of the manifest' }
  }
  if (options.plant === 'default') {
    if (options.manifestFile !== undefined && desiredOf(manifest, readerName) === undefined) {
      return {
        ...without,
        deployment: laidOver(manifest, twins),
        plant: undefined,
        subject: `no plant: no ${readerName} in the manifest`,
      }
    }
    const isDemo = options.manifestFile === undefined || takesDemoSettings(manifest, load(manifestDefault))
    const settings = isDemo ? laidOver(manifest, demoOverlays) : manifest
    const plant = await startDefaultPlant(desiredOf(laidOver(settings, twins), readerName), options.seed, clock)
    const subject = `simulated plant: ${counted(plant.devices.length, 'device')}, ${counted(plant.image.signalCount, 'signal')}, seed ${options.seed}`
    return { ...without, deployment: laidOver(settings, [linksOverlay(plant.addresses), ...twins]), plant, subject }
  }
  requireReader(manifest, options.plant)
  const { plant, readerDesired, notes, deviceId } = await startCsvPlant(options.plant, options.replaySpeed, clock)
  const windows = demoOverlays.filter(
    ({ module }) => module === aggregatorName && desiredOf(manifest, module) !== undefined,
  )
  const configured = withDesired(laidOver(manifest, windows), readerName, readerDesired)
  return {
    production: withDesired(manifest, readerName, {
      ...readerDesired,
      ...intervalsOf(desiredOf(manifest, readerName)),
    }),
    notes: [...manifest.warnings, ...notes],
    deployment: laidOver(configured, [linksOverlay(plant.addresses), ...twins]),
    plant,
    subject: `recording ${deviceId}: ${counted(plant.image.signalCount, 'signal')}, ${options.replaySpeed} × its speed`,
  }
}
