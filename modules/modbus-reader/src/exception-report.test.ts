import type { Row } from '@weir/lib/messages'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Deadband, ExceptionReport } from './exception-report.ts'

const timestamp = '2026-01-01T00:00:00.000Z'
const row = (x: number | string | boolean, y = 1): Row => ({ timestamp, values: { x, y } })
const reportOf = (deadband: Partial<Deadband>, urgent = {}) =>
  new ExceptionReport(new Map([['x', { maxSilenceMs: 10_000, ...deadband }]]), new Map([['x', urgent]]))

/** The values of x that are told, polled once a second. */
function told(deadband: Partial<Deadband>, values: readonly (number | string | boolean)[], urgent = {}) {
  const report = reportOf(deadband, urgent)
  return values.flatMap(
    (value, second) => report.filter({ timestamp, values: { x: value } }, second * 1000)?.values['x'] ?? [],
  )
}

describe('report by exception', () => {
  it('tells a value beyond the absolute deadband, measured from the one told last', () => {
    expect(told({ absolute: 1 }, [20, 20.5, 21, 21.1, 20.2, 20.05])).toEqual([20, 21.1, 20.05])
  })

  it('tells a value beyond a share of the one told last', () => {
    expect(told({ percent: 10 }, [100, 109, 111, 101, 99, -1, -1.05, -1.2])).toEqual([100, 111, 99, -1, -1.2])
  })

  it('tells every change where the deadband is 0, and of what is no number', () => {
    expect(told({ absolute: 0 }, [1, 1, 2, 2, 1])).toEqual([1, 2, 1])
    expect(told({}, ['a', 'a', 'b'])).toEqual(['a', 'b'])
    expect(told({}, [true, true, false])).toEqual([true, false])
  })

  it('tells a value that does not change once the silence has lasted long enough', () => {
    const values = new Array<number>(25).fill(7)
    expect(told({ absolute: 1, maxSilenceMs: 10_000 }, values)).toHaveLength(3)
  })

  it('tells a value that crosses an urgent limit within the deadband, either way', () => {
    expect(told({ absolute: 5 }, [79, 80.5, 81, 79.5], { above: 80 })).toEqual([79, 80.5, 79.5])
  })

  it('tells the first value after a time without a good one', () => {
    const report = reportOf({ absolute: 5 })
    report.filter(row(20), 0)
    const bad: Row = { timestamp, values: { y: 1 }, quality: { x: 'noAnswer' } }
    expect(report.filter(bad, 1000)).toEqual(bad)
    expect(report.filter(row(20), 2000)?.values).toEqual({ x: 20, y: 1 })
  })

  it('leaves signals without a deadband, and rows of devices without any, as they are', () => {
    const report = reportOf({ absolute: 5 })
    expect(report.filter(row(20), 0)?.values).toEqual({ x: 20, y: 1 })
    expect(report.filter(row(20), 1000)?.values).toEqual({ y: 1 })
    const none = new ExceptionReport(new Map(), new Map())
    expect([none.filter(row(1), 0), none.filter(row(1), 1)]).toEqual([row(1), row(1)])
  })

  it('never leaves what was told further from the truth than the deadband', () => {
    const values = fc.array(fc.double({ min: -1000, max: 1000, noNaN: true }), { minLength: 1, maxLength: 60 })
    fc.assert(
      fc.property(values, fc.double({ min: 0, max: 50, noNaN: true }), (all, absolute) => {
        const report = reportOf({ absolute })
        let last = Number.NaN
        all.forEach((value, second) => {
          const x = report.filter({ timestamp, values: { x: value } }, second * 1000)?.values['x']
          if (typeof x === 'number') last = x
          expect(Math.abs(value - last)).toBeLessThanOrEqual(absolute)
        })
      }),
    )
  })
})
