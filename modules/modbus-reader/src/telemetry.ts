import { believableTimestampMsMin } from '@weir/lib/limits'
import { contentId, type Row, sourceProperties } from '@weir/lib/messages'
import type { Outgoing } from '@weir/lib/module'
import { encodeTelemetry, type TelemetryBody, type TelemetryHeader } from '@weir/lib/telemetry'

export type DeviceLabels = Pick<TelemetryHeader, 'deviceType' | 'location' | 'units'>

const believableFrom = new Date(believableTimestampMsMin).toISOString()

function messageOf(deviceId: string, { deviceType, location }: DeviceLabels) {
  return ({ body, part }: TelemetryBody): Outgoing => ({
    output: 'telemetry',
    messageType: 'telemetry',
    messageId: contentId('telemetry', body),
    body,
    properties: {
      ...sourceProperties({ deviceId, deviceType, location }),
      ...(part === undefined ? {} : { part: String(part) }),
    },
  })
}

/**
 * The messages with these rows of one device, in order: one, unless they pass 256 KiB or the clock was set between them.
 * Rows from before the clock could be believed go apart, marked as such.
 */
export function telemetryMessages(deviceId: string, labels: DeviceLabels, rows: readonly Row[]): Outgoing[] {
  const header = { deviceId, ...labels }
  const { trusted = [], untrusted = [] } = Object.groupBy(rows, ({ timestamp }) =>
    timestamp < believableFrom ? 'untrusted' : 'trusted',
  )
  const bodies = [
    ...encodeTelemetry({ ...header, clockTrusted: false }, untrusted),
    ...encodeTelemetry(header, trusted),
  ]
  return bodies.map(messageOf(deviceId, labels))
}
