import { describe, expect, it } from 'vitest'
import { connectionError, disconnectText, environmentError, fromSdkMessage } from './sdk-values.ts'

describe('values of the SDK', () => {
  it('messages lose the properties that the hub adds, and tell who sent them', () => {
    const message = fromSdkMessage('in1', {
      properties: {
        propertyList: [
          { key: '$.cdid', value: 'gateway' },
          { key: '$.cmid', value: 'reader' },
          { key: 'color', value: 'red' },
          { key: '__proto__', value: 'x' },
        ],
      },
      messageId: 'm1',
      contentType: 'application/json',
      contentEncoding: 'utf-8',
      getData: () => Buffer.from('{}'),
      getBytes: () => Buffer.from('never'),
    })
    expect(message).toMatchObject({ input: 'in1', messageId: 'm1', sourceModuleId: 'reader', body: Buffer.from('{}') })
    expect(Object.entries(message.properties)).toEqual([
      ['color', 'red'],
      ['__proto__', 'x'],
    ])
  })

  it.each([
    [
      'mqtt.js returned Failure on first connection (Not authorized): Connection refused: Not authorized error',
      'HUB_REFUSED',
    ],
    [
      'mqtt.js returned Failure on first connection (Not authorized): connect ECONNREFUSED 127.0.0.1:8883 error',
      'HUB_AWAY',
    ],
    [
      'mqtt.js returned Failure on first connection (Not authorized): self-signed certificate in certificate chain error',
      'HUB_AWAY',
    ],
    ['Connection refused: Bad username or password', 'HUB_REFUSED'],
    ['Connection refused: Identifier rejected', 'HUB_REFUSED'],
    ['Connection refused: Server unavailable', 'HUB_AWAY'],
  ])('the failure %j is %s', (text, code) => {
    const error = connectionError(new Error(text))
    expect(error.code).toBe(code)
    expect(error.message).not.toContain('Failure on first connection')
  })

  it('a missing variable is a refusal, an unreachable workload API is not', () => {
    expect(environmentError(new ReferenceError('Environment variable X was not provided.')).code).toBe('HUB_REFUSED')
    expect(environmentError(new Error('connect ENOENT')).code).toBe('HUB_AWAY')
  })

  it('a disconnect tells its cause', () => {
    expect(disconnectText({ transportObj: new Error('Connection to the server has been closed.') })).toContain('closed')
    expect(disconnectText(undefined)).toBe('connection closed')
  })
})
