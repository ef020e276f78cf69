import { expect, test } from 'vitest'
import { OwnTwin } from './own-twin.ts'

test('modules are reported under names that a twin can hold', () => {
  const patches: unknown[] = []
  const own = new OwnTwin('gate.way', (moduleId, patch) => patches.push([moduleId, patch]))
  own.client('$edge Agent', true, Date.UTC(2026, 10, 21))
  expect(patches).toEqual([
    [
      '$edgeHub',
      {
        schemaVersion: '1.0',
        clients: {
          'gate%2Eway/%24edge%20Agent': { status: 'Connected', lastConnectedTimeUtc: '2026-11-21T00:00:00.000Z' },
        },
      },
    ],
  ])
})
