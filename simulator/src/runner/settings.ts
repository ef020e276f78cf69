import { aggregatorConfig } from '@weir/aggregator/config'
import { windowLabel } from '@weir/aggregator/window'
import { parseConfig } from '@weir/lib/config-parse'
import type { JsonObject } from '@weir/lib/json'
import { modbusConfig } from '@weir/modbus-reader/config'
import type { Cloud } from '../cloud/cloud.ts'
import { aggregatorName, readerName } from './demo.ts'
import type { Settings } from './report.ts'

/** Length of the shortest window, which accounts for rows; undefined where the configuration would be refused. */
function shortestWindowMs(aggregator: JsonObject): number | undefined {
  const parsed = parseConfig(aggregatorConfig, aggregator)
  if (!('config' in parsed)) return undefined
  return Math.min(...Object.values(parsed.config.windows).map(({ lengthMs }) => lengthMs))
}

/** What stands beside every receipt, from the desired properties of the reader and the aggregator, with their defaults. */
export function settingsOf(reader: JsonObject | undefined, aggregator: JsonObject | undefined): Settings {
  const parsed = parseConfig(modbusConfig, reader ?? {})
  const read = reader !== undefined && 'config' in parsed ? parsed.config : undefined
  return {
    pollMs: read?.pollIntervalMs ?? null,
    publishMs: read?.publishIntervalMs ?? null,
    windowMs: (aggregator === undefined ? undefined : shortestWindowMs(aggregator)) ?? null,
  }
}

/** Label of the window whose records account for rows. */
export function accountingLabel({ windowMs }: Settings): string {
  return windowMs === null ? '' : windowLabel(windowMs)
}

/** The settings of a running device: its twins may be patched at any time. */
export function liveSettings(cloud: Pick<Cloud, 'twin'>): () => Settings {
  let versions = ''
  let settings: Settings = { pollMs: null, publishMs: null, windowMs: null }
  return () => {
    const reader = cloud.twin(readerName)
    const aggregator = cloud.twin(aggregatorName)
    const now = `${reader?.desiredVersion} ${aggregator?.desiredVersion}`
    if (now !== versions) settings = settingsOf(reader?.desired, aggregator?.desired)
    versions = now
    return settings
  }
}
