import { asObject, type JsonObject } from '@weir/lib/json'
import { nearest } from '@weir/lib/nearest'
import { readsBody, remarkOnCondition } from './condition-lint.ts'
import type { MessageSource } from './message.ts'
import { foldedSourcePath, sourcePath } from './source.ts'
import { type NamedRoute, readRoutes } from './table.ts'
import { foldCase } from './text.ts'

export interface Finding {
  /** `error`: edgeHub refuses the configuration. `warning`: it takes it, and it is surely not meant. */
  readonly severity: 'error' | 'warning'
  /** Undefined when it is about no single route. */
  readonly route: string | undefined
  readonly message: string
  /** What to write instead. */
  readonly hint: string
}

export type OutputsByModule = Readonly<Record<string, readonly string[]>>

export interface LintOptions {
  /** Every output of a module, as far as known. Of modules left out, any output is taken to exist. */
  readonly outputs?: OutputsByModule
  /** Outputs whose messages are JSON arrays, which `$body` cannot read. */
  readonly arrayOutputs?: OutputsByModule
}

/** The desired properties and module names that routes are checked against. */
interface Deployment {
  readonly hub: JsonObject
  /** Undefined when the manifest names none, as a layered deployment may: then no route is held against them. */
  readonly modules: readonly string[] | undefined
}

/**
 * Checks the routes of a deployment manifest, a template or an expanded one: errors as edgeHub gives them when it
 * takes the configuration, and warnings for what it takes but does not do as it looks.
 */
export function lintRoutes(manifest: unknown, options: LintOptions = {}): Finding[] {
  const deployment = readDeployment(manifest)
  if (deployment === undefined) {
    const message = 'the manifest has no $edgeHub with desired properties'
    return [{ severity: 'error', route: undefined, message, hint: 'write them under modulesContent/$edgeHub' }]
  }
  const { routes, timeToLiveSecs, problems } = readRoutes(deployment.hub)
  const errors = problems.map(
    ({ statement, hint, route }): Finding => ({ severity: 'error', route, message: statement, hint }),
  )
  return [
    ...errors,
    ...(timeToLiveSecs === 0 && problems.length === 0 ? [expiresAtOnce] : []),
    ...routes.flatMap((route) => lintRoute(route, deployment.modules, options)),
    ...unreadOutputs(routes, deployment.modules ?? [], options.outputs ?? {}),
  ]
}

const expiresAtOnce: Finding = {
  severity: 'warning',
  route: undefined,
  message: 'storeAndForwardConfiguration/timeToLiveSecs is 0, so that messages expire at once',
  hint: 'write seconds, such as 7200, or a negative number to keep messages until they are delivered',
}

/** Also takes the older `moduleContent`, a `content` around it, and the dotted keys of layered deployments. */
function readDeployment(manifest: unknown): Deployment | undefined {
  const root = asObject(asObject(manifest)?.['content']) ?? asObject(manifest)
  const content = asObject(root?.['modulesContent']) ?? asObject(root?.['moduleContent'])
  const hub = desiredOf(asObject(content?.['$edgeHub']))
  if (hub === undefined) return undefined
  const agent = desiredOf(asObject(content?.['$edgeAgent']))
  const modules = asObject(agent?.['modules'])
  return { hub, modules: modules === undefined ? undefined : Object.keys(modules) }
}

function desiredOf(section: JsonObject | undefined): JsonObject | undefined {
  const base = asObject(section?.['properties.desired']) ?? asObject(asObject(section?.['properties'])?.['desired'])
  const layered = Object.entries(section ?? {}).filter(([key]) => /^properties\.desired\.[^.]+\.[^.]+$/.test(key))
  if (layered.length === 0) return base
  let desired: JsonObject = base ?? {}
  for (const [key, value] of layered) {
    const [, , part = '', name = ''] = key.split('.')
    desired = { ...desired, [part]: { ...asObject(desired[part]), [name]: value } }
  }
  return desired
}

function lintRoute(route: NamedRoute, modules: readonly string[] | undefined, options: LintOptions): Finding[] {
  const warn = (message: string, hint: string): Finding => ({ severity: 'warning', route: route.name, message, hint })
  const { text, trailing, condition } = route
  return [
    ...(trailing === undefined
      ? []
      : [warn(`edgeHub does not read '${text.slice(trailing.offset)}' after the sink`, 'remove it')]),
    ...remarkOnCondition(condition, text).map(({ message, hint }) => warn(message, hint)),
    ...lintPaths(route, warn),
    ...(modules === undefined ? [] : lintSource(route, modules, options.outputs ?? {}, warn)),
    ...(modules === undefined ? [] : lintSink(route, modules, warn)),
    ...lintArrays(route, options.arrayOutputs ?? {}, warn),
  ]
}

type Warn = (message: string, hint: string) => Finding

