import type { ConfigDeclaration } from '@weir/lib/config'
import { idPattern } from '@weir/lib/limits'
import { severities } from '@weir/lib/messages'
import { z } from 'zod'

const schema = z.strictObject({
  rememberedMax: z.int().min(100).max(1_000_000).default(10_000).meta({
    description: 'How many alerts are remembered to tell a repeat from a new one; the oldest are forgotten first.',
  }),
  deviceDown: z
    .strictObject({
      enabled: z
        .boolean()
        .default(true)
        .meta({ description: 'Whether a device that stops answering raises the alert `DEVICE_DOWN`.' }),
      severity: z.enum(severities).default('warning').meta({ description: 'How bad it is.' }),
    })
    .prefault({})
    .meta({ description: 'What becomes of a device that stops answering.' }),
  properties: z
    .record(z.string().regex(idPattern), z.string().max(256))
    .default({})
    .meta({ description: 'Fixed application properties on every alert, for routes in the cloud.' }),
})
export type ForwarderConfig = z.infer<typeof schema>

export const forwarderConfig: ConfigDeclaration<ForwarderConfig> = {
  module: 'alert-forwarder',
  schema,
  sample: {
    rememberedMax: 10_000,
    deviceDown: { enabled: true, severity: 'warning' },
    properties: { site: 'plant-7' },
  },
}
