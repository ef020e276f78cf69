import { receiptSchema, schemaVersion } from '@weir/lib/messages'
import { billedBlocks, meteredBytes, noTraffic } from '@weir/lib/meter'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { addPerRow, outgoingBytes, ReceiptLedger, receiptMessage } from './receipt.ts'

const midnightMs = Date.UTC(2026, 10, 21)
const settings = { windows: ['15s'], units: [['press-4', { temperature: '°C' }] as const] }
const hourMs = 3_600_000
const arrival = { body: 2_000, envelope: 200, properties: 150 }

describe('the baseline of a message per row', () => {
  it('has the bytes that sending each row in the envelope of its message would have', () => {
    const row = fc.record({
      timestamp: fc.constant('2026-11-21T00:00:00.000Z'),
      values: fc.dictionary(fc.string(), fc.integer()),
    })
    fc.assert(
      fc.property(fc.array(row, { minLength: 1, maxLength: 20 }), (readings) => {
        const envelope = { schemaVersion, deviceId: 'press-4', location: 'Halle Süd' }
        const bytesOf = (rows: unknown[]) => Buffer.byteLength(JSON.stringify({ ...envelope, readings: rows }))
        const traffic = noTraffic()
        addPerRow(traffic, { body: bytesOf(readings), envelope: bytesOf([]), properties: 100 }, readings.length)
        expect(traffic).toEqual({
          messages: readings.length,
          bytes: readings.reduce((sum, each) => sum + bytesOf([each]) + 100, 0),
          blocks: readings.length,
        })
      }),
    )
  })

  it('counts the blocks of wide rows', () => {
    const traffic = noTraffic()
    addPerRow(traffic, { body: 50_000, envelope: 100, properties: 100 }, 2)
    expect(traffic.blocks).toBe(2 * billedBlocks(25_150))
  })

  it('has nothing of a message without rows', () => {
    const traffic = noTraffic()
    addPerRow(traffic, arrival, 0)
    expect(traffic).toEqual(noTraffic())
  })
})

describe('the ledger', () => {
  it('weighs what was sent against both baselines', () => {
    const ledger = new ReceiptLedger()
    ledger.tick(0, midnightMs, () => settings)
    for (let n = 0; n < 10; n++) ledger.took(arrival, 4, 28)
    ledger.sent(1_075, 2)
    const receipt = receiptSchema.parse(ledger.current(midnightMs + 1_000, settings))
    expect(receipt).toMatchObject({
      rows: 40,
      values: 280,
      messages: 10,
      records: 2,
      ...{ windows: ['15s'], units: { 'press-4': { temperature: '°C' } } },
    })
    expect(receipt.perMessage).toEqual({
      raw: { messages: 10, bytes: 21_500, blocks: 10 },
      sent: { messages: 1, bytes: 1_075, blocks: 1 },
      savedPct: { messages: 90, bytes: 95, blocks: 90 },
    })
    expect(receipt.perRow.raw).toEqual({ messages: 40, bytes: 31_970, blocks: 40 })
  })

  it('gives one receipt a day, at the end of the UTC day, and begins anew', () => {
    const ledger = new ReceiptLedger()
    const receipts = []
    for (let hour = 20; hour < 75; hour++) {
      ledger.took(arrival, 1, 7)
      const receipt = ledger.tick(hour * hourMs, midnightMs + hour * hourMs, () => settings)
      if (receipt !== undefined) receipts.push(receipt)
    }
    expect(receipts.map(({ periodStart, periodEnd, rows }) => [periodStart, periodEnd, rows])).toEqual([
      ['2026-11-21T20:00:00.000Z', '2026-11-22T00:00:00.000Z', 5],
      ['2026-11-22T00:00:00.000Z', '2026-11-23T00:00:00.000Z', 24],
      ['2026-11-23T00:00:00.000Z', '2026-11-24T00:00:00.000Z', 24],
    ])
    expect(ledger.total.rows).toBe(55)
  })

  it('gives no receipt of minutes when the clock steps over midnight and back', () => {
    const ledger = new ReceiptLedger()
    ledger.tick(0, midnightMs, () => settings)
    expect(ledger.tick(1_000, midnightMs - 60_000, () => settings)).toBeUndefined()
    expect(ledger.tick(2_000, midnightMs, () => settings)).toBeUndefined()
  })

  it('survives a restart within the day', () => {
    const ledger = new ReceiptLedger()
    ledger.tick(0, midnightMs, () => settings)
    ledger.took(arrival, 4, 28)
    const restored = new ReceiptLedger(JSON.parse(JSON.stringify(ledger.save())))
    restored.took(arrival, 1, 7)
    expect(restored.current(midnightMs + 1, settings)).toMatchObject({
      periodStart: '2026-11-21T00:00:00.000Z',
      rows: 5,
    })
  })
})

describe('a message of this module', () => {
  it('is metered with its own properties, the fixed ones and those that the host adds', () => {
    const outgoing = receiptMessage(new ReceiptLedger().current(midnightMs, settings))
    const properties = {
      site: 'plant-7',
      messageType: 'receipt',
      schemaVersion: '1',
      session: 'h1-_aBcD',
      sequence: '123456',
    }
    const system = { contentType: 'application/json', contentEncoding: 'utf-8', messageId: outgoing.messageId }
    expect(outgoingBytes(outgoing, { site: 'plant-7' })).toBe(meteredBytes(outgoing.body.length, properties, system))
  })
})