function lintPaths({ source, sink, endpointPath }: NamedRoute, warn: Warn): Finding[] {
  const findings: Finding[] = []
  if (/\*./.test(source)) {
    const message = `the star inside '${source}' stands for itself: only stars at the end are wildcards`
    findings.push(warn(message, 'name the segment'))
  }
  if (sink.kind === 'module' && !/^\/?modules\/[^/]+\/inputs\/[^/]+\/?$/i.test(endpointPath?.trim() ?? '')) {
    const message = `edgeHub takes '${endpointPath}' for input '${sink.input}' of module '${sink.moduleId}'`
    findings.push(warn(message, `write "/modules/${sink.moduleId}/inputs/${sink.input}"`))
  }
  return findings
}

function lintSource(route: NamedRoute, modules: readonly string[], outputs: OutputsByModule, warn: Warn): Finding[] {
  const { source } = route
  if (/\*./.test(source) || isFed(route, modules, outputs)) return []
  const [, moduleId, output] = /^\/messages\/modules\/([^/*]+)(?:\/outputs\/([^/*]+))?/i.exec(source) ?? []
  if (moduleId === undefined) {
    const hint = 'write /messages/*, /messages/modules/<module>/outputs/<output> or /twinChangeNotifications'
    return [warn(`nothing sends to '${source}'`, hint)]
  }
  const known = modules.find((name) => foldCase(name) === foldCase(moduleId))
  if (known === undefined) {
    return [warn(`module '${moduleId}' is not in the manifest: nothing feeds this route`, suggest(moduleId, modules))]
  }
  const message = `module '${known}' has no output '${output ?? ''}': nothing feeds this route`
  return [warn(message, suggest(output ?? '', outputs[known] ?? []))]
}

/** Leaf devices and twin changes feed any route that takes them. */
function isFed({ sourcePrefix }: NamedRoute, modules: readonly string[], outputs: OutputsByModule): boolean {
  const sources: MessageSource[] = [{ kind: 'device' }, { kind: 'twinChange', moduleId: '$edgeHub' }]
  for (const moduleId of modules) {
    sources.push({ kind: 'module', moduleId })
    for (const output of outputs[moduleId] ?? []) sources.push({ kind: 'module', moduleId, output })
    const anyOutput = foldCase(`${sourcePath({ kind: 'module', moduleId })}/outputs/`)
    if (outputs[moduleId] === undefined && sourcePrefix.startsWith(anyOutput)) return true
  }
  return sources.some((source) => foldedSourcePath(source).startsWith(sourcePrefix))
}

/** Names in sinks, unlike those in sources, must match in case. */
function lintSink({ sink }: NamedRoute, modules: readonly string[], warn: Warn): Finding[] {
  if (sink.kind === 'upstream' || modules.includes(sink.moduleId)) return []
  const message = `module '${sink.moduleId}' is not in the manifest: its messages wait until they expire`
  return [warn(message, suggest(sink.moduleId, modules))]
}

function lintArrays(route: NamedRoute, arrayOutputs: OutputsByModule, warn: Warn): Finding[] {
  if (!readsBody(route.condition)) return []
  return modulesAndOutputs(arrayOutputs)
    .filter(({ moduleId, output }) => takes(route, moduleId, output))
    .map(({ moduleId, output }) =>
      warn(
        `$body cannot read what '${moduleId}' sends on '${output}': its messages are arrays, so no condition on $body is true for them`,
        'test application properties instead',
      ),
    )
}

function unreadOutputs(routes: readonly NamedRoute[], modules: readonly string[], outputs: OutputsByModule): Finding[] {
  return modulesAndOutputs(outputs)
    .filter(({ moduleId }) => modules.includes(moduleId))
    .filter(({ moduleId, output }) => !routes.some((route) => takes(route, moduleId, output)))
    .map(({ moduleId, output }) => ({
      severity: 'warning',
      route: undefined,
      message: `no route reads output '${output}' of module '${moduleId}': its messages are dropped`,
      hint: `write FROM ${sourcePath({ kind: 'module', moduleId, output })} INTO …`,
    }))
}

function takes({ sourcePrefix }: NamedRoute, moduleId: string, output: string): boolean {
  return foldedSourcePath({ kind: 'module', moduleId, output }).startsWith(sourcePrefix)
}

function modulesAndOutputs(outputs: OutputsByModule): { readonly moduleId: string; readonly output: string }[] {
  return Object.entries(outputs).flatMap(([moduleId, names]) => names.map((output) => ({ moduleId, output })))
}

function suggest(name: string, candidates: readonly string[]): string {
  const close = nearest(name, candidates)
  if (close !== undefined) return `did you mean '${close}'?`
  return candidates.length === 0 ? 'deploy it, or remove the route' : `known are ${candidates.join(', ')}`
}
