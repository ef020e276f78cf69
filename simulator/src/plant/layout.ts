/** The part of a modbus-reader configuration that says which registers a plant must serve. */
import { WeirError } from '@weir/lib/errors'
import { z } from 'zod'
import { byteOrders, isRegisterType, type RegisterPlace } from './registers.ts'

const signalSchema = z.object({
  table: z.enum(['coil', 'discrete', 'holding', 'input']),
  address: z.int().min(0).max(65_535),
  type: z.string().refine(isRegisterType, 'is no type that the simulated plant can serve'),
  scale: z.number().default(1),
  offset: z.number().default(0),
  byteOrder: z.enum(byteOrders).optional(),
})

const readerSchema = z.object({
  links: z.record(z.string(), z.object({ host: z.string().optional(), port: z.int().optional() })),
  devices: z.record(
    z.string(),
    z.object({
      link: z.string(),
      unitId: z.int().min(0).max(255),
      byteOrder: z.enum(byteOrders).default('ABCD'),
      signals: z.record(z.string(), signalSchema),
    }),
  ),
})

export interface PlantDevice {
  readonly deviceId: string
  readonly link: string
  readonly unitId: number
  readonly signals: ReadonlyMap<string, RegisterPlace>
}

/**
 * The devices of a modbus-reader configuration, as a plant serves them.
 * Throws CONFIG_REFUSED naming the first part that it cannot serve.
 */
export function plantDevices(desired: unknown): PlantDevice[] {
  const parsed = readerSchema.safeParse(desired)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    const place = issue?.path.join('/') ?? ''
    throw new WeirError(
      'CONFIG_REFUSED',
      `plant: modbus-reader/${place}: ${issue?.message ?? 'is malformed'}; mend the manifest or start with --plant none`,
    )
  }
  return Object.entries(parsed.data.devices).map(([deviceId, device]) => {
    if (!(device.link in parsed.data.links)) {
      throw new WeirError(
        'CONFIG_REFUSED',
        `plant: modbus-reader/devices/${deviceId}: link ${device.link} is not in links`,
      )
    }
    return {
      deviceId,
      link: device.link,
      unitId: device.unitId,
      signals: new Map(
        Object.entries(device.signals).map(([id, { byteOrder, ...place }]) => [
          id,
          { ...place, byteOrder: byteOrder ?? device.byteOrder },
        ]),
      ),
    }
  })
}
