import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatPropertyBag, inputTopic, parsePropertyBag, parseTopic, subscriptionOf } from './topics.ts'

const parse = (topic: string) => parseTopic(topic, 'Device_6', 'SensorModule')
const events = 'devices/Device_6/modules/SensorModule/messages/events'
const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
const value = fc.string({ unit: 'grapheme', maxLength: 12 })

describe('messages from a module', () => {
  test('all system properties have their names', () => {
    const bag =
      '%24.cid=1234&%24.mid=mid1&%24.to=d2&%24.uid=u1&%24.on=op1&%24.ct=application%2Fjson&%24.ce=utf-8' +
      '&%24.schema=someschema&%24.ctime=2018-01-31&%24.exp=2030-01-01&%24.ifid=i&%24.sub=c&ack=full&iothub-operation=o'
    expect(parse(`${events}/${bag}&Foo=Bar&Prop2=Value2/`)).toEqual({
      kind: 'message',
      properties: { Foo: 'Bar', Prop2: 'Value2' },
      systemProperties: {
        correlationId: '1234',
        messageId: 'mid1',
        to: 'd2',
        userId: 'u1',
        outputName: 'op1',
        contentType: 'application/json',
        contentEncoding: 'utf-8',
        messageSchema: 'someschema',
        creationTimeUtc: '2018-01-31',
        expiryTimeUtc: '2030-01-01',
        interfaceId: 'i',
        componentName: 'c',
        ack: 'full',
        operation: 'o',
      },
    })
  })

  test.each(['', '/'])('a topic that ends with "events%s" has no properties', (end) => {
    expect(parse(`${events}${end}`)).toEqual({ kind: 'message', properties: {}, systemProperties: {} })
  })

  test('the slash at the end may be missing', () => {
    expect(parse(`${events}/a=b`)).toEqual(parse(`${events}/a=b/`))
  })

  test('a name without a value has an empty one', () => {
    expect(parse(`${events}/a&b=/`)).toMatchObject({ properties: { a: '', b: '' } })
  })

  test('what is no escape sequence stays as it is', () => {
    expect(parse(`${events}/a=100%25&b=100%&c=%FF%41/`)).toMatchObject({
      properties: { a: '100%', b: '100%', c: '%FF%41' },
    })
  })

  test.each([
    'devices/Device_6/modules/Other/messages/events/a=b/',
    'devices/Device_6/messages/events/a=b/',
    `${events}x/a=b/`,
    `${events}/a=b/c=d/`,
    `${events}/a=b=c/`,
    `${events}/=b/`,
    `${events}/a=b&/`,
    '$iothub/twin/GET/',
    '$iothub/twin/GET/?$rid=',
    '$iothub/twin/PATCH/properties/desired/?$rid=1',
    '$iothub/methods/res/200/',
    '$iothub/methods/res/ok/?$rid=1',
    'anything',
  ])('%s is malformed', (topic) => {
    expect(parse(topic).kind).toBe('malformed')
  })

  test('a property called __proto__ is a property like any other', () => {
    const message = parse(`${events}/__proto__=x/`)
    expect(message.kind === 'message' && Object.entries(message.properties)).toEqual([['__proto__', 'x']])
  })
})

describe('twins and methods', () => {
  test('requests carry their id as it came', () => {
    expect(parse('$iothub/twin/GET/?$rid=a%20b')).toEqual({ kind: 'getTwin', requestId: 'a%20b' })
    expect(parse('$iothub/twin/PATCH/properties/reported/?$rid=7&$version=3')).toEqual({
      kind: 'patchReported',
      requestId: '7',
    })
    expect(parse('$iothub/methods/res/-5/?$rid=x')).toEqual({ kind: 'methodResponse', requestId: 'x', status: -5 })
  })

  test('a patch without a request id is a patch all the same', () => {
    expect(parse('$iothub/twin/PATCH/properties/reported/')).toEqual({ kind: 'patchReported', requestId: undefined })
  })
})

describe('deliveries', () => {
  test("edgeHub's golden string: the hub's own sender replaces one that was sent along", () => {
    const topic = inputTopic(
      { deviceId: 'Device1', moduleId: 'Module1', input: 'input1' },
      {
        properties: {
          Foo: 'Bar',
          Prop2: 'Value2',
          Prop3: 'Value3',
          '$.cdid': 'IncorrectDeviceId',
          '$.cmid': 'IncorrectModuleId',
        },
        systemProperties: {
          outputName: 'output',
          contentEncoding: 'utf-8',
          contentType: 'application/json',
          messageSchema: 'schema1',
          to: 'foo',
          userId: 'user1',
          correlationId: '1234',
          messageId: 'm1',
        },
      },
      { deviceId: 'fromDevice1', moduleId: 'fromModule1' },
    )
    expect(topic).toBe(
      'devices/Device1/modules/Module1/inputs/input1/Foo=Bar&Prop2=Value2&Prop3=Value3&%24.cdid=fromDevice1' +
        '&%24.cmid=fromModule1&%24.ce=utf-8&%24.ct=application%2Fjson&%24.schema=schema1&%24.to=foo&%24.uid=user1' +
        '&%24.cid=1234&%24.mid=m1',
    )
  })

  test('what leaves in a topic comes back from it', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.tuple(name, value), { minLength: 1, selector: ([key]) => key }), (entries) => {
        const bag = formatPropertyBag(entries)
        expect(bag).not.toMatch(/[/+#!'()*]/)
        expect(parsePropertyBag(bag)).toEqual(entries)
      }),
    )
  })
})

test('subscriptions are told by their filters, inputs only where they are the own ones', () => {
  const of = (filter: string) => subscriptionOf(filter, 'd', 'm')
  expect(of('devices/d/modules/m/inputs/#')).toBe('inputs')
  expect(of('devices/d/modules/m/#')).toBe('inputs')
  expect(of('devices/d/modules/other/inputs/#')).toBeUndefined()
  expect(of('$iothub/methods/POST/#')).toBe('methods')
  expect(of('$iothub/twin/PATCH/properties/desired/#')).toBe('desired')
  expect(of('$iothub/twin/res/#')).toBe('twinResponses')
  expect(of('#')).toBeUndefined()
})
