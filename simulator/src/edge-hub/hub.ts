import type { Server } from 'node:net'
import { join } from 'node:path'
import type { Clock } from '@weir/lib/clock'
import { errorText } from '@weir/lib/errors'
import { toJson } from '@weir/lib/json'
import type { Log } from '@weir/lib/log'
import type { EdgeHubCounters, EdgeHubSettings } from '../edge-hub-control.ts'
import type { DeliveryFaultSettings } from '../faults/delivery-faults.ts'
import { respondError, respondJson } from '../workload/http-json.ts'
import { Broker } from './broker.ts'
import { CertificateKeeper, requestServerCertificate, type ServerCertificate } from './certificate.ts'
import { HubCore } from './core.ts'
import { Database } from './database.ts'
import { httpServer, httpsServer, listen, mqttServer, renewCertificate } from './listeners.ts'
import { answerMethodRequest } from './method-api.ts'

/** How often expired messages are looked for. edgeHub's default is 1,800 s, its minimum 30 s. */
const sweepIntervalMs = 30_000

export interface EdgeHubPorts {
  readonly mqttPort: number
  readonly httpsPort: number
  readonly metricsPort: number
}

/** A running edge hub: its store, its link to the cloud, and its three ports. */
export class EdgeHub {
  readonly ports: EdgeHubPorts
  readonly #core: HubCore
  readonly #closing: (() => Promise<void> | void)[]

  private constructor(core: HubCore, ports: EdgeHubPorts, closing: (() => Promise<void> | void)[]) {
    this.#core = core
    this.ports = ports
    this.#closing = closing
  }

  /**
   * Resolves once modules can connect: identities are known, there is a server certificate, the ports are open.
   * @throws WeirError STATE_LOCKED (port or store taken), STATE_NEWER, STATE_UNWRITABLE.
   */
  static async start(settings: EdgeHubSettings, clock: Clock, log: Log): Promise<EdgeHub> {
    const database = new Database(join(settings.stateFolder, 'edge-hub.db'))
    const core = new HubCore(settings, database, clock, log)
    const closing: (() => Promise<void> | void)[] = [() => database.close(), () => core.close()]
    try {
      const ports = await open(settings, core, database, clock, log, closing)
      return new EdgeHub(core, ports, closing)
    } catch (error) {
      await closeAll(closing)
      throw error
    }
  }

  counters(): EdgeHubCounters {
    return this.#core.counters()
  }

  cutUpstream(cut: boolean): void {
    this.#core.link.want(!cut)
  }

  setDeliveryFaults(settings: DeliveryFaultSettings): void {
    this.#core.faults.set(settings)
  }

  /** Closes ports and connections, and leaves what is queued on disk. */
  stop(): Promise<void> {
    return closeAll(this.#closing)
  }
}

async function closeAll(closing: (() => Promise<void> | void)[]): Promise<void> {
  for (let close = closing.pop(); close !== undefined; close = closing.pop()) await close()
}

async function open(
  settings: EdgeHubSettings,
  core: HubCore,
  database: Database,
  clock: Clock,
  log: Log,
  closing: (() => Promise<void> | void)[],
): Promise<EdgeHubPorts> {
  core.link.want(true)
  await core.identitiesKnown
  const broker = new Broker(settings.deviceId, core.sessions, core, clock, log)
  const keeper = new CertificateKeeper(
    () => requestServerCertificate(settings, settings.gatewayHostname, clock.nowMs()),
    (renewed) => {
      for (const server of [mqtt, https]) renewCertificate(server, renewed)
    },
    clock,
    log,
    settings.certificateRenewAfterMs,
  )
  closing.push(() => keeper.stop())
  const certificate: ServerCertificate = await keeper.start()
  await broker.start()
  closing.push(() => broker.stop())
  const mqtt = mqttServer(certificate, (socket) => broker.handle(socket))
  const https = httpsServer(certificate, (request, response) => {
    answerMethodRequest(request, {
      deviceId: settings.deviceId,
      refuse: core.refuse.bind(core),
      call: core.call.bind(core),
    }).then(
      (result) => respondJson(response, 200, toJson(result)),
      (error: unknown) => respondError(response, error),
    )
  })
  const metrics = httpServer((request, response) => {
    if (request.method !== 'GET' || request.url?.split('?')[0] !== '/metrics') {
      response.writeHead(404).end()
      return
    }
    const { registry } = core.metrics
    registry.metrics().then(
      (text) => response.writeHead(200, { 'content-type': registry.contentType }).end(text),
      (error: unknown) => respondError(response, error),
    )
  })
  const timer = setInterval(() => {
    core
      .sweep()
      .then(() => database.reclaim())
      .catch((error: unknown) => log.error(`store: ${errorText(error)}`))
  }, sweepIntervalMs)
  closing.push(() => clearInterval(timer))
  const openPort = (server: Server, name: string, port: number, option: string): Promise<number> => {
    closing.push(() => closeServer(server))
    return listen(server, name, port, option)
  }
  return {
    mqttPort: await openPort(mqtt, 'MQTT', settings.mqttPort, '--port'),
    httpsPort: await openPort(https, 'HTTPS', settings.httpsPort, 'httpsPort of WEIR_EDGE_HUB'),
    metricsPort: await openPort(metrics, 'metrics', settings.metricsPort, 'metricsPort of WEIR_EDGE_HUB'),
  }
}

/** Takes no more connections. Those of MQTT are the broker's to close; HTTP ones are cut. */
function closeServer(server: Server): void {
  server.close()
  if ('closeAllConnections' in server && typeof server.closeAllConnections === 'function') server.closeAllConnections()
}
