import { join, resolve } from 'node:path'
import { isJsonObject, type JsonObject, mergePatch } from '@weir/lib/json'
import { describe, expect, it } from 'vitest'
import { lintRoutes } from '../routes/lint.ts'
import { readJsonFile } from './load.ts'
import { weirOutputs } from './outputs.ts'

const template = readJsonFile(join(resolve(import.meta.dirname, '../../..'), 'deployment.template.json'))

function withRoutes(routes: JsonObject) {
  if (!isJsonObject(template)) throw new Error('the template is no object')
  const patch = { modulesContent: { $edgeHub: { 'properties.desired': { routes } } } }
  return lintRoutes(mergePatch(template, patch), weirOutputs).map(({ severity, route }) => [severity, route])
}

describe('routes of the template', () => {
  it('have nothing to remark on, every output read and every route fed', () => {
    expect(lintRoutes(template, weirOutputs)).toEqual([])
  })

  it('are remarked on where an output is left unread', () => {
    expect(withRoutes({ alertsUpstream: null })).toEqual([['warning', undefined]])
  })

  it('are remarked on where nobody feeds them or an array is asked for $body', () => {
    const lost = 'FROM /messages/modules/aggregator/outputs/alerts INTO $upstream'
    const array = "FROM /messages/modules/aggregator/outputs/aggregates WHERE $body.window = '1m' INTO $upstream"
    expect(withRoutes({ lost, array })).toEqual([
      ['warning', 'lost'],
      ['warning', 'array'],
    ])
  })
})
