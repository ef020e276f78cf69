/** Texts that are generated from declarations: message and error pages, configuration tables, schemas and samples. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { ConfigDeclaration } from '@weir/lib/config'
import { configSampleText, configSchemaText, configTable } from '@weir/lib/config-texts'
import { errorCatalogue } from '@weir/lib/errors'
import {
  aggregateRecordSchema,
  alertSchema,
  anomalySchema,
  captureSchema,
  eventSchema,
  gapSchema,
  labelSchema,
  qualityReasons,
  rawSchema,
  receiptSchema,
  telemetrySchema,
} from '@weir/lib/messages'
import type { z } from 'zod'
import { fieldTable } from './field-table.ts'

export const root = resolve(import.meta.dirname, '..')

const messagePages: readonly { type: string; path: string; shape: string; schema: z.ZodType }[] = [
  { type: 'telemetry', path: 'readers → aggregator, anomaly-detector', shape: 'object', schema: telemetrySchema },
  { type: 'event', path: 'readers → alert-forwarder', shape: 'object', schema: eventSchema },
  {
    type: 'aggregate',
    path: 'aggregator → IoT Hub, anomaly-detector',
    shape: 'array of',
    schema: aggregateRecordSchema,
  },
  { type: 'raw', path: 'aggregator → IoT Hub', shape: 'object', schema: rawSchema },
  { type: 'gap', path: 'aggregator → IoT Hub', shape: 'object', schema: gapSchema },
  { type: 'receipt', path: 'aggregator → IoT Hub', shape: 'object', schema: receiptSchema },
  { type: 'anomaly', path: 'anomaly-detector → alert-forwarder', shape: 'object', schema: anomalySchema },
  { type: 'capture', path: 'anomaly-detector → aggregator', shape: 'object', schema: captureSchema },
  { type: 'alert', path: 'alert-forwarder → IoT Hub', shape: 'object', schema: alertSchema },
  { type: 'label', path: 'anomaly-detector → IoT Hub', shape: 'object', schema: labelSchema },
]

/** Replaces what stands between `<!-- generated:NAME -->` and its end in `text`; throws where the marks are missing. */
export function replaceGenerated(text: string, name: string, generated: string, file: string): string {
  const start = `<!-- generated:${name} -->`
  const end = `<!-- /generated:${name} -->`
  const from = text.indexOf(start)
  const to = text.indexOf(end)
  if (from < 0 || to < from)
    throw new Error(`${file}: has no ${start} … ${end}; add the two lines where the text belongs`)
  return `${text.slice(0, from + start.length)}\n${generated.trim()}\n${text.slice(to)}`
}

function messagesText(): string {
  const sections = messagePages.map(
    ({ type, path, shape, schema }) =>
      `### \`${type}\`\n\n${path}. ${schema.meta()?.description ?? ''} Body: ${shape}${shape === 'object' ? '' : ' objects'}.\n\n${fieldTable(schema)}`,
  )
  const reasons = Object.entries(qualityReasons).map(([reason, meaning]) => `| \`${reason}\` | ${meaning} |`)
  return `${sections.join('\n\n')}\n\n### Quality\n\n| reason | meaning |\n| --- | --- |\n${reasons.join('\n')}`
}

function errorsText(): string {
  const rows = Object.entries(errorCatalogue).map(
    ([code, { reaction, meaning }]) => `| \`${code}\` | ${reaction} | ${meaning} |`,
  )
  return `| code | what the caller does | meaning |\n| --- | --- | --- |\n${rows.join('\n')}`
}

/** The declaration that `modules/<name>/src/config.ts` exports. */
async function declarationOf(name: string): Promise<ConfigDeclaration<unknown>> {
  const file = join(root, 'modules', name, 'src', 'config.ts')
  const exported = (await import(pathToFileURL(file).href)) as Record<string, unknown>
  const declaration = Object.values(exported).find(
    (value): value is ConfigDeclaration<unknown> => typeof value === 'object' && value !== null && 'sample' in value,
  )
  if (declaration === undefined) throw new Error(`${file}: exports no ConfigDeclaration; export one`)
  return declaration
}

/** Every generated file with the text it should have, by path from the root. */
export async function generatedTexts(): Promise<Map<string, string>> {
  const texts = new Map<string, string>()
  const intoPage = (file: string, name: string, generated: string): void => {
    const text = texts.get(file) ?? readFileSync(join(root, file), 'utf8')
    texts.set(file, replaceGenerated(text, name, generated, file))
  }
  intoPage('docs/messages.md', 'messages', messagesText())
  intoPage('docs/errors.md', 'errors', errorsText())
  for (const name of readdirSync(join(root, 'modules')).filter((entry) =>
    existsSync(join(root, 'modules', entry, 'module.json')),
  )) {
    const declaration = await declarationOf(name)
    texts.set(`modules/${name}/sample.json`, configSampleText(declaration))
    texts.set(`modules/${name}/config.schema.json`, configSchemaText(declaration))
    intoPage(`modules/${name}/README.md`, 'config', configTable(declaration))
  }
  return texts
}
