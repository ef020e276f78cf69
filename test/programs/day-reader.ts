/** Stands in for the reader: sends the messages of `WEIR_DAY`, a stretch of time that is over, as fast as the hub takes them. */
import { runModule } from '@weir/lib/host'
import type { ModuleDeclaration } from '@weir/lib/module'
import { type ModbusConfig, modbusConfig } from '@weir/modbus-reader/config'
import { telemetryMessages } from '@weir/modbus-reader/telemetry'
import { closingMessages, dayMessages, minuteMs } from '../soak/day.ts'

const queuedMax = 200
const { startMs, minutes, afterMs } = JSON.parse(process.env['WEIR_DAY'] ?? '{}')

function* day() {
  yield* dayMessages(startMs, minutes)
  yield* closingMessages(startMs, minutes * minuteMs + afterMs)
}

const dayReader: ModuleDeclaration<ModbusConfig> = {
  name: 'modbus-reader',
  config: modbusConfig,
  start(context) {
    const messages = day()
    let sent = 0
    const send = (): void => {
      while (context.queued() < queuedMax) {
        const next = messages.next()
        if (next.done === true) return
        sent += 1
        for (const message of telemetryMessages(next.value.deviceId, {}, next.value.rows)) context.publish(message)
      }
      context.clock.setTimer(send, 5)
    }
    send()
    return { apply: () => {}, status: () => ({ sent }), commands: [], stop: () => Promise.resolve() }
  },
}

await runModule(dayReader)
