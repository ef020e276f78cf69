import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { answerFrames } from './server.ts'

const units = new Map([
  [
    1,
    { coil: new Uint8Array(0), discrete: new Uint8Array(0), holding: Uint16Array.of(7, 8), input: new Uint16Array(0) },
  ],
])

function request(transaction: number, unit = 1): Buffer {
  return Buffer.from([transaction >> 8, transaction & 0xff, 0, 0, 0, 6, unit, 3, 0, 1, 0, 1])
}

function answers(...chunks: Buffer[]): { frames: string[]; rest: Buffer | undefined } {
  const frames: string[] = []
  let rest: Buffer | undefined = Buffer.alloc(0)
  for (const chunk of chunks) {
    if (rest === undefined) break
    rest = answerFrames(units, Buffer.concat([rest, chunk]), (frame) => frames.push(frame.toString('hex')))
  }
  return { frames, rest }
}

describe('a Modbus TCP server', () => {
  test('answers with the transaction and the unit of the request', () => {
    expect(answers(request(0x1234)).frames).toEqual(['1234000000050103020008'])
    expect(answers(request(1, 9)).frames).toEqual(['00010000000309830b'])
  })

  test('answers every request once, in order, however the stream is cut', () => {
    const stream = Buffer.concat([request(1), request(2), request(3)])
    fc.assert(
      fc.property(fc.array(fc.nat({ max: stream.length }), { maxLength: 5 }), (cuts) => {
        const at = [0, ...cuts.toSorted((a, b) => a - b), stream.length]
        const chunks = at.slice(1).map((end, index) => stream.subarray(at[index], end))
        const { frames, rest } = answers(...chunks)
        expect(frames.map((frame) => frame.slice(0, 4))).toEqual(['0001', '0002', '0003'])
        expect(rest?.length).toBe(0)
      }),
    )
  })

  test.each([
    ['another protocol', [0, 1, 0, 9, 0, 6, 1, 3, 0, 1, 0, 1]],
    ['a length that no frame has', [0, 1, 0, 0, 255, 255, 1, 3]],
    ['a frame without a request', [0, 1, 0, 0, 0, 1, 1]],
  ])('gives up a stream with %s', (_name, bytes) => {
    expect(answers(Buffer.from(bytes)).rest).toBeUndefined()
  })
})
