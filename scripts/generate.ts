/** `npm run generate`: writes every generated text; says which changed. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { generatedTexts, root } from './texts.ts'

for (const [file, text] of await generatedTexts()) {
  const path = join(root, file)
  if (existsSync(path) && readFileSync(path, 'utf8') === text) continue
  writeFileSync(path, text)
  process.stdout.write(`${file}: rewritten\n`)
}
