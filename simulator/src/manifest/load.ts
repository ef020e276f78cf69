import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { parseEnv } from 'node:util'
import { errorText, WeirError } from '@weir/lib/errors'
import { asObject, type JsonValue } from '@weir/lib/json'
import { type DeployedModule, type Deployment, readDeployment } from './deployment.ts'
import { expandVariables, type Variables } from './expand.ts'

const modulesFolderDefault = 'modules'

export interface LoadedDeployment extends Deployment {
  /**
   * Folder with the sources of each module, absolute, by module name: from `${MODULES.<folder>}` in a template, or, in
   * an expanded manifest, the folder whose `module.json` names the image's repository. Modules that are images only
   * are absent.
   */
  readonly folders: ReadonlyMap<string, string>
}

/**
 * Reads a manifest from a file. A template (it has `$schema-template`, or its name ends in `.template.json`) has its
 * variables expanded as iotedgedev does: from `environment`, then from `.env` beside the file; unknown ones stay.
 * @throws WeirError CONFIG_REFUSED with the file, the path in it and what was expected.
 */
export function loadDeployment(file: string, environment: Variables): LoadedDeployment {
  const path = resolve(file)
  const manifest = readJsonFile(path)
  const variables = { ...readDotEnv(join(dirname(path), '.env')), ...environment }
  const isTemplate = asObject(manifest)?.['$schema-template'] !== undefined || path.endsWith('.template.json')
  const deployment = readDeployment(isTemplate ? expandVariables(manifest, variables) : manifest, file)
  const modulesFolder = resolve(dirname(path), variables['MODULES_PATH'] ?? modulesFolderDefault)
  const repositories = readRepositories(modulesFolder)
  const folders = new Map<string, string>()
  for (const module of deployment.modules) {
    const folder = sourceFolder(module, dirname(path), modulesFolder, repositories)
    if (folder === undefined) continue
    if (!existsSync(folder)) {
      throw new WeirError(
        'CONFIG_REFUSED',
        `deployment ${file}: $edgeAgent/properties.desired/modules/${module.name}/settings/image: ${module.image} names ${folder}, which does not exist`,
      )
    }
    folders.set(module.name, folder)
  }
  return { ...deployment, folders }
}

/** A file of JSON. @throws WeirError CONFIG_REFUSED naming the file. */
export function readJsonFile(file: string): JsonValue {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw new WeirError('CONFIG_REFUSED', `${file}: cannot be read (${errorText(error)})`, { cause: error })
  }
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new WeirError('CONFIG_REFUSED', `${file}: is no JSON (${errorText(error)})`, { cause: error })
  }
}

function readDotEnv(file: string): Variables {
  return existsSync(file) ? parseEnv(readFileSync(file, 'utf8')) : {}
}

function sourceFolder(
  { imageReference }: DeployedModule,
  manifestFolder: string,
  modulesFolder: string,
  repositories: ReadonlyMap<string, string>,
): string | undefined {
  switch (imageReference.kind) {
    case 'module':
      return join(modulesFolder, imageReference.folder)
    case 'path':
      return resolve(manifestFolder, imageReference.path)
    case 'image':
      return repositories.get(repositoryName(imageReference.image))
  }
}

/** `registry:5000/group/weir-aggregator:0.1.0-amd64` → `weir-aggregator`. */
function repositoryName(image: string): string {
  const last = image.slice(image.lastIndexOf('/') + 1)
  return last.replace(/[:@].*$/, '')
}

/** Folder by the repository that its `module.json` names. */
function readRepositories(modulesFolder: string): Map<string, string> {
  const repositories = new Map<string, string>()
  if (!existsSync(modulesFolder)) return repositories
  for (const entry of readdirSync(modulesFolder, { withFileTypes: true })) {
    const file = join(modulesFolder, entry.name, 'module.json')
    if (!entry.isDirectory() || !existsSync(file)) continue
    const repository = asObject(asObject(readJsonFile(file))?.['image'])?.['repository']
    if (typeof repository === 'string') repositories.set(repositoryName(repository), join(modulesFolder, entry.name))
  }
  return repositories
}
