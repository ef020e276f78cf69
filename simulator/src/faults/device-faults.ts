/** Faults of the plant's devices, as a Modbus TCP client sees them. */
import type { Clock } from '@weir/lib/clock'
import type { PlantDevice } from '../plant/layout.ts'

export type DeviceFault = { readonly action: 'off' | 'garbled' } | { readonly action: 'slow'; readonly delayMs: number }

/** What becomes of an answer: passed to `send` now, later, damaged, or not at all. */
export type AnswerFilter = (unitId: number, frame: Buffer, send: (frame: Buffer) => void) => void

/** Places in a Modbus TCP frame (MODBUS Messaging on TCP/IP V1.0b, section 3.1.3). */
const lengthAt = 4
const unitAt = 6
const functionAt = 7
const byteCountAt = 8

function changed(frame: Buffer, at: number, change: (byte: number) => number): Buffer {
  const damaged = Buffer.from(frame)
  damaged[at] = change(damaged[at] ?? 0) & 0xff
  return damaged
}

/**
 * Ways to damage an answer that its reader can see. What a reader cannot see, a wrong value in a whole frame, is no fault
 * of the line: TCP and the checksum of a serial line behind a gateway keep it away.
 */
const damages: readonly ((frame: Buffer) => Buffer)[] = [
  function lastByteMissing(frame) {
    const short = Buffer.from(frame.subarray(0, -1))
    short.writeUInt16BE(short.length - lengthAt - 2, lengthAt)
    return short
  },
  function wrongByteCount(frame) {
    return changed(frame, Math.min(byteCountAt, frame.length - 1), (count) => count + 2)
  },
  function otherFunction(frame) {
    return changed(frame, functionAt, (code) => code ^ 0x07)
  },
  function otherUnit(frame) {
    return changed(frame, unitAt, (unit) => unit + 1)
  },
  function otherTransaction(frame) {
    return changed(frame, 1, (low) => low + 0x55)
  },
]

/** Faults by device. Devices that share a unit of a link share its faults: the line cannot tell them apart. */
export class DeviceFaults {
  readonly #devices: readonly PlantDevice[]
  readonly #clock: Clock
  readonly #faults = new Map<string, DeviceFault>()
  #damaged = 0

  constructor(devices: readonly PlantDevice[], clock: Clock) {
    this.#devices = devices
    this.#clock = clock
  }

  /** undefined: the device is as it should be. */
  set(deviceId: string, fault: DeviceFault | undefined): void {
    for (const { link, unitId } of this.#devices.filter((device) => device.deviceId === deviceId)) {
      if (fault === undefined) this.#faults.delete(placeOf(link, unitId))
      else this.#faults.set(placeOf(link, unitId), fault)
    }
  }

  /** The filter for the answers of one link's server. */
  filter(link: string): AnswerFilter {
    return (unitId, frame, send) => {
      const fault = this.#faults.get(placeOf(link, unitId))
      if (fault === undefined) send(frame)
      else if (fault.action === 'slow') this.#clock.setTimer(() => send(frame), fault.delayMs)
      else if (fault.action === 'garbled') send(this.#damage(frame))
    }
  }

  /** One way of damage after the other. */
  #damage(frame: Buffer): Buffer {
    const damage = damages[this.#damaged++ % damages.length]
    return damage === undefined ? frame : damage(frame)
  }
}

function placeOf(link: string, unitId: number): string {
  return `${unitId} ${link}`
}
