import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { LoadedDeployment } from '../manifest/load.ts'
import { loadDeployment } from '../manifest/load.ts'
import { type ModuleSurroundings, moduleProcesses } from './module-processes.ts'
import { manifestDefault } from './preparation.ts'

let stateFolder = ''
beforeAll(() => {
  stateFolder = mkdtempSync(join(tmpdir(), 'weir-processes-'))
})
afterAll(() => rmSync(stateFolder, { recursive: true, force: true }))

function around(over: Partial<ModuleSurroundings> = {}): ModuleSurroundings {
  return {
    workloadUri: 'unix:///run/workload.sock',
    mqttPort: 8883,
    stateFolder,
    socketFolder: '/run',
    bundles: false,
    generationId: (module) => `generation of ${module}`,
    ...over,
  }
}

function deployment(over: Partial<LoadedDeployment['modules'][number]> = {}): LoadedDeployment {
  const loaded = loadDeployment(manifestDefault, {})
  const modules = loaded.modules.filter(({ name }) => name === 'aggregator').map((module) => ({ ...module, ...over }))
  return { ...loaded, modules }
}

function only(of: LoadedDeployment, surroundings = around()) {
  const [first] = moduleProcesses(of, surroundings)
  if (first === undefined) throw new Error('no module')
  return first
}

describe('a module', () => {
  test('has the environment that edgeAgent gives, and folders of its own', () => {
    const environment = only(deployment()).environment()
    expect(environment).toMatchObject({
      IOTEDGE_WORKLOADURI: 'unix:///run/workload.sock',
      IOTEDGE_DEVICEID: 'edge-1',
      IOTEDGE_MODULEID: 'aggregator',
      IOTEDGE_AUTHSCHEME: 'sasToken',
      IOTEDGE_MODULEGENERATIONID: 'generation of aggregator',
      IOTEDGE_GATEWAYHOSTNAME: 'localhost',
      RuntimeLogLevel: 'info',
      WEIR_METRICS_PORT: '0',
    })
    expect(statSync(environment['WEIR_STATE_FOLDER'] ?? '').isDirectory()).toBe(true)
  })

  test('finds the edge hub on another port by the name of the gateway', () => {
    expect(only(deployment(), around({ mqttPort: 8884 })).environment()['IOTEDGE_GATEWAYHOSTNAME']).toBe(
      'localhost:8884',
    )
  })

  test("takes the manifest's variables over the container's, and neither over where its state lies", () => {
    const environment = only(
      deployment({
        createOptionsEnv: { A: 'container', B: 'container', WEIR_STATE_FOLDER: '/elsewhere' },
        env: { B: 'manifest', RuntimeLogLevel: 'debug' },
      }),
    ).environment()
    expect(environment).toMatchObject({ A: 'container', B: 'manifest', RuntimeLogLevel: 'debug' })
    expect(environment['WEIR_STATE_FOLDER']).toBe(join(stateFolder, 'modules', 'aggregator'))
  })

  test('gets nothing of the environment that the simulator was started in', () => {
    process.env['WEIR_TEST_SECRET'] = 'x'
    try {
      expect(only(deployment()).environment()).not.toHaveProperty('WEIR_TEST_SECRET')
    } finally {
      delete process.env['WEIR_TEST_SECRET']
    }
  })

  test('runs from its sources, or from its bundle where that is asked for and made', () => {
    expect(only(deployment()).nodeArguments.at(-1)).toMatch(/modules\/aggregator\/src\/main\.ts$/)
    const folders = new Map([['aggregator', join(stateFolder, 'not-bundled')]])
    expect(() => moduleProcesses({ ...deployment(), folders }, around({ bundles: true }))).toThrow('npm run bundle')
  })

  test('that is an image only is refused, unless it is not to run', () => {
    const image = { ...deployment(), folders: new Map<string, string>() }
    expect(() => moduleProcesses(image, around())).toThrow('names none of the folders under modules/')
    const stopped = { ...deployment({ status: 'stopped' }), folders: new Map<string, string>() }
    expect(only(stopped).status).toBe('stopped')
  })
})
