/** A module's process under lib's host, on the real device SDK against the simulator's edge hub. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { systemClock } from '@weir/lib/clock'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { EdgeHub } from '../simulator/src/edge-hub/hub.ts'
import { RawClient } from '../simulator/src/edge-hub/raw-client.ts'
import { deviceId, routes, TestDevice, TestLog, until, userName } from '../simulator/src/edge-hub/testing.ts'

const program = join(import.meta.dirname, 'programs', 'echo-module.ts')

let device: TestDevice
let edgeHub: EdgeHub
let reader: RawClient
let upstream: Set<string>

beforeEach(async () => {
  device = await TestDevice.start(
    ['reader', 'echo'],
    routes({
      toEcho: 'FROM /messages/modules/reader/outputs/out INTO BrokeredEndpoint("/modules/echo/inputs/in")',
      up: 'FROM /messages/modules/echo/outputs/up INTO $upstream',
    }),
  )
  edgeHub = await EdgeHub.start(device.settings, systemClock, new TestLog())
  upstream = new Set()
  device.cloud.onMessage((message) => upstream.add(message.systemProperties['messageId'] ?? ''))
  const { client } = await RawClient.connect({
    port: edgeHub.ports.mqttPort,
    ca: device.trustBundle,
    clientId: `${deviceId}/reader`,
    userName: userName('reader'),
    password: device.token('reader'),
  })
  reader = client
})
afterEach(async () => {
  reader.close()
  await edgeHub.stop()
  await device.stop()
})

function startEcho(): ChildProcess {
  return spawn(process.execPath, ['--import', 'tsx', program], {
    env: {
      ...process.env,
      ...device.environment('echo', edgeHub.ports.mqttPort),
      WEIR_STATE_FOLDER: join(device.folder, 'echo'),
      WEIR_METRICS_PORT: 'off',
      WEIR_COMMAND_SOCKET: join(device.folder, 'echo.sock'),
    },
    stdio: 'ignore',
  })
}

function publish(messageId: string): void {
  const topic = `devices/${deviceId}/modules/reader/messages/events/%24.on=out&%24.mid=${messageId}/`
  reader.publish(topic, Buffer.from('{}'), () => {})
}

describe("a module's process", () => {
  it('reports its configuration, works, and ends within 5 s of SIGTERM with 0', async () => {
    const echo = startEcho()
    await until(() => device.cloud.twin('echo')?.reported['config'], 20_000)
    expect(device.cloud.twin('echo')?.reported['config']).toMatchObject({ status: 'applied' })
    publish('m1')
    await until(() => upstream.has('m1'))
    const startMs = performance.now()
    echo.kill('SIGTERM')
    expect(await once(echo, 'exit')).toEqual([0, null])
    expect(performance.now() - startMs).toBeLessThan(5_000)
  })

  it('loses nothing that it acknowledged, killed again and again', async () => {
    const count = 900
    let echo = startEcho()
    await until(() => device.cloud.twin('echo')?.reported['config'], 20_000)
    for (let index = 0; index < count; index++) {
      publish(`m${index}`)
      if (index % 10 === 9) await new Promise((done) => setTimeout(done, 3))
      if (index % 200 === 199) {
        echo.kill('SIGKILL')
        await once(echo, 'exit')
        echo = startEcho()
        const before = upstream.size
        await until(() => upstream.size > before, 20_000)
      }
    }
    await until(() => upstream.size === count, 20_000)
    echo.kill('SIGTERM')
    expect(await once(echo, 'exit')).toEqual([0, null])
  })
})
