import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Statistics } from './statistics.ts'

function statisticsOf(
  values: readonly (number | boolean | string)[],
  timestampOf = (place: number) => place,
): Statistics {
  const statistics = new Statistics(1)
  values.forEach((value, place) => {
    if (typeof value === 'string') statistics.addText(0, value, timestampOf(place))
    else statistics.addNumber(0, Number(value), typeof value === 'boolean', timestampOf(place))
  })
  return statistics
}

const figuresOf = (values: readonly (number | boolean | string)[]) => statisticsOf(values).figures(0)

/** Mean and sample variance of `integers / scale`, in whole numbers; each is rounded once, at the end. */
function exact(integers: readonly bigint[], scale: bigint): { avg: number; std: number } {
  const count = BigInt(integers.length)
  const sum = integers.reduce((total, value) => total + value, 0n)
  const squares = integers.reduce((total, value) => total + value * value, 0n)
  return {
    avg: divide(sum, count * scale),
    std: Math.sqrt(divide(count * squares - sum * sum, count * (count - 1n) * scale * scale)),
  }
}

/** Quotient with some 30 more digits than a number holds. */
function divide(dividend: bigint, divisor: bigint): number {
  const guard = 10n ** 45n
  return Number((dividend * guard) / divisor) / Number(guard)
}

describe('statistics', () => {
  it('keep twelve digits of the standard deviation on an offset of 1e9', () => {
    const scale = 1024n
    const integers = Array.from({ length: 100_000 }, (_, n) => 10n ** 9n * scale + BigInt((n * 7919) % 4096))
    const { avg, std } = exact(integers, scale)
    const figures = figuresOf(integers.map((value) => Number(value) / Number(scale)))
    expect(Math.abs((figures?.std ?? 0) / std - 1)).toBeLessThan(1e-12)
    expect(Math.abs((figures?.avg ?? 0) / avg - 1)).toBeLessThan(1e-15)
  })

  it('agree with exact arithmetic for any values', () => {
    const integer = fc.bigInt({ min: -(2n ** 40n), max: 2n ** 40n })
    fc.assert(
      fc.property(
        fc.array(integer, { minLength: 2, maxLength: 50 }),
        fc.constantFrom(1n, 8n, 1024n),
        (integers, scale) => {
          const { avg, std } = exact(integers, scale)
          const values = integers.map((value) => Number(value) / Number(scale))
          const figures = figuresOf(values)
          const magnitude = Math.max(...values.map(Math.abs), Number.MIN_VALUE)
          expect(Math.abs((figures?.avg ?? Number.NaN) - avg) / magnitude).toBeLessThan(1e-14)
          expect(Math.abs((figures?.std ?? Number.NaN) - std) / magnitude).toBeLessThan(1e-13)
        },
      ),
    )
  })

  it('have no standard deviation below two numbers', () => {
    expect(figuresOf([5])?.std).toBeUndefined()
    expect(figuresOf([5, 5])?.std).toBe(0)
    expect(figuresOf([5, 'text'])?.std).toBeUndefined()
  })

  it('have none of a signal that had no good value', () => {
    expect(new Statistics(1).figures(0)).toBeUndefined()
  })

  it('name the value of largest magnitude with its sign as the peak', () => {
    expect(figuresOf([3, -7, 6])?.peak).toBe(-7)
    expect(figuresOf([3, 7, -7])?.peak).toBe(7)
  })

  it('take the last value by event time, and of equal times the one taken last', () => {
    const outOfOrder = statisticsOf([1, 2, 3], (place) => [10, 30, 20][place] ?? 0)
    expect(outOfOrder.figures(0)?.last).toBe(2)
    expect(statisticsOf([1, 2], () => 10).figures(0)?.last).toBe(2)
  })

  it('count booleans as the share that was true, without extremes', () => {
    expect(figuresOf([true, false, true, true])).toEqual({ count: 4, avg: 0.75, last: true })
  })

  it('give of strings the last and the count', () => {
    expect(figuresOf(['idle', 'run'])).toEqual({ count: 2, last: 'run' })
  })

  it('keep the figures of numbers where a signal changes its type', () => {
    const figures = figuresOf([4, 'error', 8])
    expect(figures).toMatchObject({ count: 3, avg: 6, min: 4, max: 8, last: 8 })
    expect(figuresOf([4, true])).toMatchObject({ count: 2, last: true, max: 4 })
  })

  it('leave out what is too large for a number', () => {
    const figures = figuresOf([Number.MAX_VALUE, -Number.MAX_VALUE, 1])
    expect(figures?.std).toBeUndefined()
    expect(figures).toMatchObject({ count: 3, max: Number.MAX_VALUE, min: -Number.MAX_VALUE, last: 1 })
  })

  it('keep what they hold when room for more signals is made', () => {
    const statistics = statisticsOf([1, 2, 3])
    const before = statistics.figures(0)
    statistics.reserve(100)
    statistics.addNumber(99, 5, false, 0)
    expect(statistics.figures(0)).toEqual(before)
    expect(statistics.figures(99)?.avg).toBe(5)
  })

  it('go on after a restart as if there had been none', () => {
    const value = fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean(), fc.string())
    fc.assert(
      fc.property(fc.array(value), fc.array(value), (before, after) => {
        const whole = statisticsOf([...before, ...after])
        const parted = Statistics.restore(JSON.parse(JSON.stringify(statisticsOf(before).save())), 1)
        after.forEach((each, place) => {
          const timestampMs = before.length + place
          if (typeof each === 'string') parted.addText(0, each, timestampMs)
          else parted.addNumber(0, Number(each), typeof each === 'boolean', timestampMs)
        })
        expect(JSON.stringify(parted.figures(0))).toBe(JSON.stringify(whole.figures(0)))
      }),
    )
  })
})
