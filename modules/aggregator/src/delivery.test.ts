import { describe, expect, it } from 'vitest'
import type { DecidedMessage } from './batch.ts'
import { Delivery, savedDeliverySchema } from './delivery.ts'

function message(messageId: string, accounted: number): DecidedMessage {
  return {
    outgoing: {
      output: 'aggregates',
      messageType: 'aggregate',
      messageId,
      body: Buffer.from('[{"é":1}]'),
      properties: { deviceId: 'press-4' },
    },
    records: 1,
    accounted,
    leftOut: 0,
  }
}

function deliveryOf(...accounted: readonly number[]): Delivery {
  const delivery = new Delivery()
  for (const [place, rows] of accounted.entries()) delivery.decide(message(`m${place + 1}`, rows))
  return delivery
}

const idsOf = ({ undelivered }: Delivery) => undelivered.map((each) => each.message.outgoing.messageId)

describe('what became of messages', () => {
  it('keeps each until it is delivered, in the order of decision', () => {
    const delivery = deliveryOf(1, 2, 3)
    expect(idsOf(delivery)).toEqual(['m1', 'm2', 'm3'])
    delivery.delivered(2, 3)
    expect(idsOf(delivery)).toEqual(['m3'])
    delivery.decide(message('m4', 4))
    expect(delivery.undelivered.map(({ number }) => number)).toEqual([3, 4])
    expect(delivery.decided).toBe(4)
  })

  it('knows the rows of those that the hub has not taken, which are the last', () => {
    const delivery = deliveryOf(1, 20, 300)
    expect([0, 1, 2, 3, 9].map((queued) => delivery.rowsUnsent(queued))).toEqual([0, 300, 320, 321, 321])
    delivery.delivered(3, 1)
    expect(delivery.rowsUnsent(3)).toBe(300)
  })

  it('is the same after it was saved', () => {
    const delivery = deliveryOf(1, 20, 300)
    delivery.delivered(1, 2)
    const saved = savedDeliverySchema.parse(JSON.parse(JSON.stringify(delivery.save())))
    const restored = new Delivery(saved)
    expect(restored.undelivered).toEqual(delivery.undelivered)
    expect(restored.rowsUnsent(9)).toBe(320)
    expect(restored.decided).toBe(3)
  })
})
