// Runs one of the project's programs on the Node that the lock file names, after installing what is missing or stale.
// It may use nothing but Node's own modules: on a fresh clone there is nothing else yet.
//
//   node scripts/run.mjs                      set up only
//   node scripts/run.mjs FILE [argument …]    set up, then run FILE (.ts through tsx)
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import process from 'node:process'
import { pathToFileURL } from 'node:url'

const root = resolve(import.meta.dirname ?? new URL('.', import.meta.url).pathname, '..')
const nodeMajorMin = 20

function fail(message) {
  process.stderr.write(`weir: ${message}\n`)
  process.exit(1)
}

/** Installs the lock file's packages unless exactly these are there. The mark is written last, so a broken install is redone. */
function setUp() {
  const lock = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex')
  const wanted = `${lock} ${process.platform} ${process.arch}\n`
  const mark = join(root, 'node_modules', '.weir-installed')
  if (existsSync(mark) && readFileSync(mark, 'utf8') === wanted) return
  process.stderr.write('weir: installing what package-lock.json names (a minute, once)\n')
  const npm = process.env.npm_execpath
  const command = npm?.endsWith('.js') ? [process.execPath, npm] : [process.platform === 'win32' ? 'npm.cmd' : 'npm']
  const done = spawnSync(
    command[0],
    [...command.slice(1), 'ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'],
    {
      cwd: root,
      stdio: ['ignore', 2, 2],
    },
  )
  if (done.error) fail(`npm could not be started: ${done.error.message}; install npm, then run the command again`)
  if (done.status !== 0) fail('npm ci failed; its own message stands above: mend that, then run the command again')
  writeFileSync(mark, wanted)
}

/** The Node of the dev dependencies; named outright, since a shell may remember where it found `node` before it was installed. */
function nodePath() {
  const node = join(root, 'node_modules', 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
  if (!existsSync(node)) fail(`${node} is missing; delete node_modules and run the command again`)
  return node
}

if (Number(process.versions.node.split('.')[0]) < nodeMajorMin) {
  fail(
    `Node ${process.versions.node} is too old: ${nodeMajorMin} or newer is needed; install it, then run the command again`,
  )
}
setUp()
const [file, ...rest] = process.argv.slice(2)
if (file !== undefined) {
  const loader = file.endsWith('.ts')
    ? ['--import', pathToFileURL(join(root, 'node_modules', 'tsx', 'dist', 'esm', 'index.mjs')).href]
    : []
  const node = nodePath()
  const child = spawn(node, [...loader, join(root, file), ...rest], {
    // Over the channel the program learns that this process is gone, even where it was killed.
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    env: {
      ...process.env,
      PATH: `${join(node, '..')}${process.platform === 'win32' ? ';' : ':'}${process.env.PATH ?? ''}`,
    },
  })
  // The terminal sends Ctrl-C to the whole group; a signal sent to this process alone is passed on.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal)
    })
  }
  child.on('exit', (code, signal) => process.exit(signal ? 1 : (code ?? 1)))
}
