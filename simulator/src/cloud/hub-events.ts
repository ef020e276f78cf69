/** Messages that IoT Hub makes itself ("Create and read IoT Hub non-telemetry event routes"). */
import type { JsonObject, JsonValue } from '@weir/lib/json'
import type { TwinState } from '../upstream-link.ts'
import type { CloudMessage, MessageSource } from './cloud-message.ts'

export interface EventPlace {
  readonly iotHubHostname: string
  readonly deviceId: string
  readonly nowMs: number
}

export function twinChangeEvent(
  place: EventPlace,
  moduleId: string,
  section: 'desired' | 'reported',
  patch: JsonObject,
  version: number,
): CloudMessage {
  const body = { version, properties: { [section]: { ...patch, $version: version } } }
  return hubEvent(place, 'TwinChangeEvents', moduleId, 'twinChangeNotification', 'updateTwin', body)
}

export function lifecycleEvent(
  place: EventPlace,
  moduleId: string,
  operation: 'createModuleIdentity' | 'deleteModuleIdentity',
  twin: TwinState | undefined,
): CloudMessage {
  const body = {
    deviceId: place.deviceId,
    moduleId,
    properties: {
      desired: { ...twin?.desired, $version: twin?.desiredVersion ?? 0 },
      reported: { ...twin?.reported, $version: twin?.reportedVersion ?? 0 },
    },
  }
  return hubEvent(place, 'DeviceLifecycleEvents', moduleId, 'moduleLifecycleNotification', operation, body)
}

function hubEvent(
  { iotHubHostname, deviceId, nowMs }: EventPlace,
  source: MessageSource,
  moduleId: string,
  schema: string,
  operation: string,
  body: JsonValue,
): CloudMessage {
  return {
    source,
    moduleId,
    properties: {
      hubName: iotHubHostname.split('.')[0] ?? iotHubHostname,
      deviceId,
      moduleId,
      operationTimestamp: new Date(nowMs).toISOString(),
      'iothub-message-schema': schema,
      opType: operation,
    },
    systemProperties: { contentType: 'application/json', contentEncoding: 'utf-8' },
    body: Buffer.from(JSON.stringify(body)),
    edgeEnqueuedMs: nowMs,
    enqueuedMs: nowMs,
  }
}
