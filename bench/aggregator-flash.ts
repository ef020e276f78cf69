/**
 * What the aggregator writes to flash in a day at production settings: 100 signals, a row a second of each device and a
 * message for it, windows of a minute. The whole module runs on a real disk, with its journal, its snapshots and its queue;
 * only the clock and the hub are played, so that hours pass in seconds.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { ManualClock } from '@weir/lib/clock'
import { startModule } from '@weir/lib/host'
import { readWriteBytes } from '@weir/lib/journal/flash'
import { fsyncIntervalMs } from '@weir/lib/limits'
import { createLog } from '@weir/lib/log-stdout'
import { MemoryHub } from '@weir/lib/memory-hub'
import { contentId } from '@weir/lib/messages'
import { encodeTelemetry } from '@weir/lib/telemetry'
import { aggregator } from '../modules/aggregator/src/module.ts'

const devices = 10
const signals = 10
const simulatedS = 3 * 3_600
const startMs = Date.UTC(2026, 0, 1)
const dayS = 86_400
const windowMs = 60_000

export interface AggregatorFlashFigures {
  readonly devices: number
  readonly signals: number
  readonly rowIntervalMs: number
  readonly windowMs: number
  readonly fsyncIntervalMs: number
  readonly simulatedS: number
  /** Bytes of a row as its reader sends it. */
  readonly messageBytesPerRow: number
  /** `write_bytes` of `/proc/self/io`: journal, snapshots and queue, whole pages. Absent where the system does not tell. */
  readonly flashMegabytesPerDay?: number
  readonly flashBytesPerRow?: number
}

export async function benchAggregatorFlash(): Promise<AggregatorFlashFigures> {
  const folder = mkdtempSync(join(tmpdir(), 'weir-bench-flash-'))
  try {
    return await measure(folder)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function measure(folder: string): Promise<AggregatorFlashFigures> {
  const clock = new ManualClock(startMs)
  const hub = new MemoryHub({ windows: { main: { lengthMs: windowMs } } })
  const environment = {
    WEIR_STATE_FOLDER: folder,
    WEIR_METRICS_PORT: 'off',
    WEIR_COMMAND_SOCKET: join(folder, 'weir.sock'),
  }
  const log = createLog('error', clock, (line) => process.stderr.write(line))
  const module = await startModule(aggregator, { hub, clock, log, environment })
  await setImmediate()
  const before = readWriteBytes()
  let messageBytes = 0
  for (let second = 0; second < simulatedS; second++) {
    for (let device = 0; device < devices; device++) messageBytes += feed(hub, `press-${device}`, second, device)
    clock.advance(1_000)
    await setImmediate()
  }
  const after = readWriteBytes()
  const { payload } = await module.call('getStatus')
  await module.stop()
  const rows = simulatedS * devices
  if (!JSON.stringify(payload).includes(`"rowsTaken":${rows},`)) {
    throw new Error(`bench: the aggregator did not take ${rows} rows: ${JSON.stringify(payload)}`)
  }
  const figures = { devices, signals, rowIntervalMs: 1_000, windowMs, fsyncIntervalMs, simulatedS }
  const messageBytesPerRow = Math.round(messageBytes / rows)
  if (before === undefined || after === undefined) return { ...figures, messageBytesPerRow }
  const bytes = after - before
  return {
    ...figures,
    messageBytesPerRow,
    flashMegabytesPerDay: Math.round((bytes * dayS) / simulatedS / 1e6),
    flashBytesPerRow: Math.round(bytes / rows),
  }
}

/** A message with one row; returns its bytes. */
function feed(hub: MemoryHub, deviceId: string, second: number, device: number): number {
  const values = Array.from({ length: signals }, (_, signal): [string, number] => [
    `signal-${signal}`,
    Number((50 + 10 * signal + 5 * Math.sin((second + 100 * device) / (60 + signal))).toFixed(2)),
  ])
  const row = { timestamp: new Date(startMs + second * 1_000).toISOString(), values: Object.fromEntries(values) }
  const [message] = encodeTelemetry({ deviceId, deviceType: 'press', location: 'hall-1' }, [row])
  const body = message?.body ?? Buffer.alloc(0)
  hub.feed('telemetry', body, {
    messageId: contentId('telemetry', body),
    properties: { messageType: 'telemetry', deviceId, session: 'bench123', sequence: String(second + 1) },
  })
  return body.length
}
