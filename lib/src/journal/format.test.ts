import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  decodeHeader,
  encodeHeader,
  encodeRecord,
  findRecord,
  headerBytes,
  isRecord,
  recordHeaderBytes,
  scanSegment,
  segmentName,
  segmentNameSequence,
  segmentSeed,
} from './format.ts'

const seed = segmentSeed(1)

function recordOf(offset: number, payload: Uint8Array, kind = 1): Buffer {
  const bytes = Buffer.alloc(recordHeaderBytes + payload.length)
  encodeRecord(bytes, 0, seed, kind, offset, payload)
  return bytes
}

test('a header comes back as it was written, up to the largest sequence', () => {
  const header = {
    version: 1,
    firstSequence: Number.MAX_SAFE_INTEGER,
    previousSequence: 2 ** 32 - 1,
    releasedSequence: 2 ** 32,
    bootId: '0123456789abcdef'.repeat(2),
  }
  expect(encodeHeader(header).length).toBe(headerBytes)
  expect(decodeHeader(encodeHeader(header))).toEqual(header)
  expect(decodeHeader(encodeHeader(header).subarray(1))).toBeUndefined()
})

test('the layout of version 1 never changes', () => {
  const boot = 'f'.repeat(32)
  const header = { version: 1, firstSequence: 258, previousSequence: 257, releasedSequence: 3, bootId: boot }
  expect(encodeHeader(header).toString('hex')).toBe(
    `${Buffer.from('WEIRJRNL').toString('hex')}0100000000000000020100000000000001010000000000000300000000000000${boot}000000007e145af6`,
  )
  expect(recordOf(2, Buffer.from('hi'), 7).toString('hex')).toBe('e2321e7002000007020000006869')
})

test('only names that a journal gives are segments', () => {
  expect(segmentName(42)).toBe('0000000000000042.journal')
  expect(segmentNameSequence('0000000000000042.journal')).toBe(42)
  for (const name of [
    '42.journal',
    'lock',
    '0000000000000042.journal.bak',
    '0000000000000000.journal',
    '9'.repeat(16),
  ]) {
    expect(segmentNameSequence(name), name).toBeUndefined()
  }
  expect(segmentNameSequence(`${'9'.repeat(16)}.journal`)).toBeUndefined()
})

test('zeros are never a record, not even with a fitting checksum', () => {
  const bytes = recordOf(0, Buffer.alloc(0), 0)
  expect(isRecord(bytes, 0, bytes.length, seed)).toBe(false)
  expect(isRecord(Buffer.alloc(64), 0, 64, seed)).toBe(false)
})

test('a record after damage is found only where it could have come to lie', () => {
  const damage = Buffer.alloc(30, 0xff)
  for (const [offset, found] of [
    [4, -1],
    [5, 30],
    [7, 30],
    [8, -1],
  ] as const) {
    expect(findRecord(Buffer.concat([damage, recordOf(offset, Buffer.from('a'))]), 0, seed, 5)).toBe(found)
  }
})

test('whatever bytes lie between records, each undamaged one is found, and nothing else', () => {
  const pieces = fc.array(
    fc.record({ payload: fc.uint8Array({ maxLength: 40 }), noise: fc.uint8Array({ maxLength: 30 }) }),
  )
  fc.assert(
    fc.property(pieces, (list) => {
      const parts = list.map(({ payload, noise }, offset) => Buffer.concat([noise, recordOf(offset, payload)]))
      const bytes = Buffer.concat([Buffer.alloc(headerBytes), ...parts])
      const found: number[] = []
      const damages = scanSegment(bytes, 1, (_, sequence, position) => {
        found.push(sequence)
        expect(isRecord(bytes, position, bytes.length, seed)).toBe(true)
      })
      expect(found).toEqual(list.map((_, offset) => offset + 1))
      expect(damages.map((damage) => damage.bytes)).toEqual(
        list.map((one) => one.noise.length).filter((length) => length > 0),
      )
      for (const damage of damages) expect(damage.throughSequence).toBe(damage.fromSequence - 1)
    }),
  )
})
