/** An edge device for tests and benches: the real cloud stand-in and workload API around an edge hub. */
import { createHmac } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '@weir/lib/clock'
import type { JsonObject } from '@weir/lib/json'
import type { Log } from '@weir/lib/log'
import { Cloud } from '../cloud/cloud.ts'
import type { EdgeHubSettings } from '../edge-hub-control.ts'
import { startWorkloadApi, type WorkloadApi } from '../workload/api.ts'
import { CertificateAuthority } from '../workload/certificates.ts'
import { ModuleKeys } from '../workload/keys.ts'
import { edgeHubModuleId } from './message.ts'
import { RawClient, type RawClientOptions } from './raw-client.ts'

export const iotHubHostname = 'plant.azure-devices.net'
export const deviceId = 'gateway'

const upstreamSecret = 'secret'

/** Remembers its lines. */
export class TestLog implements Log {
  readonly lines: string[] = []
  debug(text: string): void {
    this.lines.push(`debug ${text}`)
  }
  info(text: string): void {
    this.lines.push(`info ${text}`)
  }
  warning(text: string): void {
    this.lines.push(`warning ${text}`)
  }
  error(text: string): void {
    this.lines.push(`error ${text}`)
  }
  critical(text: string): void {
    this.lines.push(`critical ${text}`)
  }
}

/** `$edgeHub`'s desired properties with these routes. */
export function routes(named: Readonly<Record<string, string | JsonObject>>): JsonObject {
  return { schemaVersion: '1.1', routes: named, storeAndForwardConfiguration: { timeToLiveSecs: 7200 } }
}

export class TestDevice {
  readonly folder: string
  readonly cloud: Cloud
  readonly settings: EdgeHubSettings
  readonly #keys: ModuleKeys
  readonly #authority: CertificateAuthority
  readonly #workload: WorkloadApi

  private constructor(
    folder: string,
    cloud: Cloud,
    settings: EdgeHubSettings,
    keys: ModuleKeys,
    authority: CertificateAuthority,
    workload: WorkloadApi,
  ) {
    this.folder = folder
    this.cloud = cloud
    this.settings = settings
    this.#keys = keys
    this.#authority = authority
    this.#workload = workload
  }

  static async start(
    modules: readonly string[],
    desiredOfEdgeHub: JsonObject,
    changes: Partial<EdgeHubSettings> = {},
  ): Promise<TestDevice> {
    const folder = mkdtempSync(join(tmpdir(), 'weir-edge-hub-'))
    const keys = new ModuleKeys(folder)
    const identities = keys.identities([edgeHubModuleId, ...modules])
    const authority = await CertificateAuthority.open(folder, systemClock)
    const workload = await startWorkloadApi({
      socketPath: join(folder, 'workload.sock'),
      iotHubHostname,
      deviceId,
      authority,
      clock: systemClock,
      identity: (moduleId) => keys.get(moduleId),
      modules: () => [],
    })
    const cloud = await Cloud.open({
      iotHubHostname,
      deviceId,
      socketPath: join(folder, 'cloud.sock'),
      secret: upstreamSecret,
      stateFolder: join(folder, 'cloud'),
      clock: systemClock,
      log: new TestLog(),
    })
    cloud.deploy(
      identities.map((identity) => ({
        identity,
        desired: identity.moduleId === edgeHubModuleId ? desiredOfEdgeHub : {},
      })),
    )
    const settings: EdgeHubSettings = {
      iotHubHostname,
      deviceId,
      gatewayHostname: 'localhost',
      mqttPort: 0,
      httpsPort: 0,
      metricsPort: 0,
      stateFolder: join(folder, 'edge-hub'),
      upstreamSocket: join(folder, 'cloud.sock'),
      upstreamSecret,
      workloadUri: workload.uri,
      generationId: keys.get(edgeHubModuleId)?.generationId ?? '',
      meterTelemetry: true,
      ...changes,
    }
    return new TestDevice(folder, cloud, settings, keys, authority, workload)
  }

  get trustBundle(): string {
    return this.#authority.trustBundlePem
  }

  /** What edgeAgent gives a module. */
  environment(moduleId: string, mqttPort: number): Record<string, string> {
    return {
      IOTEDGE_WORKLOADURI: this.#workload.uri,
      IOTEDGE_DEVICEID: deviceId,
      IOTEDGE_MODULEID: moduleId,
      IOTEDGE_IOTHUBHOSTNAME: iotHubHostname,
      IOTEDGE_AUTHSCHEME: 'sasToken',
      IOTEDGE_MODULEGENERATIONID: this.#keys.get(moduleId)?.generationId ?? '',
      IOTEDGE_GATEWAYHOSTNAME: `localhost:${mqttPort}`,
    }
  }

  token(moduleId: string, validMs = 3_600_000, host = iotHubHostname): string {
    return signToken(this.#keys.get(moduleId)?.primaryKey ?? '', host, moduleId, Date.now() + validMs)
  }

  /** Connects, as a module would that speaks MQTT by itself. Throws where the edge hub refuses it. */
  async connect(moduleId: string, mqttPort: number, changes: Partial<RawClientOptions> = {}): Promise<RawClient> {
    const { client, returnCode } = await RawClient.connect({
      port: mqttPort,
      ca: this.trustBundle,
      clientId: `${deviceId}/${moduleId}`,
      userName: userName(moduleId),
      password: this.token(moduleId),
      ...changes,
    })
    if (returnCode !== 0) throw new Error(`refused with return code ${returnCode}`)
    return client
  }

  async stop(): Promise<void> {
    await this.cloud.close()
    await this.#workload.close()
    rmSync(this.folder, { recursive: true })
  }
}

export function signToken(key: string, host: string, moduleId: string, expiresMs: number): string {
  const audience = encodeURIComponent(`${host}/devices/${deviceId}/modules/${moduleId}`)
  const expiry = Math.ceil(expiresMs / 1000)
  const digest = createHmac('sha256', Buffer.from(key, 'base64')).update(`${audience}\n${expiry}`).digest('base64')
  return `SharedAccessSignature sr=${audience}&sig=${encodeURIComponent(digest)}&se=${expiry}`
}

export function userName(moduleId: string): string {
  return `${iotHubHostname}/${deviceId}/${moduleId}/?api-version=2021-04-12`
}

/** Waits until `condition` gives something else than undefined or false. */
export async function until<Value>(condition: () => Value | undefined | false, timeoutMs = 5_000): Promise<Value> {
  const endMs = Date.now() + timeoutMs
  for (;;) {
    const value = condition()
    if (value !== undefined && value !== false) return value
    if (Date.now() > endMs) throw new Error(`not within ${timeoutMs} ms: ${condition}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
