// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the placeholders of templates are what is tested
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { mergePatch } from '@weir/lib/json'
import { checkReported } from '@weir/lib/twin-limits'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { readDeployment } from './deployment.ts'
import { expandVariables, imageReference } from './expand.ts'
import { loadDeployment } from './load.ts'
import { overlayTwin, readTwinOverlay } from './overlay.ts'

const root = resolve(import.meta.dirname, '../../..')

function manifest(module: object, more: Record<string, unknown> = {}) {
  return JSON.parse(
    JSON.stringify({
      modulesContent: {
        $edgeAgent: {
          'properties.desired': { schemaVersion: '1.1', modules: { reader: { settings: { image: 'i' }, ...module } } },
        },
        $edgeHub: { 'properties.desired': { schemaVersion: '1.1', routes: { all: 'FROM /* INTO $upstream' } } },
        reader: { 'properties.desired': { pollMs: 5 } },
        ...more,
      },
    }),
  )
}

describe('the manifests of this repository', () => {
  test.each(['deployment.template.json', 'deployment.debug.template.json'])(
    '%s names a source folder for every module',
    (file) => {
      const deployment = loadDeployment(join(root, file), {})
      expect(deployment.modules.length).toBeGreaterThan(3)
      expect(deployment.warnings).toEqual([])
      expect(checkReported(deployment.edgeAgentDesired, {})).toBeUndefined()
      expect(checkReported(deployment.edgeHubDesired, {})).toBeUndefined()
      for (const { name } of deployment.modules) expect(deployment.folders.get(name)).toBe(join(root, 'modules', name))
      expect(Object.keys(deployment.systemModules)).toEqual(['edgeAgent', 'edgeHub'])
      expect(deployment.edgeHubDesired['routes']).toBeTypeOf('object')
    },
  )
})

