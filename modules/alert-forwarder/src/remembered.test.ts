import { describe, expect, it } from 'vitest'
import { Remembered } from './remembered.ts'

describe('remembered', () => {
  it('tells a repeat from a new name', () => {
    const remembered = new Remembered(10)
    expect(remembered.has('a')).toBe(false)
    remembered.add('a')
    expect(remembered.has('a')).toBe(true)
  })

  it('forgets the oldest first and never holds more than its limit', () => {
    const remembered = new Remembered(2, ['a', 'b', 'c'])
    expect(remembered.names()).toEqual(['b', 'c'])
    remembered.add('d')
    expect(remembered.names()).toEqual(['c', 'd'])
    remembered.resize(1)
    expect(remembered.names()).toEqual(['d'])
    expect(remembered.size).toBe(1)
  })
})
