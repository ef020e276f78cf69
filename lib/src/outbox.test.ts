import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ManualClock } from './clock.ts'
import { WeirError } from './errors.ts'
import { MemoryHub } from './memory-hub.ts'
import { MemoryMetrics } from './metrics-memory.ts'
import type { Outgoing } from './module.ts'
import { Outbox } from './outbox.ts'
import { MemoryOutboxStore, type OutboxStore } from './outbox-store.ts'

function outgoing(messageId: string, changes: Partial<Outgoing> = {}): Outgoing {
  return { output: 'out', messageType: 'telemetry', messageId, body: Buffer.from('{}'), properties: {}, ...changes }
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 40; turn++) await Promise.resolve()
}

async function bench(changes: { store?: OutboxStore; bytesMax?: number } = {}) {
  const clock = new ManualClock()
  const hub = new MemoryHub()
  const rejected: string[] = []
  const failures: unknown[] = []
  const store =
    changes.store ??
    new MemoryOutboxStore(changes.bytesMax ?? 1_000_000, ({ messageId }) => rejected.push(`queueFull ${messageId}`))
  const outbox = new Outbox({
    hub,
    clock,
    metrics: new MemoryMetrics(),
    session: 'session1',
    store,
    giveUp: (_message, reason, detail) => rejected.push(`${reason} ${detail}`),
    fail: (error) => failures.push(error),
  })
  hub.onConnection((connected) => outbox.setConnected(connected))
  await hub.open()
  return { clock, hub, rejected, failures, outbox, sent: () => hub.sent.map((message) => message.messageId) }
}

describe('the outbox', () => {
  it('sends again the same, with the same id and sequence, until the hub has it', async () => {
    const { clock, hub, outbox } = await bench()
    hub.failSends(3)
    outbox.publish(outgoing('m1'))
    await settle()
    for (let step = 0; step < 20; step++) {
      clock.advance(1_000)
      await settle()
    }
    expect(hub.tries).toHaveLength(4)
    for (const each of hub.tries) expect(each).toEqual(hub.sent[0])
    expect(outbox.messages).toBe(0)
  })

  it('lets urgent messages overtake all that wait, and marks them', async () => {
    const { hub, outbox, sent } = await bench()
    hub.disconnect()
    for (let index = 0; index < 100; index++) outbox.publish(outgoing(`m${index}`))
    outbox.publish(outgoing('alert', { output: 'alerts', urgent: true }))
    await hub.open()
    await settle()
    expect(sent()[0]).toBe('alert')
    expect(hub.sent[0]?.properties['priority']).toBe('high')
    expect(sent()).toHaveLength(101)
  })

  it('loses and reorders nothing, whenever the connection is cut', async () => {
    const steps = fc.array(fc.constantFrom('publish', 'hang', 'take', 'settle', 'cut'), { maxLength: 60 })
    await fc.assert(
      fc.asyncProperty(steps, async (each) => {
        const { clock, hub, outbox, sent } = await bench()
        const published: string[] = []
        for (const step of each) {
          if (step === 'publish') {
            published.push(`m${published.length}`)
            outbox.publish(outgoing(`m${published.length - 1}`))
          } else if (step === 'hang') hub.hangSends()
          else if (step === 'take') hub.takeSends()
          else if (step === 'settle') await settle()
          else {
            hub.disconnect()
            await settle()
            await hub.open()
          }
        }
        hub.takeSends()
        for (let second = 0; second < 30; second++) {
          clock.advance(1_000)
          await settle()
        }
        expect(sent().filter((id, index, all) => all.indexOf(id) === index)).toEqual(published)
        expect(outbox.messages).toBe(0)
      }),
      { numRuns: 60 },
    )
  })

  it('counts sequences by output, and gives the parts of one row the same', async () => {
    const { hub, outbox } = await bench()
    outbox.publish(outgoing('a'))
    outbox.publish(outgoing('b1', { properties: { part: '1' } }))
    outbox.publish(outgoing('b2', { properties: { part: '2' } }))
    outbox.publish(outgoing('c'))
    outbox.publish(outgoing('d', { output: 'other' }))
    await settle()
    expect(hub.sent.map((message) => message.properties['sequence'])).toEqual(['1', '2', '2', '3', '1'])
  })

  it('refuses what exceeds 256 KiB with its properties, and names it', async () => {
    const { outbox, rejected, sent } = await bench()
    outbox.publish(outgoing('big', { body: Buffer.alloc(256 * 1024) }))
    outbox.publish(outgoing('small'))
    await settle()
    expect(rejected).toEqual([expect.stringContaining('messageTooLarge telemetry big at output out')])
    expect(sent()).toEqual(['small'])
  })

  it('drops what the hub refuses for good, and goes on', async () => {
    const { hub, outbox, rejected, sent } = await bench()
    hub.failSends(1, new WeirError('MESSAGE_TOO_LARGE', 'too large'))
    outbox.publish(outgoing('m1'))
    outbox.publish(outgoing('m2'))
    await settle()
    expect(rejected).toEqual(['sendRefused message m1: too large'])
    expect(sent()).toEqual(['m2'])
  })

  it('gives up the oldest when it is full, urgent ones last, and names each', async () => {
    const { hub, outbox, rejected, sent } = await bench({ bytesMax: 5_000 })
    hub.disconnect()
    outbox.publish(outgoing('alert', { urgent: true }))
    for (let index = 0; index < 10; index++) outbox.publish(outgoing(`m${index}`, { body: Buffer.alloc(700) }))
    await hub.open()
    await settle()
    expect(sent()).toEqual(['alert', 'm6', 'm7', 'm8', 'm9'])
    expect(rejected).toEqual([0, 1, 2, 3, 4, 5].map((index) => `queueFull m${index}`))
  })

  it('reports a store that takes nothing any more, and does not throw', async () => {
    const error = new WeirError('STATE_UNWRITABLE', 'disk full')
    const store = new MemoryOutboxStore(1000, () => {})
    store.append = () => {
      throw error
    }
    const { failures, outbox } = await bench({ store })
    outbox.publish(outgoing('m1'))
    expect(failures).toEqual([error])
  })

  it('brings urgent messages to the disk at once, many by one write', async () => {
    const store = new MemoryOutboxStore(1_000_000, () => {})
    let syncs = 0
    store.sync = () => {
      syncs += 1
    }
    const { outbox } = await bench({ store })
    outbox.publish(outgoing('m1'))
    await settle()
    expect(syncs).toBe(0)
    for (let index = 0; index < 100; index++) outbox.publish(outgoing(`a${index}`, { urgent: true }))
    outbox.syncUrgent()
    expect(syncs).toBe(1)
    outbox.publish(outgoing('later', { urgent: true }))
    await settle()
    expect(syncs).toBe(2)
  })

  it('is drained once the hub has all, or is away', async () => {
    const { hub, outbox } = await bench()
    hub.hangSends()
    outbox.publish(outgoing('m1'))
    let drained = false
    void outbox.drained().then(() => {
      drained = true
    })
    await settle()
    expect(drained).toBe(false)
    hub.disconnect()
    await settle()
    expect(drained).toBe(true)
  })
})
