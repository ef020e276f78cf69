/** What `npm start` lays over the manifest so that the default plant shows itself within a minute. */
import type { JsonObject } from '@weir/lib/json'
import { asObject } from '@weir/lib/json'
import type { Deployment } from '../manifest/deployment.ts'
import { overlayTwin, type TwinOverlay } from '../manifest/overlay.ts'
import type { PlantAddress } from '../plant/plant.ts'

export const readerName = 'modbus-reader'
export const aggregatorName = 'aggregator'
export const detectorName = 'anomaly-detector'

/** Fast polls, and windows short enough to see several of them close. */
export const demoOverlays: readonly TwinOverlay[] = [
  { module: readerName, desired: { pollIntervalMs: 250, publishIntervalMs: 1000 } },
  { module: aggregatorName, desired: { windows: { main: { lengthMs: 15_000, lateArrivalMs: 2000 } } } },
]

export function desiredOf(deployment: Deployment, module: string): JsonObject | undefined {
  return deployment.modules.find(({ name }) => name === module)?.desired
}

function keysOf(deployment: Deployment, module: string, key: string): string {
  return Object.keys(asObject(desiredOf(deployment, module)?.[key]) ?? {})
    .sort()
    .join(' ')
}

/** Whether a manifest is the project's own, or made from it so closely that the demonstration's settings fit it. */
export function takesDemoSettings(deployment: Deployment, own: Deployment): boolean {
  return (
    keysOf(deployment, readerName, 'links') === keysOf(own, readerName, 'links') &&
    keysOf(deployment, aggregatorName, 'windows') === keysOf(own, aggregatorName, 'windows')
  )
}

/** The reader's links, pointed at where the simulated plant answers. */
export function linksOverlay(addresses: ReadonlyMap<string, PlantAddress>): TwinOverlay {
  const links = Object.fromEntries([...addresses].map(([link, { host, port }]) => [link, { host, port }]))
  return { module: readerName, desired: { links } }
}

/** Lays `overlays` over a deployment, in order. Throws CONFIG_REFUSED where it lacks one of the modules. */
export function laidOver<Kind extends Deployment>(deployment: Kind, overlays: readonly TwinOverlay[]): Kind {
  return overlays.reduce((under, overlay) => overlayTwin(under, overlay), deployment)
}

/** The deployment with `desired` in place of all desired properties of `module`. */
export function withDesired<Kind extends Deployment>(deployment: Kind, module: string, desired: JsonObject): Kind {
  const modules = deployment.modules.map((one) => (one.name === module ? { ...one, desired } : one))
  return { ...deployment, modules }
}
