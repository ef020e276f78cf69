/**
 * `npm run bundle`: one ESM file per program under `dist/`, as images and benches run them.
 *   dist/modules/<name>/main.mjs, dist/modules/<name>/weir.mjs, dist/edge-hub/main.mjs
 */
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { build, type Plugin } from 'esbuild'

const root = resolve(import.meta.dirname, '..')

/** CommonJS dependencies ask for `require`, `__filename` and `__dirname`, which an ESM file has not by itself. */
const banner = [
  "import { createRequire as weirCreateRequire } from 'node:module'",
  "import { fileURLToPath as weirFileUrlToPath } from 'node:url'",
  "import { dirname as weirDirname } from 'node:path'",
  'const require = weirCreateRequire(import.meta.url)',
  'const __filename = weirFileUrlToPath(import.meta.url)',
  'const __dirname = weirDirname(__filename)',
].join('\n')

/** Native parts and what only other transports need; loaded from node_modules where they are used at all. */
const external = ['@serialport/bindings-cpp', 'serialport']

/**
 * Leaves out what costs every process memory and serves none of them. What a pattern no longer finds, a bundle keeps: it
 * still works, and is larger.
 */
const slim: Plugin = {
  name: 'slim',
  setup({ onLoad, onResolve }) {
    // Uploads files for devices; a module's client has no such thing.
    onResolve({ filter: /^@azure\/storage-blob$/ }, ({ path }) => ({ path, namespace: 'empty' }))
    onLoad({ filter: /.*/, namespace: 'empty' }, () => ({ contents: 'export {}' }))
    // Error texts in some fifty languages; English is loaded by itself.
    onLoad({ filter: /zod\/v4\/locales\/index\.js$/ }, () => ({ contents: 'export {}' }))
    // A cache of all 65,536 packet ids, of about 9 MB; this is its switch.
    onLoad({ filter: /mqtt-packet\/writeToStream\.js$/ }, ({ path }) => ({
      contents: `${readFileSync(path, 'utf8')}\nmodule.exports.cacheNumbers = false\n`,
    }))
  },
}

export async function bundle(entry: string, outFile: string): Promise<number> {
  await build({
    entryPoints: [join(root, entry)],
    outfile: join(root, outFile),
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    minifySyntax: true,
    minifyWhitespace: true,
    keepNames: true,
    sourcemap: 'linked',
    legalComments: 'none',
    banner: { js: banner },
    external,
    plugins: [slim],
    logLevel: 'warning',
  })
  return statSync(join(root, outFile)).size
}

/** Every program: entry and bundle, relative to the root. */
export function programs(): { entry: string; outFile: string }[] {
  const modules = readdirSync(join(root, 'modules'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
  return [
    ...modules.flatMap((name) => [
      { entry: `modules/${name}/src/main.ts`, outFile: `dist/modules/${name}/main.mjs` },
      { entry: 'lib/src/weir-container.ts', outFile: `dist/modules/${name}/weir.mjs` },
    ]),
    { entry: 'simulator/src/edge-hub/main.ts', outFile: 'dist/edge-hub/main.mjs' },
    { entry: 'simulator/src/faults/preload.ts', outFile: 'dist/faults/preload.mjs' },
  ]
}

export async function bundleAll(): Promise<void> {
  rmSync(join(root, 'dist'), { recursive: true, force: true })
  for (const { entry, outFile } of programs()) {
    const bytes = await bundle(entry, outFile)
    process.stdout.write(`${relative(root, join(root, outFile))}: ${(bytes / 1024).toFixed(0)} KiB\n`)
  }
}

if (import.meta.main) await bundleAll()