describe('reading a deployment', () => {
  test('fills in what edgeAgent defaults', () => {
    const [module] = readDeployment(manifest({}), 'm.json').modules
    expect(module).toMatchObject({
      name: 'reader',
      status: 'running',
      restartPolicy: 'always',
      startupOrder: 4_294_967_295,
      env: {},
      createOptionsEnv: {},
      desired: { pollMs: 5 },
    })
  })

  test('takes env as texts and lets create options add theirs', () => {
    const [module] = readDeployment(
      manifest({
        env: { RuntimeLogLevel: { value: 'debug' }, COUNT: { value: 3 } },
        settings: { image: 'i', createOptions: { Env: ['A=1=2', 'B='] } },
      }),
      'm.json',
    ).modules
    expect(module?.env).toEqual({ RuntimeLogLevel: 'debug', COUNT: '3' })
    expect(module?.createOptionsEnv).toEqual({ A: '1=2', B: '' })
  })

  test('joins create options that were stringified and split', () => {
    const text = JSON.stringify({ Env: [`LONG=${'x'.repeat(1200)}`], HostConfig: { Memory: 1 } })
    const parts: Record<string, string> = {}
    for (let part = 0; part * 512 < text.length; part++) {
      parts[part === 0 ? 'createOptions' : `createOptions0${part}`] = text.slice(part * 512, part * 512 + 512)
    }
    expect(Object.keys(parts)).toHaveLength(3)
    const [module] = readDeployment(manifest({ settings: { image: 'i', ...parts } }), 'm.json').modules
    expect(module?.createOptionsEnv['LONG']).toHaveLength(1200)
    expect(module?.createOptions['HostConfig']).toEqual({ Memory: 1 })
  })

  test('gives edgeAgent create options as text, in parts that make the whole again', () => {
    const options = { Labels: { 'a.b': 'x'.repeat(1200) } }
    const { edgeAgentDesired } = readDeployment(
      manifest({ settings: { image: 'i', createOptions: options } }),
      'm.json',
    )
    expect(checkReported(edgeAgentDesired, {})).toBeUndefined()
    const again = manifest({})
    again.modulesContent.$edgeAgent['properties.desired'] = edgeAgentDesired
    expect(readDeployment(again, 'm.json').modules[0]?.createOptions).toEqual(options)
  })

  test('takes the older moduleContent, and content around either', () => {
    const { modulesContent } = manifest({})
    for (const form of [{ moduleContent: modulesContent }, { content: { modulesContent } }]) {
      expect(readDeployment(form, 'm.json').modules).toHaveLength(1)
    }
  })

  test('lays the dotted keys of a layered deployment into the properties', () => {
    const layered = manifest({})
    layered.modulesContent.$edgeHub['properties.desired.routes.more'] = 'FROM /messages/* INTO $upstream'
    expect(readDeployment(layered, 'm.json').edgeHubDesired['routes']).toEqual({
      all: 'FROM /* INTO $upstream',
      more: 'FROM /messages/* INTO $upstream',
    })
  })

  test('warns of properties for a module that is not deployed', () => {
    const { warnings } = readDeployment(manifest({}, { ghost: { 'properties.desired': {} } }), 'm.json')
    expect(warnings).toEqual(['m.json: ghost: has desired properties, but $edgeAgent deploys no module of that name'])
  })

  test.each([
    ['no object', 3, 'modulesContent: missing'],
    ['no agent', { modulesContent: {} }, '$edgeAgent: missing'],
    ['no hub', { modulesContent: { $edgeAgent: { 'properties.desired': {} } } }, '$edgeHub: missing'],
    ['a section that is no object', { modulesContent: { $edgeAgent: 3 } }, '$edgeAgent: expected an object'],
    [
      'another key in a section',
      manifest({}, { reader: { desired: {} } }),
      'reader/desired: expected properties.desired',
    ],
    [
      'an unknown restart policy',
      manifest({ restartPolicy: 'alwas' }),
      '$edgeAgent/properties.desired/modules/reader/restartPolicy: ',
    ],
    ['no image', manifest({ settings: {} }), '$edgeAgent/properties.desired/modules/reader/settings/image: '],
    [
      'create options that are no JSON',
      manifest({ settings: { image: 'i', createOptions: '{' } }),
      '$edgeAgent/properties.desired/modules/reader/settings/createOptions: is no JSON',
    ],
    [
      'an environment that is no list',
      manifest({ settings: { image: 'i', createOptions: { Env: { A: 1 } } } }),
      'createOptions/Env: expected a list of NAME=value',
    ],
  ])('refuses %s with its path', (_what, value, message) => {
    expect(() => readDeployment(value, 'm.json')).toThrow(
      expect.objectContaining({ code: 'CONFIG_REFUSED', message: expect.stringContaining(message) }),
    )
    expect(() => readDeployment(value, 'm.json')).toThrow(/^deployment m\.json: /)
  })
})

describe('expanding a template', () => {
  test('replaces what is set and leaves the rest as it stands', () => {
    const value = { a: '$SERVER/${NAME}:1', b: ['${MISSING}', '$$SERVER'], $SERVER: 1, c: 'FROM /* INTO $upstream' }
    expect(expandVariables(value, { SERVER: 'reg', NAME: 'n"\n' })).toEqual({
      a: 'reg/n"\n:1',
      b: ['${MISSING}', '$reg'],
      $SERVER: 1,
      c: 'FROM /* INTO $upstream',
    })
  })

  test('a variable named like a member of Object is unset unless it is set', () => {
    expect(expandVariables('$constructor ${toString}', {})).toBe('$constructor ${toString}')
  })

  test.each([
    ['${MODULES.aggregator}', { kind: 'module', folder: 'aggregator', debug: false }],
    ['${MODULES.aggregator.debug}', { kind: 'module', folder: 'aggregator', debug: true }],
    ['${MODULES.aggregator.amd64.debug}', { kind: 'module', folder: 'aggregator', debug: true }],
    ['${MODULES.my.filter.arm32v7}', { kind: 'module', folder: 'my.filter', debug: false }],
    ['${MODULEDIR<../shared/filter>.amd64}', { kind: 'path', path: '../shared/filter', debug: false }],
    ['mcr.microsoft.com/x:1', { kind: 'image', image: 'mcr.microsoft.com/x:1' }],
  ])('%s', (image, expected) => {
    expect(imageReference(image)).toEqual(expected)
  })
})

