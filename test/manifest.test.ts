import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { ConfigDeclaration } from '@weir/lib/config'
import { parseConfig } from '@weir/lib/config-parse'
import { isJsonObject, type JsonValue } from '@weir/lib/json'
import { twinSectionBytesMax } from '@weir/lib/limits'
import { loadDeployment } from '@weir/simulator/manifest/load'
import { describe, expect, it } from 'vitest'

const root = resolve(import.meta.dirname, '..')
const template = join(root, 'deployment.template.json')

function readJson(file: string): JsonValue {
  return JSON.parse(readFileSync(join(root, file), 'utf8')) as JsonValue
}

/** Paths at which two JSON values differ, a path that only one side has included. */
function differences(left: JsonValue | undefined, right: JsonValue | undefined, path = ''): string[] {
  if (!isJsonObject(left) || !isJsonObject(right)) return JSON.stringify(left) === JSON.stringify(right) ? [] : [path]
  const keys = new Set([...Object.keys(left), ...Object.keys(right)])
  return [...keys].flatMap((key) => differences(left[key], right[key], path === '' ? key : `${path}/${key}`))
}

describe('deployment template', () => {
  it('differs from the debug template only in images, inspector ports and log level', () => {
    const allowed = [
      /^modulesContent\/\$edgeAgent\/properties\.desired\/modules\/[a-z-]+\/settings\/image$/,
      /^modulesContent\/\$edgeAgent\/properties\.desired\/modules\/[a-z-]+\/settings\/createOptions\/ExposedPorts$/,
      /^modulesContent\/\$edgeAgent\/properties\.desired\/modules\/[a-z-]+\/settings\/createOptions\/HostConfig\/PortBindings$/,
      /^modulesContent\/\$edgeAgent\/properties\.desired\/modules\/[a-z-]+\/env\/RuntimeLogLevel\/value$/,
    ]
    const paths = differences(readJson('deployment.template.json'), readJson('deployment.debug.template.json'))
    expect(paths.filter((path) => !allowed.some((pattern) => pattern.test(path)))).toEqual([])
    const modules = loadDeployment(template, {}).modules
    for (const pattern of allowed) {
      expect(paths.filter((path) => pattern.test(path))).toHaveLength(modules.length)
    }
  })

  it('deploys every module of this repository', () => {
    const names = loadDeployment(template, {}).modules.map((module) => module.name)
    expect(names.sort()).toEqual(
      readdirSync(join(root, 'modules'), { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map((entry) => entry.name),
    )
  })

  it('gives every module a configuration that it takes, within the size of a twin', async () => {
    for (const { name, desired } of loadDeployment(template, {}).modules) {
      const exported = (await import(pathToFileURL(join(root, 'modules', name, 'src', 'config.ts')).href)) as object
      const declaration = Object.values(exported).find(
        (value): value is ConfigDeclaration<unknown> => isJsonObject(value) && 'schema' in value && 'sample' in value,
      )
      expect(declaration, name).toBeDefined()
      if (declaration === undefined) continue
      expect(parseConfig(declaration, desired), name).toHaveProperty('config')
      expect(parseConfig(declaration, declaration.sample), `${name}, sample`).toHaveProperty('config')
      expect(Buffer.byteLength(JSON.stringify(desired)), name).toBeLessThan(twinSectionBytesMax)
    }
  })

  it('sends alerts first and for ever, and windows behind them for seven days', () => {
    const { edgeHubDesired } = loadDeployment(template, {})
    expect(edgeHubDesired).toMatchObject({
      routes: {
        alertsUpstream: { priority: 0, timeToLiveSecs: 4294967295 },
        aggregatesUpstream: { timeToLiveSecs: 7 * 86_400 },
      },
    })
  })
})
