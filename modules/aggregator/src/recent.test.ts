import { describe, expect, it } from 'vitest'
import { RecentMessages } from './recent.ts'

const names = (count: number, prefix: string) => Array.from({ length: count }, (_, n) => `${prefix}${n}`)

describe('recent messages', () => {
  it('know a repeat within a session, and take the same id from another session as new', () => {
    const recent = new RecentMessages()
    expect(recent.add('run-1', 'a')).toBe(true)
    expect(recent.add('run-1', 'a')).toBe(false)
    expect(recent.add('run-2', 'a')).toBe(true)
  })

  it('are forgotten oldest first, each session for itself', () => {
    const recent = new RecentMessages()
    recent.add('quiet', 'a')
    for (const id of names(600, 'm')) recent.add('busy', id)
    expect(recent.add('quiet', 'a')).toBe(false)
    expect(recent.add('busy', 'm599')).toBe(false)
    expect(recent.add('busy', 'm0')).toBe(true)
  })

  it('forget the session that was silent longest when there are too many', () => {
    const recent = new RecentMessages()
    for (const session of names(64, 's')) recent.add(session, 'a')
    recent.add('s0', 'b')
    recent.add('new', 'a')
    expect(recent.add('s0', 'a')).toBe(false)
    expect(recent.add('s1', 'a')).toBe(true)
  })

  it('survive a restart', () => {
    const recent = new RecentMessages()
    recent.add('run-1', 'a')
    const restored = new RecentMessages(JSON.parse(JSON.stringify(recent.save())))
    expect(restored.add('run-1', 'a')).toBe(false)
    expect(restored.add('run-1', 'b')).toBe(true)
  })
})
