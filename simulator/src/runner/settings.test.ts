import { expect, test } from 'vitest'
import { accountingLabel, liveSettings, settingsOf } from './settings.ts'

test('settings are those of the configuration, its defaults where it is silent, and of the shortest window', () => {
  const windows = { long: { lengthMs: 900_000 }, main: { lengthMs: 15_000 } }
  const settings = settingsOf({ pollIntervalMs: 250 }, { windows })
  expect(settings).toEqual({ pollMs: 250, publishMs: 1000, windowMs: 15_000 })
  expect(accountingLabel(settings)).toBe('15s')
})

test('there are none without the modules, or where these would refuse the configuration', () => {
  expect(settingsOf(undefined, undefined)).toEqual({ pollMs: null, publishMs: null, windowMs: null })
  expect(settingsOf({ pollIntervalMs: 'often' }, { windows: {} })).toEqual({
    pollMs: null,
    publishMs: null,
    windowMs: null,
  })
  expect(accountingLabel({ pollMs: null, publishMs: null, windowMs: null })).toBe('')
})

test('settings of a running device follow its twins', () => {
  let desiredVersion = 1
  let lengthMs = 15_000
  const settings = liveSettings({
    twin: (module) => ({
      desired: module === 'aggregator' ? { windows: { main: { lengthMs } } } : {},
      desiredVersion,
      reported: {},
      reportedVersion: 1,
    }),
  })
  expect(settings().windowMs).toBe(15_000)
  lengthMs = 30_000
  desiredVersion = 2
  expect(settings().windowMs).toBe(30_000)
})
