/** A stretch of a plant's time, an hour or a day, as the messages of its reader: a minute of a device in each. */
import type { Row } from '@weir/lib/messages'

export const minuteMs = 60_000
const hourMs = 60 * minuteMs
const rowsPerMinute = 60
/** By turns, a device is too hot for these minutes of an hour. */
const hotFromMs = 10 * minuteMs
const hotToMs = 15 * minuteMs

export const dayDevices = ['press-4', 'pump-2', 'oven-1', 'mill-3']

export interface DayMessage {
  readonly deviceId: string
  readonly rows: readonly Row[]
}

function temperatureAt(place: number, sinceStartMs: number): number {
  const isItsTurn = Math.floor(sinceStartMs / hourMs) % dayDevices.length === place
  const inHour = sinceStartMs % hourMs
  const base = isItsTurn && inHour >= hotFromMs && inHour < hotToMs ? 85 : 65
  return base + place + (Math.floor(sinceStartMs / 1000) % 7) / 10
}

function rowAt(place: number, startMs: number, sinceStartMs: number): Row {
  return {
    timestamp: new Date(startMs + sinceStartMs).toISOString(),
    values: { temperature: temperatureAt(place, sinceStartMs), vibration: 1 + place / 10, running: true },
  }
}

/** Rows at 1 Hz of `minutes` minutes from `startMs` on: Unix milliseconds, the begin of a minute. */
export function* dayMessages(startMs: number, minutes: number): Generator<DayMessage> {
  for (let minute = 0; minute < minutes; minute++) {
    for (const [place, deviceId] of dayDevices.entries()) {
      const rows = Array.from({ length: rowsPerMinute }, (_, second) =>
        rowAt(place, startMs, minute * minuteMs + second * 1000),
      )
      yield { deviceId, rows }
    }
  }
}

/** A row of each device `sinceStartMs` after the start: the windows that closed before it leave. */
export function* closingMessages(startMs: number, sinceStartMs: number): Generator<DayMessage> {
  for (const [place, deviceId] of dayDevices.entries()) yield { deviceId, rows: [rowAt(place, startMs, sinceStartMs)] }
}
