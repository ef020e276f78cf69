import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { generatedTexts, replaceGenerated, root } from './texts.ts'

describe('generated texts', () => {
  it('are in step with what they are generated from', async () => {
    const stale: string[] = []
    for (const [file, text] of await generatedTexts()) {
      const path = join(root, file)
      if (existsSync(path) && readFileSync(path, 'utf8') === text) continue
      writeFileSync(path, text)
      stale.push(`${file} was stale; rewritten, commit it`)
    }
    expect(stale).toEqual([])
  })

  it('replace what stands between their marks and nothing else', () => {
    const page = 'before\n<!-- generated:x -->\nold\n<!-- /generated:x -->\nafter'
    expect(replaceGenerated(page, 'x', 'new', 'page')).toBe(
      'before\n<!-- generated:x -->\nnew\n<!-- /generated:x -->\nafter',
    )
    expect(() => replaceGenerated('no marks', 'x', 'new', 'page')).toThrow('page: has no')
  })
})
