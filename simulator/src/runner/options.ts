import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { WeirError } from '@weir/lib/errors'
import { nearest } from '@weir/lib/nearest'
import { type Tier, tierNames } from '../cloud/limits.ts'
import { edgeAgentLimits } from './restart-policy.ts'

export const seedDefault = 1
const secondsMax = 31_536_000

export interface RunOptions {
  /** Seconds from the start of the modules to the end of the run; undefined: until stopped. */
  readonly durationS: number | undefined
  readonly reportFile: string | undefined
  readonly upstreamFolder: string | undefined
  /** Undefined: the project's own deployment.template.json. */
  readonly manifestFile: string | undefined
  /** Files with desired properties to lay over the manifest's, by module, in the order given. */
  readonly twinFiles: readonly { readonly module: string; readonly file: string }[]
  /** `none`, `default`, or a CSV file. */
  readonly plant: string
  readonly replaySpeed: number
  readonly seed: number
  /** Undefined: `.state` at the project's root, emptied at start. */
  readonly stateFolder: string | undefined
  /** MQTT port of the edge hub; 0 takes a free one. */
  readonly port: number
  /** Run dist/modules/<name>/main.mjs instead of the sources. */
  readonly bundles: boolean
  /** The edge hub loses its upstream this long after the start of the modules; undefined: never. */
  readonly offlineAtS: number | undefined
  /** undefined: to the end of the run. */
  readonly offlineForS: number | undefined
  /** A schedule of faults. */
  readonly faultsFile: string | undefined
  /** Limits of the hub; undefined: none. */
  readonly hubTier: Tier | undefined
  readonly hubUnits: number
  /** First pause before a module that died is started again; it doubles with each death. */
  readonly coolOffS: number
}

export type ParsedOptions = { readonly help: true } | { readonly help: false; readonly options: RunOptions }

interface Declaration {
  readonly value: string | undefined
  readonly summary: string
}

const declarations: Readonly<Record<string, Declaration>> = {
  duration: {
    value: 'SECONDS',
    summary: 'run this long, print a summary, exit 0, or 1 where a module died or a row was lost',
  },
  report: { value: 'FILE.json', summary: 'write the figures of the run when it ends' },
  'upstream-out': { value: 'FOLDER', summary: 'write what the hub got, as JSON lines' },
  manifest: { value: 'FILE', summary: 'deployment manifest; default deployment.template.json' },
  twin: { value: 'MODULE=FILE.json', summary: "lay desired properties over the manifest's; may be given again" },
  plant: { value: 'none|default|FILE.csv', summary: 'read real devices, the simulated plant, or a recording' },
  'replay-speed': { value: 'X', summary: 'play a recording X times as fast; default 1' },
  seed: { value: 'N', summary: `seed of the simulated plant and of every random fault; default ${seedDefault}` },
  state: { value: 'FOLDER', summary: 'keep the state here between runs; default .state, emptied at start' },
  port: { value: 'PORT', summary: 'MQTT port of the edge hub, 0 for any free one; default 8883' },
  bundles: { value: undefined, summary: 'run the bundles under dist/ (npm run bundle) instead of the sources' },
  'offline-at': { value: 'SECONDS', summary: 'cut the edge hub off from the hub, this long after the start' },
  'offline-for': { value: 'SECONDS', summary: 'and for how long; default: to the end' },
  faults: {
    value: 'FILE.json',
    summary: 'faults on schedule: [{"atS": 20, "fault": {"place": "hub", "action": "kill"}}, …]',
  },
  'hub-tier': { value: `${tierNames.join('|')}|off`, summary: 'limits of an IoT Hub of that tier; default off' },
  'hub-units': { value: 'N', summary: 'units of that hub; default 1' },
  'cool-off': {
    value: 'SECONDS',
    summary: `pause before a module that died starts again, doubling; default ${edgeAgentLimits.coolOffMs / 1000}, as edgeAgent`,
  },
  help: { value: undefined, summary: 'show this' },
}

export const usage = [
  'npm start -- [option …]    a simulated plant, the edge runtime, every module of the manifest, and a hub',
  '',
  ...Object.entries(declarations).map(
    ([name, { value, summary }]) => `  ${`--${name}${value === undefined ? '' : ` ${value}`}`.padEnd(32)}${summary}`,
  ),
].join('\n')

function refuse(problem: string): WeirError {
  return new WeirError('CONFIG_REFUSED', `${problem}; --help lists the options`)
}

