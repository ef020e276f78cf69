import { type Alert, type Anomaly, contentId, type ReaderEvent, type Severity, schemaVersion } from '@weir/lib/messages'

/** The alert of a finding. One finding keeps one `alertId` over its states, restarts and repeats. */
export function alertOfAnomaly(anomaly: Anomaly): Alert {
  return {
    schemaVersion,
    alert: 'anomaly',
    alertId: contentId('alert', anomaly.anomalyId),
    alertType: anomaly.alertType,
    severity: anomaly.severity,
    state: anomaly.state,
    deviceId: anomaly.deviceId,
    ...(anomaly.deviceType === undefined ? {} : { deviceType: anomaly.deviceType }),
    ...(anomaly.location === undefined ? {} : { location: anomaly.location }),
    signal: anomaly.signal,
    value: anomaly.value,
    ...(anomaly.unit === undefined ? {} : { unit: anomaly.unit }),
    timestamp: anomaly.timestamp,
    explanation: anomaly.explanation,
  }
}

/** Devices that do not answer now, and since when: what ties a `unitUp` to the `unitDown` before it. */
export type DownSince = Map<string, string>

/**
 * The alert of a reader's event, or undefined where the event is none: a device that stops answering is one, its
 * return ends it. Repeats of a state give nothing. `downSince` is brought up to date.
 */
export function alertOfEvent(event: ReaderEvent, severity: Severity, downSince: DownSince): Alert | undefined {
  const { deviceId } = event
  if (deviceId === undefined || (event.kind !== 'unitDown' && event.kind !== 'unitUp')) return undefined
  const before = downSince.get(deviceId)
  const isDown = event.kind === 'unitDown'
  if (isDown === (before !== undefined)) return undefined
  const since = before ?? event.timestamp
  if (isDown) downSince.set(deviceId, since)
  else downSince.delete(deviceId)
  return {
    schemaVersion,
    alert: 'anomaly',
    alertId: contentId('alert', `DEVICE_DOWN|${deviceId}|${since}`),
    alertType: 'DEVICE_DOWN',
    severity,
    state: isDown ? 'active' : 'normal',
    deviceId,
    timestamp: event.timestamp,
    explanation: event.detail,
  }
}

/** Names one state of one alert: two messages with the same identity say the same. */
export function alertIdentity(alert: Alert): string {
  return `${alert.alertId}|${alert.state}|${alert.timestamp}`
}
