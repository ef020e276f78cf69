import { WeirError } from '@weir/lib/errors'
import { isJsonObject, type JsonObject, mergePatch } from '@weir/lib/json'
import type { DeployedModule, Deployment } from './deployment.ts'
import { readJsonFile } from './load.ts'

/** Desired properties to be laid over a module's. */
export interface TwinOverlay {
  readonly module: string
  readonly desired: JsonObject
}

/** Reads the desired properties of `--twin MODULE=FILE.json`. @throws WeirError CONFIG_REFUSED where the file holds no object. */
export function readTwinOverlay(module: string, file: string): TwinOverlay {
  const desired = readJsonFile(file)
  if (!isJsonObject(desired)) {
    throw new WeirError('CONFIG_REFUSED', `--twin ${module}=${file}: expected an object of desired properties`)
  }
  return { module, desired }
}

/**
 * The deployment with `overlay` merged into the desired properties of its module (`$edgeHub` and `$edgeAgent` too):
 * objects key by key, null deletes.
 * @throws WeirError CONFIG_REFUSED where the deployment has no such module.
 */
export function overlayTwin<Kind extends Deployment>(deployment: Kind, { module, desired }: TwinOverlay): Kind {
  if (module === '$edgeHub') return { ...deployment, edgeHubDesired: mergePatch(deployment.edgeHubDesired, desired) }
  if (module === '$edgeAgent')
    return { ...deployment, edgeAgentDesired: mergePatch(deployment.edgeAgentDesired, desired) }
  if (!deployment.modules.some(({ name }) => name === module)) {
    const names = deployment.modules.map(({ name }) => name).join(', ')
    throw new WeirError(
      'CONFIG_REFUSED',
      `--twin ${module}: ${deployment.source} deploys no such module; it has ${names}`,
    )
  }
  const modules: DeployedModule[] = deployment.modules.map((deployed) =>
    deployed.name === module ? { ...deployed, desired: mergePatch(deployed.desired, desired) } : deployed,
  )
  return { ...deployment, modules }
}
