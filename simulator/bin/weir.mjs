#!/usr/bin/env node
// Runs src/weir.ts from its source, on the Node of the dev dependencies where this one is too old for it.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const nodeMajorMin = 24
const self = fileURLToPath(import.meta.url)
const root = resolve(dirname(self), '../..')

if (Number(process.versions.node.split('.')[0]) >= nodeMajorMin) {
  const { register } = await import('tsx/esm/api')
  register()
  const { runProcess } = await import('../src/weir.ts')
  await runProcess()
} else {
  const node = join(root, 'node_modules', 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
  if (!existsSync(node)) {
    process.stderr.write(`weir: ${node} is missing; run npm run setup\n`)
    process.exit(1)
  }
  const child = spawn(node, [self, ...process.argv.slice(2)], { stdio: 'inherit' })
  // The terminal sends Ctrl-C to the whole group; this process waits for the other to end.
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => child.kill('SIGTERM'))
  child.on('exit', (code, signal) => process.exit(signal === null ? (code ?? 1) : 1))
}
