import { expect, test } from 'vitest'
import { deviceId, iotHubHostname, signToken } from './testing.ts'
import { parseUserName, verifyToken } from './tokens.ts'

const primaryKey = Buffer.from('0123456789abcdef0123456789abcdef').toString('base64')
const nowMs = Date.UTC(2026, 10, 21)
const expected = { deviceId, moduleId: 'aggregator', hosts: [iotHubHostname, 'localhost'], primaryKey, nowMs }
const token = (host = iotHubHostname, moduleId = 'aggregator', key = primaryKey, expiresMs = nowMs + 60_000) =>
  signToken(key, host, moduleId, expiresMs)

test('a user name gives its ids, whatever the api-version is', () => {
  const ids = { deviceId: 'd', moduleId: 'm' }
  expect(parseUserName('hub.azure-devices.net/d/m/?api-version=2021-04-12&DeviceClientType=node')).toEqual(ids)
  expect(parseUserName('hub.azure-devices.net/d/m/api-version=x')).toEqual(ids)
})

test.each([
  '',
  'hub/d/?api-version=1',
  'hub/d/m',
  'hub/d/m/',
  'hub/d/m/?api-version=',
  'hub/d/m/?DeviceClientType=x',
  'hub//m/?api-version=1',
  'hub/d//?api-version=1',
  'hub/d/m/x/?api-version=1',
])('the user name "%s" is refused', (userName) => {
  expect(typeof parseUserName(userName)).toBe('string')
})

test.each([iotHubHostname, 'LocalHost'])('a token for %s tells when it ends', (host) => {
  expect(verifyToken(token(host), expected)).toEqual({ expiresMs: nowMs + 60_000 })
})

test.each([
  ['no token', 'secret', /no SAS token/],
  ['an expiry that is no number', token().replace(/se=\d+/, 'se=soon'), /no SAS token/],
  ['another host', token('other.azure-devices.net'), /audience/],
  ['another module', token(iotHubHostname, 'detector'), /audience/],
  ['a longer audience', token(iotHubHostname, 'aggregator/more'), /audience/],
  ['an expired token', token(iotHubHostname, 'aggregator', primaryKey, nowMs), /expired/],
  ['another key', token(iotHubHostname, 'aggregator', Buffer.from('other').toString('base64')), /signature/],
  ['an expiry that was moved', token().replace(/se=(\d)/, 'se=9$1'), /signature/],
  ['a signature that is no base64', token().replace(/sig=[^&]+/, 'sig=%%%'), /signature/],
])('%s is refused', (_what, wrong, reason) => {
  expect(verifyToken(wrong, expected)).toMatch(reason)
})
