/** A module that publishes what it takes, under the same message id. */
import { runModule } from '@weir/lib/host'
import { z } from 'zod'

await runModule({
  name: 'echo',
  config: { module: 'echo', schema: z.strictObject({ gain: z.number().default(1) }), sample: {} },
  start: (context) => ({
    apply: () => {},
    input: (message) =>
      context.publish({
        output: 'up',
        messageType: 'event',
        messageId: message.messageId ?? '',
        body: message.body,
        properties: {},
      }),
    status: () => ({}),
    commands: [],
    stop: async () => {},
  }),
})