function number(name: string, text: string | undefined, min: number, max: number, whole: boolean): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  const fits = text.trim() !== '' && value >= min && value <= max && (!whole || Number.isInteger(value))
  if (!fits) throw refuse(`--${name} ${text}: expected a${whole ? ' whole' : ''} number from ${min} to ${max}`)
  return value
}

function twinFile(text: string): { module: string; file: string } {
  const [, module, file] = /^([^=]+)=(.+)$/.exec(text) ?? []
  if (module === undefined || file === undefined) throw refuse(`--twin ${text}: expected MODULE=FILE.json`)
  return { module, file: resolve(file) }
}

function plantOf(text: string | undefined): string {
  if (text === undefined || text === 'none' || text === 'default') return text ?? 'default'
  if (/\.(csv|tsv|txt)$/i.test(text)) return resolve(text)
  throw refuse(`--plant ${text}: expected none, default or a .csv file`)
}

function tierOf(text: string | undefined): Tier | undefined {
  if (text === undefined || text === 'off') return undefined
  const tier = tierNames.find((name) => name === text.toUpperCase())
  if (tier === undefined) throw refuse(`--hub-tier ${text}: expected ${tierNames.join(', ')} or off`)
  return tier
}

/** The values given for each option, in order. Flags have the value ''. */
function valuesByName(args: readonly string[]): Map<string, string[]> {
  const config = Object.fromEntries(
    Object.entries(declarations).map(([name, { value }]) => [
      name,
      { type: value === undefined ? ('boolean' as const) : ('string' as const) },
    ]),
  )
  const { tokens } = parseArgs({
    args: [...args],
    options: config,
    strict: false,
    allowPositionals: true,
    tokens: true,
  })
  const values = new Map<string, string[]>()
  for (const token of tokens) {
    if (token.kind === 'positional') throw refuse(`${token.value}: options only are expected`)
    if (token.kind !== 'option') continue
    const declaration = Object.hasOwn(declarations, token.name) ? declarations[token.name] : undefined
    if (declaration === undefined) {
      const meant = nearest(token.name, Object.keys(declarations))
      throw refuse(`${token.rawName}: unknown option${meant === undefined ? '' : ` (did you mean --${meant}?)`}`)
    }
    const missing = token.value === undefined || (!token.inlineValue && token.value.startsWith('--'))
    if (declaration.value !== undefined && missing) throw refuse(`--${token.name}: expects ${declaration.value}`)
    if (declaration.value === undefined && token.value !== undefined) throw refuse(`--${token.name}: takes no value`)
    values.set(token.name, [...(values.get(token.name) ?? []), token.value ?? ''])
  }
  return values
}

/** Parses the command line. Throws CONFIG_REFUSED naming the option, its value and what is expected. */
export function parseOptions(args: readonly string[]): ParsedOptions {
  const values = valuesByName(args)
  if (values.has('help')) return { help: true }
  const last = (name: string): string | undefined => values.get(name)?.at(-1)
  const path = (name: string): string | undefined => {
    const text = last(name)
    if (text === '') throw refuse(`--${name}: expects ${declarations[name]?.value}`)
    return text === undefined ? undefined : resolve(text)
  }
  const offlineAtS = number('offline-at', last('offline-at'), 0, secondsMax, false)
  const offlineForS = number('offline-for', last('offline-for'), 0, secondsMax, false)
  if (offlineForS !== undefined && offlineAtS === undefined) {
    throw refuse(`--offline-for ${offlineForS}: expected --offline-at with it`)
  }
  return {
    help: false,
    options: {
      durationS: number('duration', last('duration'), 1, secondsMax, false),
      reportFile: path('report'),
      upstreamFolder: path('upstream-out'),
      manifestFile: path('manifest'),
      twinFiles: (values.get('twin') ?? []).map(twinFile),
      plant: plantOf(last('plant')),
      replaySpeed: number('replay-speed', last('replay-speed'), 0.001, 1_000_000, false) ?? 1,
      seed: number('seed', last('seed'), 0, 2 ** 31 - 1, true) ?? seedDefault,
      stateFolder: path('state'),
      port: number('port', last('port'), 0, 65_535, true) ?? 8883,
      bundles: values.has('bundles'),
      offlineAtS,
      offlineForS,
      faultsFile: path('faults'),
      hubTier: tierOf(last('hub-tier')),
      hubUnits: number('hub-units', last('hub-units'), 1, 200, true) ?? 1,
      coolOffS: number('cool-off', last('cool-off'), 0, secondsMax, false) ?? edgeAgentLimits.coolOffMs / 1000,
    },
  }
}
