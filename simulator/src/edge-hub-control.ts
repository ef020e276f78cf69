/** What the supervisor and the edge hub's process say to each other over Node's child-process channel (not over the upstream link, which can be cut). */
import type { Traffic } from '@weir/lib/meter'
import type { DeliveryFaultSettings } from './faults/delivery-faults.ts'

/** Everything the edge hub needs to start; given to the process as JSON in the environment variable `WEIR_EDGE_HUB`. */
export interface EdgeHubSettings {
  readonly iotHubHostname: string
  readonly deviceId: string
  readonly gatewayHostname: string
  /** 0 takes a free port; the port taken is in the `listening` message. */
  readonly mqttPort: number
  readonly httpsPort: number
  readonly metricsPort: number
  /** The store, twins and identities live here. */
  readonly stateFolder: string
  /** Unix socket of the hub stand-in, and the secret for it. */
  readonly upstreamSocket: string
  readonly upstreamSecret: string
  /** Unix socket of the workload API, where the server certificate and the trust bundle come from. */
  readonly workloadUri: string
  readonly generationId: string
  /** Count rows and the two raw baselines of `telemetry` messages (parses their bodies). Off in benches. */
  readonly meterTelemetry: boolean
  /** How deliveries to modules fail from the start on. */
  readonly deliveryFaults?: DeliveryFaultSettings | undefined
  /** The server certificate is renewed after this, however long it is good for: `ServerCertificateRenewAfterInMs`. */
  readonly certificateRenewAfterMs?: number | undefined
}

/** What the edge hub counted; sums since its process started. */
export interface EdgeHubCounters {
  /** Rows of `telemetry` messages taken from modules, and how many of each module. */
  rows: number
  values: number
  /** Baseline 1: each row as a hub message of its own. */
  perRow: Traffic
  /** Baseline 2: the readers' own messages, as they are. */
  perMessage: Traffic
  messagesTaken: number
  messagesDelivered: number
  messagesDropped: Record<string, number>
  /** Messages waiting, by endpoint (`$upstream`, `module/input`). */
  queued: Record<string, number>
  connectedModules: string[]
  upstreamConnected: boolean
}

export type ToEdgeHub =
  | { type: 'counters'; id: number }
  | { type: 'cutUpstream'; cut: boolean }
  | { type: 'deliveryFaults'; settings: DeliveryFaultSettings }
  | { type: 'stop' }

export type FromEdgeHubControl =
  | { type: 'listening'; mqttPort: number; httpsPort: number; metricsPort: number }
  | { type: 'counters'; id: number; counters: EdgeHubCounters }
  | { type: 'failed'; message: string }
