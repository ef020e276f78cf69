/** The edge hub's process. Settings come as JSON in WEIR_EDGE_HUB; a parent talks over Node's child-process channel. */
import { systemClock } from '@weir/lib/clock'
import { errorText, WeirError } from '@weir/lib/errors'
import { drainTimeoutMs } from '@weir/lib/limits'
import { createLog, parseLogLevel } from '@weir/lib/log-stdout'
import { z } from 'zod'
import type { EdgeHubSettings, FromEdgeHubControl, ToEdgeHub } from '../edge-hub-control.ts'
import { EdgeHub } from './hub.ts'

const port = z.int().min(0).max(65_535)
const share = z.number().min(0).max(1).optional()
const deliveryFaults = z.strictObject({
  seed: z.int(),
  modules: z.record(
    z.string(),
    z.strictObject({ delayMs: z.number().optional(), dropBeforeAckShare: share, duplicateShare: share }),
  ),
})
const settingsSchema: z.ZodType<EdgeHubSettings> = z.strictObject({
  iotHubHostname: z.string().min(1),
  deviceId: z.string().min(1),
  gatewayHostname: z.string().min(1),
  mqttPort: port,
  httpsPort: port,
  metricsPort: port,
  stateFolder: z.string().min(1),
  upstreamSocket: z.string().min(1),
  upstreamSecret: z.string(),
  workloadUri: z.string().min(1),
  generationId: z.string().min(1),
  meterTelemetry: z.boolean(),
  deliveryFaults: deliveryFaults.optional(),
  certificateRenewAfterMs: z.coerce.number().int().min(1_000).optional(),
})

const log = createLog(parseLogLevel(process.env['RuntimeLogLevel'] ?? '') ?? 'info', systemClock, (line) => {
  process.stdout.write(line)
})

function readSettings(): EdgeHubSettings {
  const text = process.env['WEIR_EDGE_HUB']
  if (text === undefined) {
    throw new WeirError('CONFIG_REFUSED', 'edge-hub: WEIR_EDGE_HUB is missing: expected EdgeHubSettings as JSON')
  }
  try {
    // As edgeHub has it: a variable of its own, which the manifest can set.
    const certificateRenewAfterMs = process.env['ServerCertificateRenewAfterInMs']
    return settingsSchema.parse({ ...JSON.parse(text), certificateRenewAfterMs })
  } catch (error) {
    const problem = error instanceof z.ZodError ? z.prettifyError(error) : errorText(error)
    throw new WeirError('CONFIG_REFUSED', `edge-hub: WEIR_EDGE_HUB: ${problem}`)
  }
}

function tell(message: FromEdgeHubControl): void {
  process.send?.(message, undefined, undefined, () => {})
}

function fail(error: unknown): never {
  log.critical(errorText(error))
  tell({ type: 'failed', message: errorText(error) })
  process.exit(1)
}

async function run(): Promise<void> {
  const starting = EdgeHub.start(readSettings(), systemClock, log)
  let stopping = false
  const stop = (): void => {
    if (stopping) return
    stopping = true
    setTimeout(() => process.exit(0), drainTimeoutMs).unref()
    const patience = new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), 500))
    const stopped = Promise.race([starting, patience])
    stopped.then((hub) => hub?.stop()).then(() => process.exit(0), fail)
  }
  process.on('SIGTERM', stop)
  process.on('disconnect', stop)
  // Ctrl-C reaches the whole process group: a parent decides itself when the hub stops, after the modules.
  process.on('SIGINT', process.send === undefined ? stop : () => {})
  const hub = await starting
  process.on('message', (message: ToEdgeHub) => {
    if (message.type === 'counters') tell({ type: 'counters', id: message.id, counters: hub.counters() })
    else if (message.type === 'cutUpstream') hub.cutUpstream(message.cut)
    else if (message.type === 'deliveryFaults') hub.setDeliveryFaults(message.settings)
    else stop()
  })
  log.info(`edge hub: listening on ports ${Object.values(hub.ports).join(', ')} (MQTT, HTTPS, metrics)`)
  tell({ type: 'listening', ...hub.ports })
}

run().catch(fail)
