import { describe, expect, it } from 'vitest'
import type { AggregationRule } from './config.ts'
import { makePlan } from './plan.ts'
import { makeRecord, recordText } from './record.ts'
import { Statistics } from './statistics.ts'
import { OpenWindow } from './window.ts'

const source = { deviceId: 'press-4', deviceType: undefined, location: undefined }

function recordOf(values: readonly (number | string)[], rule: Omit<AggregationRule, 'order' | 'select'> | undefined) {
  const statistics = new Statistics(1)
  values.forEach((value, place) => {
    if (typeof value === 'string') statistics.addText(0, value, place)
    else statistics.addNumber(0, value, false, place)
  })
  const plan = makePlan({ windows: { main: { lengthMs: 1_000, lateArrivalMs: 0 } }, rules: {} })
  const window = new OpenWindow(plan, { lengthMs: 1_000, lateArrivalMs: 0 }, 0, statistics)
  return makeRecord(source, window, ['level'], () => rule && { order: 0, select: '*', ...rule })
}

describe('makeRecord', () => {
  it('rounds every figure but the count to the decimals of the rule', () => {
    const functions: AggregationRule['functions'] = ['avg', 'std', 'min', 'max', 'last', 'peak', 'count']
    expect(recordOf([1.005, 2.0049, -3.1379], { functions, decimals: 2 })).toMatchObject({
      avg_level: -0.04,
      std_level: 2.73,
      min_level: -3.14,
      max_level: 2,
      last_level: -3.14,
      peak_level: -3.14,
      count_level: 3,
    })
  })

  it('without decimals gives avg and std nine significant digits, and the others as they came', () => {
    const record = recordOf([0.1 + 0.2, 1 / 3], { functions: ['avg', 'std', 'max', 'last'] })
    expect(record).toMatchObject({
      avg_level: 0.316666667,
      std_level: 0.023570226,
      max_level: 1 / 3,
      last_level: 1 / 3,
    })
  })

  it('writes no minus zero', () => {
    expect(recordOf([-0.001], { functions: ['avg'], decimals: 2 })['avg_level']).toBe(0)
  })

  it('holds no figure of a signal that no rule matches', () => {
    expect(Object.keys(recordOf([1], undefined)).filter((name) => name.includes('_'))).toEqual([])
  })

  it('holds of a string what strings have', () => {
    const record = recordOf(['run'], { functions: ['avg', 'last', 'count'], decimals: 1 })
    expect(record).toMatchObject({ last_level: 'run', count_level: 1 })
    expect(record).not.toHaveProperty('avg_level')
  })
})

describe('recordText', () => {
  const figures = { last_note: 'ü'.repeat(100), last_level: 5 }
  const record = Object.assign(recordOf([1], { functions: ['avg'] }), figures)

  it('is the record as JSON, with its length in bytes', () => {
    const { json, bytes, leftOut } = recordText(record, 10_000)
    expect(JSON.parse(json)).toEqual(record)
    expect(bytes).toBe(Buffer.byteLength(json))
    expect(leftOut).toBe(0)
  })

  it('leaves out figures that do not fit, says how many, and keeps the rest', () => {
    const { bytes: whole } = recordText(record, 10_000)
    const { json, bytes, leftOut } = recordText(record, whole - 100)
    expect(bytes).toBeLessThan(whole)
    expect(leftOut).toBe(1)
    const { last_note: _, ...others } = record
    expect(JSON.parse(json)).toEqual(others)
  })
})
