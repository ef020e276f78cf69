import { errorText, WeirError } from '@weir/lib/errors'
import { asObject, isJsonObject, type JsonObject, type JsonValue } from '@weir/lib/json'
import { z } from 'zod'
import { type ImageReference, imageReference } from './expand.ts'

/** The text of `createOptions` is split into fields of 512 characters: `createOptions`, then `createOptions01` … `07`. */
const createOptionsPartCharacters = 512
const createOptionsParts = ['createOptions', ...[1, 2, 3, 4, 5, 6, 7].map((part) => `createOptions0${part}`)]
/** edgeAgent starts modules that name no order last: the largest unsigned 32-bit number. */
const startupOrderDefault = 4_294_967_295

const text = z.string().min(1)
const environmentSchema = z.record(z.string(), z.looseObject({ value: z.union([z.string(), z.number(), z.boolean()]) }))
const moduleSchema = z.looseObject({
  type: z.literal('docker').default('docker'),
  version: z.string().optional(),
  status: z.enum(['running', 'stopped']).default('running'),
  restartPolicy: z.enum(['always', 'on-failure', 'on-unhealthy', 'never']).default('always'),
  imagePullPolicy: z.enum(['on-create', 'never']).default('on-create'),
  startupOrder: z.int().min(0).max(startupOrderDefault).default(startupOrderDefault),
  env: environmentSchema.default({}),
  settings: z.looseObject({ image: text }),
})
const agentSchema = z.looseObject({
  schemaVersion: z.string(),
  systemModules: z.record(z.string(), moduleSchema).default({}),
  modules: z.record(z.string(), moduleSchema).default({}),
})
const moduleId = /^[A-Za-z0-9\-:.+%_#*?!(),=@$']{1,128}$/

export function isModuleId(text: string): boolean {
  return moduleId.test(text)
}

export type RestartPolicy = z.infer<typeof moduleSchema>['restartPolicy']

/** A module as the manifest deploys it, with edgeAgent's defaults filled in. */
export interface DeployedModule {
  readonly name: string
  readonly version: string | undefined
  readonly status: 'running' | 'stopped'
  readonly restartPolicy: RestartPolicy
  readonly imagePullPolicy: 'on-create' | 'never'
  /** Lower starts earlier. */
  readonly startupOrder: number
  /** The image as the manifest names it. */
  readonly image: string
  readonly imageReference: ImageReference
  /** `env` of the manifest; it wins over the container's. */
  readonly env: Readonly<Record<string, string>>
  /** `Env` of the container's create options. */
  readonly createOptionsEnv: Readonly<Record<string, string>>
  readonly createOptions: JsonObject
  /** Desired properties of the module's twin. */
  readonly desired: JsonObject
}

export interface Deployment {
  /** Where it was read from, for messages. */
  readonly source: string
  /** In the order of the manifest. */
  readonly modules: readonly DeployedModule[]
  /** `edgeAgent` and `edgeHub`; their desired properties are those below. */
  readonly systemModules: Readonly<Record<string, DeployedModule>>
  /** As edgeAgent gets them: create options as text, in parts. */
  readonly edgeAgentDesired: JsonObject
  /** With the routes and the store-and-forward configuration. */
  readonly edgeHubDesired: JsonObject
  /** What a hub would take but is surely not meant, as `source: path: text`. */
  readonly warnings: readonly string[]
}

/**
 * Reads a deployment manifest (template or expanded, `modulesContent` or the older `moduleContent`, bare or inside
 * `content`), its variables already expanded.
 * @param source Names the manifest in messages.
 * @throws WeirError CONFIG_REFUSED with every problem and its path.
 */
export function readDeployment(manifest: JsonValue, source: string): Deployment {
  const sections = readSections(manifest, source)
  const agent = asObject(sections.get('$edgeAgent'))
  if (agent === undefined) refuse(source, ['$edgeAgent: missing; a deployment names its modules there'])
  const hub = sections.get('$edgeHub')
  if (hub === undefined) refuse(source, ['$edgeHub: missing; a deployment names its routes there'])
  const parsed = agentSchema.safeParse(agent)
  if (!parsed.success) {
    refuse(
      source,
      parsed.error.issues.map((issue) => `$edgeAgent/properties.desired/${issue.path.join('/')}: ${issue.message}`),
    )
  }
  const { modules, systemModules } = parsed.data
  const problems: string[] = []
  const read = (name: string, module: z.infer<typeof moduleSchema>, place: string): DeployedModule =>
    deployedModule(name, module, sections.get(name) ?? {}, `$edgeAgent/properties.desired/${place}/${name}`, problems)
  const deployment: Deployment = {
    source,
    modules: Object.entries(modules).map(([name, module]) => read(name, module, 'modules')),
    systemModules: Object.fromEntries(
      Object.entries(systemModules).map(([name, module]) => [name, read(name, module, 'systemModules')]),
    ),
    edgeAgentDesired: withTextOptions(agent),
    edgeHubDesired: hub,
    warnings: [...sections.keys()]
      .filter((name) => name !== '$edgeAgent' && name !== '$edgeHub' && !Object.hasOwn(modules, name))
      .map((name) => `${source}: ${name}: has desired properties, but $edgeAgent deploys no module of that name`),
  }
  if (problems.length > 0) refuse(source, problems)
  return deployment
}

function refuse(source: string, problems: readonly string[]): never {
  throw new WeirError('CONFIG_REFUSED', `deployment ${source}: ${problems.join('; ')}`)
}

/** Desired properties by module id. Layered deployments set parts of them by keys such as `properties.desired.routes.a`. */
function readSections(manifest: JsonValue, source: string): Map<string, JsonObject> {
  const root = asObject(asObject(manifest)?.['content']) ?? asObject(manifest)
  const content = root?.['modulesContent'] ?? root?.['moduleContent']
  if (!isJsonObject(content))
    refuse(source, ['modulesContent: missing; expected an object with $edgeAgent, $edgeHub and modules'])
  const sections = new Map<string, JsonObject>()
  for (const [name, section] of Object.entries(content)) {
    if (!isJsonObject(section)) refuse(source, [`${name}: expected an object with properties.desired`])
    let desired: JsonObject = {}
    for (const [key, value] of Object.entries(section)) {
      if (key === 'properties.desired' && isJsonObject(value)) desired = { ...desired, ...value }
      else if (key.startsWith('properties.desired.')) desired = setPath(desired, key.split('.').slice(2), value)
      else refuse(source, [`${name}/${key}: expected properties.desired with an object`])
    }
    sections.set(name, desired)
  }
  return sections
}

function setPath(target: JsonObject, path: readonly string[], value: JsonValue): JsonObject {
  const [first = '', ...rest] = path
  const inner = rest.length === 0 ? value : setPath(asObject(target[first]) ?? {}, rest, value)
  return { ...target, [first]: inner }
}

function deployedModule(
  name: string,
  module: z.infer<typeof moduleSchema>,
  desired: JsonObject,
  place: string,
  problems: string[],
): DeployedModule {
  if (!isModuleId(name))
    problems.push(`${place}: no module id; allowed are letters, digits and - : . + % _ # * ? ! ( ) , = @ $ '`)
  const createOptions = readCreateOptions(module.settings as JsonObject, `${place}/settings`, problems)
  return {
    name,
    version: module.version,
    status: module.status,
    restartPolicy: module.restartPolicy,
    imagePullPolicy: module.imagePullPolicy,
    startupOrder: module.startupOrder,
    image: module.settings.image,
    imageReference: imageReference(module.settings.image),
    env: Object.fromEntries(Object.entries(module.env).map(([key, { value }]) => [key, String(value)])),
    createOptionsEnv: readEnvironment(createOptions['Env'], `${place}/settings/createOptions/Env`, problems),
    createOptions,
    desired,
  }
}

/** Create options come as an object (templates) or as text, in up to eight parts (expanded manifests). */
function readCreateOptions(settings: JsonObject, place: string, problems: string[]): JsonObject {
  const first = settings['createOptions']
  if (first === undefined) return {}
  if (isJsonObject(first)) return first
  const parts = createOptionsParts.map((key) => settings[key] ?? '')
  const odd = parts.findIndex((part) => typeof part !== 'string')
  if (odd !== -1) {
    problems.push(`${place}/${createOptionsParts[odd]}: expected text`)
    return {}
  }
  const whole = parts.join('')
  if (whole === '') return {}
  try {
    const options: unknown = JSON.parse(whole)
    if (isJsonObject(options)) return options
    problems.push(`${place}/createOptions: expected the JSON of an object`)
  } catch (error) {
    problems.push(`${place}/createOptions: is no JSON (${errorText(error)})`)
  }
  return {}
}

/** Create options of every module turned into text and split, as iotedgedev and the Azure tools send them. */
function withTextOptions(agent: JsonObject): JsonObject {
  const modulesOf = (section: JsonValue | undefined): JsonObject =>
    Object.fromEntries(
      Object.entries(asObject(section) ?? {}).map(([name, module]) => {
        const settings = asObject(asObject(module)?.['settings'])
        const options = settings?.['createOptions']
        if (!isJsonObject(module) || settings === undefined || !isJsonObject(options)) return [name, module]
        return [name, { ...module, settings: { ...settings, ...splitOptions(JSON.stringify(options)) } }]
      }),
    )
  return { ...agent, systemModules: modulesOf(agent['systemModules']), modules: modulesOf(agent['modules']) }
}

function splitOptions(options: string): JsonObject {
  const parts = createOptionsParts.map((key, index) => {
    const at = index * createOptionsPartCharacters
    return [key, options.slice(at, at + createOptionsPartCharacters)] as const
  })
  return Object.fromEntries(parts.filter(([, part]) => part !== ''))
}

/** Docker's `Env`: `NAME=value`, or `NAME` alone for an empty one. */
function readEnvironment(list: JsonValue | undefined, place: string, problems: string[]): Record<string, string> {
  if (list === undefined || list === null) return {}
  if (!Array.isArray(list) || !list.every((entry) => typeof entry === 'string')) {
    problems.push(`${place}: expected a list of NAME=value`)
    return {}
  }
  return Object.fromEntries(
    list.map((entry: string) => {
      const at = entry.indexOf('=')
      return at === -1 ? [entry, ''] : [entry.slice(0, at), entry.slice(at + 1)]
    }),
  )
}
