import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readSettings } from './host-settings.ts'
import { temporaryFolder } from './test-context.ts'

describe('settings from the environment', () => {
  it('have defaults, for empty variables too', () => {
    expect(readSettings({ WEIR_STATE_FOLDER: '', RuntimeLogLevel: '' })).toMatchObject({
      logLevel: 'info',
      stateFolder: '/var/lib/weir',
      metricsAddress: '9600',
      hubWaitMs: 10_000,
      tokenRenewalMs: 2_400_000,
      defaults: {},
    })
  })

  it('take what is given', () => {
    const file = join(temporaryFolder(), 'defaults.json')
    writeFileSync(file, '{"a":1}')
    expect(
      readSettings({
        RuntimeLogLevel: 'Warning',
        WEIR_DEFAULTS_FILE: file,
        WEIR_TOKEN_RENEWAL_S: '60',
        WEIR_HUB_WAIT_MS: '0',
      }),
    ).toMatchObject({ logLevel: 'warning', defaults: { a: 1 }, tokenRenewalMs: 60_000, hubWaitMs: 0 })
  })

  it.each([
    [{ WEIR_HUB_WAIT_MS: 'soon' }, 'WEIR_HUB_WAIT_MS: "soon" must be a whole number'],
    [{ WEIR_TOKEN_RENEWAL_S: '4000' }, 'WEIR_TOKEN_RENEWAL_S: "4000" must be a whole number from 10 to 3300'],
    [{ WEIR_DEFAULTS_FILE: '/does/not/exist' }, 'WEIR_DEFAULTS_FILE: /does/not/exist cannot be read'],
  ])('%j are refused by name', (environment, text) => {
    expect(() => readSettings(environment)).toThrow(text)
  })

  it('refuse defaults that are no object', () => {
    const file = join(temporaryFolder(), 'defaults.json')
    writeFileSync(file, '[1]')
    expect(() => readSettings({ WEIR_DEFAULTS_FILE: file })).toThrow('must hold a JSON object')
  })
})
