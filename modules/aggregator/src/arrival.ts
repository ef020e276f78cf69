import type { InputMessage } from '@weir/lib/hub'
import { schemaVersion } from '@weir/lib/messages'
import { meteredBytes } from '@weir/lib/meter'
import { type DecodedTelemetry, decodeTelemetry, type TelemetryReading } from '@weir/lib/telemetry'
import type { Arrival } from './aggregation.ts'

type Unreadable = Extract<TelemetryReading, { reason: unknown }>
type Readable = Extract<TelemetryReading, { telemetry: unknown }>

/** A message of the input `telemetry` as the aggregation takes it, and what the decoder kept out; or why nothing of it could be read. */
export function readArrival(
  message: InputMessage,
): ({ readonly arrival: Arrival } & Pick<Readable, 'keptOut'>) | Unreadable {
  const reading = decodeTelemetry(message.body)
  if ('reason' in reading) return reading
  const { telemetry, keptOut, rowsKeptOut } = reading
  const arrival = {
    telemetry,
    rowsKeptOut,
    session: message.properties['session'] ?? '',
    messageId: message.messageId,
    bytes: {
      body: message.body.length,
      envelope: envelopeBytes(telemetry),
      properties: meteredBytes(0, message.properties, systemProperties(message)),
    },
  }
  return { arrival, keptOut }
}

/** Without the units, which a reader sends now and then and not with each row. */
function envelopeBytes({ deviceId, deviceType, location, clockTrusted, part }: DecodedTelemetry): number {
  const untrusted = clockTrusted ? {} : { clockTrusted }
  return Buffer.byteLength(
    JSON.stringify({ schemaVersion, deviceId, deviceType, location, ...untrusted, part, readings: [] }),
  )
}

function systemProperties({ contentType, contentEncoding, messageId }: InputMessage): Record<string, string> {
  return {
    ...(contentType === undefined ? {} : { contentType }),
    ...(contentEncoding === undefined ? {} : { contentEncoding }),
    ...(messageId === undefined ? {} : { messageId }),
  }
}
