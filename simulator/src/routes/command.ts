import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { errorText, WeirError } from '@weir/lib/errors'
import { type Finding, type LintOptions, lintRoutes } from './lint.ts'
import { type Disagreement, runVectors } from './vectors.ts'

export interface CommandOutput {
  readonly stdout: (text: string) => void
  readonly stderr: (text: string) => void
  /** Folder that file names are relative to. */
  readonly cwd: string
}

const usage = `usage: weir routes test FILE       run route vectors; prints each one that disagrees
       weir routes check MANIFEST  check the routes of a deployment manifest
`

/**
 * `weir routes …`. Resolves to the exit code: 0 when all vectors agree or no finding is an error, 1 when not, 2 when
 * the arguments or the file cannot be read.
 */
export async function runRoutesCommand(
  args: readonly string[],
  output: CommandOutput,
  known: LintOptions = {},
): Promise<number> {
  const [verb, file, ...rest] = args
  if (file === undefined || rest.length > 0 || (verb !== 'test' && verb !== 'check')) {
    output.stderr(usage)
    return 2
  }
  try {
    const content = await readJson(resolve(output.cwd, file), file)
    return verb === 'test' ? testVectors(content, output) : checkManifest(content, output, known)
  } catch (error) {
    output.stderr(`${errorText(error)}\n`)
    return 2
  }
}

async function readJson(path: string, name: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, 'utf8'))
  } catch (error) {
    throw new WeirError('CONFIG_REFUSED', `${name}: ${errorText(error)}; expected a readable file of JSON`)
  }
}

function testVectors(content: unknown, output: CommandOutput): number {
  const { passed, failed, disagreements } = runVectors(content)
  for (const disagreement of disagreements) output.stdout(`${describeDisagreement(disagreement)}\n`)
  output.stdout(`${passed} passed, ${failed} failed\n`)
  return failed === 0 ? 0 : 1
}

function describeDisagreement({ section, input, expected, actual }: Disagreement): string {
  return `${section}: ${input}\n  expected ${expected}, got ${actual}`
}

function checkManifest(content: unknown, output: CommandOutput, known: LintOptions): number {
  const findings = lintRoutes(content, known)
  for (const finding of findings) output.stdout(`${describeFinding(finding)}\n`)
  const errors = findings.filter(({ severity }) => severity === 'error').length
  output.stdout(`${errors} errors, ${findings.length - errors} warnings\n`)
  return errors === 0 ? 0 : 1
}

function describeFinding({ severity, route, message, hint }: Finding): string {
  return `${severity}: ${route === undefined ? '' : `route "${route}": `}${message}; ${hint}`
}
