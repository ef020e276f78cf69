import { createHash, timingSafeEqual } from 'node:crypto'
import type { SignalValue } from '@weir/lib/messages'
import type { DeviceConfig, ModbusConfig } from './config.ts'
import { encodeRegisters } from './encode.ts'
import { encodingOf, type Place, placeOf, type SignalConfig } from './signal-config.ts'
import type { WriteRequest } from './transport.ts'

/** A write that passed every check, and where it goes. */
export interface PlannedWrite {
  readonly link: string
  readonly request: WriteRequest
  readonly place: Place
  readonly device: DeviceConfig
  readonly signal: SignalConfig
}

/** Shorter secrets could be guessed. */
const secretBytesMin = 16

/** Why a secret does not open the way, or undefined where it does. Takes as long for any wrong secret of any length. */
export function secretFault(given: string, stored: string): string | undefined {
  const expected = stored.trim()
  if (Buffer.byteLength(expected) < secretBytesMin) {
    return `the secret file holds fewer than ${secretBytesMin} bytes; put a longer secret there`
  }
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(given), digest(expected)) ? undefined : 'the secret is wrong'
}

function isBeyond(value: SignalValue, { range }: SignalConfig): boolean {
  if (typeof value !== 'number' || range === undefined) return false
  const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = range
  return value < min || value > max
}

function typeFault(value: SignalValue, { type }: SignalConfig): string | undefined {
  const expected = type === 'bit' ? 'boolean' : type === 'string' ? 'string' : 'number'
  const words = { boolean: 'true or false', string: 'a text', number: 'a number' }
  return typeof value === expected
    ? undefined
    : `${JSON.stringify(value)} does not fit ${type}, expected ${words[expected]}`
}

function wireValues(value: SignalValue, signal: SignalConfig, device: DeviceConfig): WriteRequest['values'] | string {
  if (typeof value === 'boolean') return value
  try {
    return encodeRegisters(encodingOf(signal, device), value)
  } catch (error) {
    return error instanceof RangeError ? error.message : String(error)
  }
}

/** The request that writes `value`, or why there is none. Nothing is writable that the configuration does not say is. */
export function planWrite(
  config: ModbusConfig,
  deviceId: string,
  signalId: string,
  value: SignalValue,
): PlannedWrite | string {
  const device = Object.hasOwn(config.devices, deviceId) ? config.devices[deviceId] : undefined
  if (device === undefined) return `there is no device ${deviceId}`
  const signal = Object.hasOwn(device.signals, signalId) ? device.signals[signalId] : undefined
  if (signal === undefined) return `device ${deviceId} has no signal ${signalId}`
  if (signal.writable !== true) return 'the configuration does not mark the signal as writable'
  const fault = typeFault(value, signal)
  if (fault !== undefined) return fault
  if (isBeyond(value, signal)) {
    return `${value} is beyond the range of the signal, expected ${signal.range?.min ?? 'any'} to ${signal.range?.max ?? 'any'}`
  }
  const place = placeOf(signal, device.addressing)
  if (typeof place === 'string') return place
  const values = wireValues(value, signal, device)
  if (typeof values === 'string') return values
  const { unitId, writeMultiple } = device
  return {
    link: device.link,
    request: { unitId, address: place.address, values, isMultiple: writeMultiple },
    place,
    device,
    signal,
  }
}