describe('loading a file', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'weir-manifest-'))
    mkdirSync(join(folder, 'modules', 'reader'), { recursive: true })
    writeFileSync(
      join(folder, 'modules', 'reader', 'module.json'),
      JSON.stringify({ image: { repository: '${CONTAINER_REGISTRY_SERVER}/weir-reader' } }),
    )
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  function write(name: string, value: unknown): string {
    const file = join(folder, name)
    writeFileSync(file, typeof value === 'string' ? value : JSON.stringify(value))
    return file
  }

  test('variables come from the environment, then from .env beside the file', () => {
    write('.env', 'LEVEL=debug\nTAG="1.2"\n')
    const file = write(
      'deployment.template.json',
      manifest({
        version: '$TAG',
        env: { RuntimeLogLevel: { value: '${LEVEL}' } },
        settings: { image: '${MODULES.reader}' },
      }),
    )
    const { modules, folders } = loadDeployment(file, { LEVEL: 'info' })
    expect(modules[0]).toMatchObject({ version: '1.2', env: { RuntimeLogLevel: 'info' } })
    expect(folders.get('reader')).toBe(join(folder, 'modules', 'reader'))
  })

  test('an expanded manifest is taken as it stands, its folder found by the repository of the image', () => {
    const file = write(
      'deployment.amd64.json',
      manifest({ version: '$LEVEL', settings: { image: 'registry:5000/plant/weir-reader:0.1.0-amd64' } }),
    )
    const { modules, folders } = loadDeployment(file, { LEVEL: 'info' })
    expect(modules[0]?.version).toBe('$LEVEL')
    expect(folders.get('reader')).toBe(join(folder, 'modules', 'reader'))
  })

  test("an image of somebody else's has no folder", () => {
    const { folders } = loadDeployment(write('d.json', manifest({ settings: { image: 'nginx:1' } })), {})
    expect(folders.size).toBe(0)
  })

  test.each([
    ['a missing file', () => join(folder, 'none.json'), /none\.json: cannot be read/],
    ['a file that is no JSON', () => write('d.json', '{'), /d\.json: is no JSON/],
    [
      'a module folder that is missing',
      () => write('d.template.json', manifest({ settings: { image: '${MODULES.typo}' } })),
      /modules\/reader\/settings\/image: \$\{MODULES\.typo\} names .*typo, which does not exist/,
    ],
  ])('refuses %s', (_what, file, message) => {
    expect(() => loadDeployment(file(), {})).toThrow(message)
  })

  test('--twin MODULE=FILE.json lays desired properties over those of the manifest', () => {
    const file = write('twin.json', { pollMs: null, devices: { a: { x: 1 } } })
    const overlay = readTwinOverlay('reader', file)
    const deployment = readDeployment(manifest({}), 'm.json')
    expect(overlayTwin(deployment, overlay).modules[0]?.desired).toEqual(mergePatch({ pollMs: 5 }, overlay.desired))
    expect(overlayTwin(deployment, { module: '$edgeHub', desired: { routes: { all: null } } }).edgeHubDesired).toEqual({
      schemaVersion: '1.1',
      routes: {},
    })
    expect(() => overlayTwin(deployment, { module: 'raeder', desired: {} })).toThrow(
      /m\.json deploys no such module; it has reader/,
    )
    expect(() => readTwinOverlay('reader', write('list.json', []))).toThrow(/expected an object of desired properties/)
  })
})
