/**
 * What happens when upstream comes back after a long cut: a queue of messages drains, and fresh alerts overtake it. The
 * edge hub runs from its bundle with its store on disk; the bench plays the module that sends the alerts.
 */
import { join } from 'node:path'
import { sleep, systemClock } from '@weir/lib/clock'
import type { CloudMessage } from '@weir/simulator/cloud/cloud-message'
import { Database } from '@weir/simulator/edge-hub/database'
import { GroupCommit } from '@weir/simulator/edge-hub/group-commit'
import { MessageStore } from '@weir/simulator/edge-hub/store'
import { deviceId } from '@weir/simulator/edge-hub/testing'
import { percentile } from '@weir/simulator/runner/report'
import { BenchDevice, edgeHubName, processFlags, rounded } from './edge-device.ts'

const bodyBytes = 500
const alertIntervalMs = 50
const messagesPerCommit = 1000
const rawPriority = 6
const queuedFrom = 'aggregator'

export interface DrainBench {
  readonly settings: Readonly<Record<string, number | string>>
  readonly drainS: number
  readonly messagesPerS: number
  /** Messages that arrived more than once. */
  readonly repeated: number
  /** From publishing an alert to its arrival at the hub stand-in, while the queue drains. */
  readonly alerts: number
  readonly alertMsP50: number
  readonly alertMsP99: number
  readonly alertMsMax: number
  readonly edgeHubRssMbMax: number
}

/** @param messages Queued when upstream comes back. */
export async function benchDrain(messages = 1_000_000): Promise<DrainBench> {
  const arrivals = new Arrivals(messages)
  const device = await BenchDevice.start({
    edgeHubDesired: {
      schemaVersion: '1.1',
      routes: {
        alerts: { route: 'FROM /messages/modules/alert-forwarder/outputs/alerts INTO $upstream', priority: 0 },
        raw: { route: `FROM /messages/modules/${queuedFrom}/outputs/raw INTO $upstream`, priority: rawPriority },
      },
      storeAndForwardConfiguration: { timeToLiveSecs: 604_800 },
    },
    played: [queuedFrom, 'alert-forwarder'],
    prepare({ cloud, settings }) {
      fill(settings.stateFolder, messages)
      cloud.onMessage((message) => arrivals.take(message))
    },
  })
  try {
    const forwarder = await device.device.connect('alert-forwarder', device.mqttPort)
    while (!arrivals.done) {
      const messageId = arrivals.expectAlert()
      const topic = `devices/${deviceId}/modules/alert-forwarder/messages/events/%24.on=alerts&%24.mid=${messageId}/`
      forwarder.publish(topic, Buffer.alloc(bodyBytes), () => {})
      await sleep(systemClock, alertIntervalMs)
    }
    const drainS = (arrivals.lastMs - arrivals.firstMs) / 1000
    const usage = await device.usage()
    const quantile = (share: number): number => rounded(percentile(arrivals.latenciesMs, share) ?? Number.NaN, 1)
    forwarder.close()
    return {
      settings: { messages, bodyBytes, alertIntervalMs, priorityOfMessages: rawPriority, nodeFlags: processFlags() },
      drainS: rounded(drainS, 1),
      messagesPerS: rounded(messages / drainS),
      repeated: arrivals.repeated,
      alerts: arrivals.latenciesMs.length,
      alertMsP50: quantile(0.5),
      alertMsP99: quantile(0.99),
      alertMsMax: quantile(1),
      edgeHubRssMbMax: rounded((usage.get(edgeHubName)?.rssBytesMax ?? 0) / 2 ** 20),
    }
  } finally {
    await device.stop()
  }
}

/** Puts the messages into the store as the edge hub does, so that the queue need not be filled over the network. */
function fill(stateFolder: string, messages: number): void {
  const database = new Database(join(stateFolder, 'edge-hub.db'))
  const commit = new GroupCommit(database, systemClock)
  const store = new MessageStore(database, commit, systemClock, { available: () => {}, expired: () => {} })
  const body = Buffer.alloc(bodyBytes)
  for (let index = 0; index < messages; index++) {
    store.put(
      {
        kind: 'message',
        moduleId: queuedFrom,
        properties: { messageType: 'raw', deviceId: 'press-4' },
        systemProperties: { messageId: String(index), outputName: 'raw', contentType: 'application/json' },
        body,
        enqueuedMs: Date.now(),
      },
      [{ target: '$upstream', input: '', priority: rawPriority, expiresMs: undefined }],
      () => {},
    )
    if (index % messagesPerCommit === messagesPerCommit - 1) commit.flush()
  }
  commit.close()
  database.close()
}

/** What has arrived at the hub stand-in, and how long each alert took. */
class Arrivals {
  readonly latenciesMs: number[] = []
  repeated = 0
  /** When the first and when the last of the queued messages arrived. */
  firstMs = 0
  lastMs = 0
  readonly #seen: Uint8Array
  #left: number
  readonly #sentMs = new Map<string, number>()

  constructor(messages: number) {
    this.#seen = new Uint8Array(messages)
    this.#left = messages
  }

  get done(): boolean {
    return this.#left === 0
  }

  /** @returns the message id of the alert to be sent now. */
  expectAlert(): string {
    const messageId = `alert-${this.#sentMs.size}`
    this.#sentMs.set(messageId, performance.now())
    return messageId
  }

  take({ moduleId, systemProperties }: CloudMessage): void {
    const messageId = systemProperties['messageId'] ?? ''
    const sentMs = this.#sentMs.get(messageId)
    if (moduleId === queuedFrom) this.#queued(Number(messageId))
    else if (sentMs !== undefined) this.latenciesMs.push(performance.now() - sentMs)
  }

  #queued(index: number): void {
    if (this.#seen[index] === 1) {
      this.repeated++
      return
    }
    this.#seen[index] = 1
    this.lastMs = performance.now()
    if (this.firstMs === 0) this.firstMs = this.lastMs
    this.#left--
  }
}
