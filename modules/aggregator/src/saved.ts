/** Open windows as plain data: the larger part of a snapshot. */
import { WeirError } from '@weir/lib/errors'
import { aggregateFunctions } from '@weir/lib/messages'
import { z } from 'zod'
import { Device } from './device.ts'
import type { Plan, PlanConfig } from './plan.ts'
import { Statistics, savedNumbersLength } from './statistics.ts'
import { OpenWindow } from './window.ts'

const count = z.int().min(0)

const savedWindowSchema = z.strictObject({
  /** Place of the window's plan in `plans`. */
  plan: count,
  lengthMs: z.int().min(1),
  lateArrivalMs: count,
  startMs: z.int(),
  samples: count,
  badValues: count,
  accounted: count,
  clockTrusted: z.boolean(),
  numbers: z.array(z.array(z.number().nullable()).length(savedNumbersLength)),
  texts: z.array(z.tuple([count, count, z.string(), z.number()])),
})

const savedDeviceSchema = z.strictObject({
  deviceId: z.string(),
  deviceType: z.string().optional(),
  location: z.string().optional(),
  signals: z.array(z.string()),
  units: z.array(z.tuple([count, z.string()])),
  /** null: no row has been taken yet. */
  newestMs: z.number().nullable(),
  lastMessageMs: z.number(),
  closedUpToMs: z.array(z.tuple([z.number(), z.number()])),
  open: z.array(savedWindowSchema),
})
export type SavedDevice = z.infer<typeof savedDeviceSchema>

/** Of the past: only what finishing a window needs is checked, so that later rules of the configuration cannot refuse it. */
const savedPlanSchema = z.object({
  windows: z.record(z.string(), z.object({ lengthMs: z.int().min(1), lateArrivalMs: count })),
  rules: z.record(
    z.string(),
    z.object({
      order: z.int(),
      select: z.string(),
      functions: z.array(z.enum(aggregateFunctions)),
      decimals: z.int().min(0).max(15).optional(),
    }),
  ),
})

/** The part of the configuration that decides anything, as loosely checked. */
export const savedConfigSchema = savedPlanSchema.extend({
  deviceIdleMs: z.number(),
  clockSkewMs: z.number(),
  devicesMax: z.number(),
  signalsPerDeviceMax: z.number(),
  openWindowsPerDeviceMax: z.number(),
  batch: z.object({ maxDelayMs: z.number(), recordsMax: z.number() }),
  properties: z.record(z.string(), z.string()),
})
export type AggregationConfig = z.infer<typeof savedConfigSchema>

export const savedWindowsSchema = z.strictObject({
  plans: z.array(savedPlanSchema),
  devices: z.array(savedDeviceSchema),
  rows: z.strictObject({
    taken: count,
    late: count,
    bad: count,
    refused: count,
    open: count,
    closed: count,
    lateElsewhere: count,
  }),
  values: z.strictObject({ taken: count, bad: count, refused: count }),
  windowsClosed: count,
})
export type SavedWindows = z.infer<typeof savedWindowsSchema>

/** @param placeOf Place of a plan among those saved. */
export function saveDevice(device: Device, placeOf: (plan: Plan) => number): SavedDevice {
  const { deviceId, deviceType, location } = device.source
  return {
    deviceId,
    ...(deviceType === undefined ? {} : { deviceType }),
    ...(location === undefined ? {} : { location }),
    signals: [...device.signals],
    units: [...device.units],
    newestMs: Number.isFinite(device.newestMs) ? device.newestMs : null,
    lastMessageMs: device.lastMessageMs,
    closedUpToMs: [...device.closedUpToMs],
    open: device.open.map((window) => ({
      plan: placeOf(window.plan),
      lengthMs: window.lengthMs,
      lateArrivalMs: window.lateArrivalMs,
      startMs: window.startMs,
      samples: window.samples,
      badValues: window.badValues,
      accounted: window.accounted,
      clockTrusted: window.clockTrusted,
      ...window.statistics.save(),
    })),
  }
}

export function restoreDevice(saved: SavedDevice, plans: readonly Plan[]): Device {
  const { deviceId, deviceType, location } = saved
  const device = new Device({ deviceId, deviceType, location }, saved.lastMessageMs)
  device.numbersOf(saved.signals, saved.signals.length)
  for (const [signal, unit] of saved.units) device.units.set(signal, unit)
  device.newestMs = saved.newestMs ?? Number.NEGATIVE_INFINITY
  for (const [lengthMs, endMs] of saved.closedUpToMs) device.closedUpToMs.set(lengthMs, endMs)
  for (const each of saved.open) {
    const plan = plans[each.plan]
    if (plan === undefined) throw new WeirError('STATE_DAMAGED', `device ${deviceId}: plan ${each.plan} is missing`)
    const window = new OpenWindow(plan, each, each.startMs, Statistics.restore(each, saved.signals.length))
    window.samples = each.samples
    window.badValues = each.badValues
    window.accounted = each.accounted
    window.clockTrusted = each.clockTrusted
    device.addWindow(window)
  }
  return device
}

/** Equal configurations give equal keys, so that a restart under an unchanged configuration shares one plan. */
export function planKey({ windows, rules }: PlanConfig): string {
  return contentKey({ windows, rules })
}

/** JSON that does not depend on the order of keys. */
export function contentKey(content: unknown): string {
  return JSON.stringify(content, (_key, value: unknown) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  )
}
