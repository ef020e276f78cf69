/** Messages per second in and out of the edge hub, with its store on disk. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { RawClient } from '@weir/simulator/edge-hub/raw-client'
import { deviceId, routes, TestDevice, until, userName } from '@weir/simulator/edge-hub/testing'
import type { FromEdgeHubControl } from '@weir/simulator/edge-hub-control'
import { nodeFlags } from '@weir/simulator/runner/module-processes'

const bundled = join(import.meta.dirname, '../dist/edge-hub/main.mjs')
const producers = ['reader-1', 'reader-2']
const consumers = ['sink-1', 'sink-2', 'sink-3', 'sink-4']
/** Messages that a producer leaves unacknowledged at most. */
const producerWindow = 200
const bodyBytes = 500

export interface EdgeHubBench {
  /** Taken and acknowledged, nothing going out; from two modules. */
  readonly inPerS: number
  /** Delivered from disk to four modules, each one message at a time; nothing coming in. */
  readonly outPerS: number
  /** Sent from disk to the cloud. */
  readonly upstreamPerS: number
  /** Taken and delivered at once: two modules send, four receive. */
  readonly throughPerS: number
  /** Peak resident memory of the edge hub, bytes. */
  readonly rssBytesMax: number
}

interface Hub {
  readonly process: ChildProcess
  readonly port: number
}

/** @param main The edge hub's program: its bundle, or its source. */
export async function benchEdgeHub(messages = 20_000, main = bundled): Promise<EdgeHubBench> {
  const toConsumers = consumers.map((module, index) => [
    module,
    `FROM /messages/modules/* WHERE to = '${index}' INTO BrokeredEndpoint("/modules/${module}/inputs/in")`,
  ])
  const device = await TestDevice.start(
    [...producers, ...consumers],
    routes({
      ...Object.fromEntries(toConsumers),
      up: "FROM /messages/modules/* WHERE to = 'up' INTO $upstream",
    }),
    { meterTelemetry: false },
  )
  const hub = await startHub(device, main)
  try {
    const clients = await Promise.all(producers.map((module) => connect(device, hub, module)))
    const inPerS = await rate(messages, () => produce(clients, messages, (index) => String(index % consumers.length)))
    let received = 0
    const start = performance.now()
    await Promise.all(consumers.map((module) => consume(device, hub, module, () => received++)))
    await until(() => received >= messages, 120_000)
    const outPerS = perSecond(messages, start)
    const throughPerS = await rate(messages, async () => {
      await produce(clients, messages, (index) => String(index % consumers.length))
      await until(() => received >= 2 * messages, 120_000)
    })
    hub.process.send({ type: 'cutUpstream', cut: true })
    await produce(clients, messages, () => 'up')
    let arrived = 0
    device.cloud.onMessage(() => arrived++)
    hub.process.send({ type: 'cutUpstream', cut: false })
    const upstreamPerS = await rate(messages, () => until(() => arrived >= messages, 120_000))
    return { inPerS, outPerS, throughPerS, upstreamPerS, rssBytesMax: peakRssBytes(hub) }
  } finally {
    await stop(device, hub)
  }
}

async function startHub(device: TestDevice, main: string): Promise<Hub> {
  const child = fork(main, [], {
    execArgv: nodeFlags,
    env: { ...process.env, RuntimeLogLevel: 'error', WEIR_EDGE_HUB: JSON.stringify(device.settings) },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const [message] = (await once(child, 'message')) as [FromEdgeHubControl]
  if (message.type !== 'listening') throw new Error(`edge hub: ${JSON.stringify(message)}`)
  return { process: child, port: message.mqttPort }
}

async function stop(device: TestDevice, { process: child }: Hub): Promise<void> {
  const exited = once(child, 'exit')
  child.send({ type: 'stop' })
  await exited
  await device.stop()
}

async function connect(device: TestDevice, { port }: Hub, module: string): Promise<RawClient> {
  const { client, returnCode } = await RawClient.connect({
    port,
    ca: device.trustBundle,
    clientId: `${deviceId}/${module}`,
    userName: userName(module),
    password: device.token(module),
  })
  if (returnCode !== 0) throw new Error(`${module}: refused with ${returnCode}`)
  return client
}

async function consume(device: TestDevice, hub: Hub, module: string, received: () => void): Promise<void> {
  const client = await connect(device, hub, module)
  client.onMessage = received
  await client.subscribe(`devices/${deviceId}/modules/${module}/inputs/#`)
}

/** Publishes `messages` in all; resolves when the last is acknowledged. `to`: a property that the routes look at. */
async function produce(clients: readonly RawClient[], messages: number, to: (index: number) => string): Promise<void> {
  const body = Buffer.alloc(bodyBytes)
  const share = messages / clients.length
  await Promise.all(
    clients.map(async (client, producer) => {
      const events = `devices/${deviceId}/modules/${producers[producer]}/messages/events`
      let acknowledged = 0
      for (let index = 0; index < share; index++) {
        if (index - acknowledged >= producerWindow) await until(() => index - acknowledged < producerWindow / 2, 30_000)
        const topic = `${events}/%24.on=out&%24.mid=${index}&%24.ct=application%2Fjson&%24.ce=utf-8&to=${to(index)}/`
        client.publish(topic, body, () => acknowledged++)
      }
      await until(() => acknowledged >= share, 30_000)
    }),
  )
}

async function rate(messages: number, run: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await run()
  return perSecond(messages, start)
}

function perSecond(messages: number, startMs: number): number {
  return Math.round(messages / ((performance.now() - startMs) / 1000))
}

function peakRssBytes({ process: child }: Hub): number {
  const text = readFileSync(`/proc/${child.pid}/status`, 'utf8')
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(text)?.[1] ?? 0) * 1024
}
