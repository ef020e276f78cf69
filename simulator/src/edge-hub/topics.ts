/**
 * MQTT topics between modules and the edge hub, as edgeHub's protocol head reads and builds them (its topic templates and
 * url-encoded property bags; golden strings of ProtocolGatewayMessageConverterTest).
 */

/** Names on the wire of system properties, and how IoT Hub names them. */
const systemPropertyNames: ReadonlyMap<string, string> = new Map([
  ['$.mid', 'messageId'],
  ['$.cid', 'correlationId'],
  ['$.uid', 'userId'],
  ['$.to', 'to'],
  ['$.exp', 'expiryTimeUtc'],
  ['$.ct', 'contentType'],
  ['$.ce', 'contentEncoding'],
  ['$.on', 'outputName'],
  ['$.schema', 'messageSchema'],
  ['$.ctime', 'creationTimeUtc'],
  ['$.ifid', 'interfaceId'],
  ['$.sub', 'componentName'],
  ['ack', 'ack'],
  ['iothub-operation', 'operation'],
])

/** edgeHub hands these to no module: the output and the plug-and-play names stay behind. */
const notForwarded: ReadonlySet<string> = new Set(['$.on', '$.ifid', '$.sub'])
const forwardedNames: ReadonlyMap<string, string> = new Map(
  [...systemPropertyNames].filter(([wire]) => !notForwarded.has(wire)).map(([wire, name]) => [name, wire]),
)

export interface MessageProperties {
  /** Application properties. */
  readonly properties: Readonly<Record<string, string>>
  /** `messageId`, `contentType`, `contentEncoding`, `outputName`, …: set by the sender. */
  readonly systemProperties: Readonly<Record<string, string>>
}

/** What a module published. `malformed`: edgeHub logs and drops it, and acknowledges it all the same. */
export type ModuleTopic =
  | ({ readonly kind: 'message' } & MessageProperties)
  | { readonly kind: 'getTwin'; readonly requestId: string }
  /** Without a request id the patch is taken and not answered. */
  | { readonly kind: 'patchReported'; readonly requestId: string | undefined }
  | { readonly kind: 'methodResponse'; readonly requestId: string; readonly status: number }
  | { readonly kind: 'malformed'; readonly reason: string }

function malformed(reason: string): ModuleTopic {
  return { kind: 'malformed', reason }
}

/** Reads a topic on which the module `deviceId/moduleId` published. */
export function parseTopic(topic: string, deviceId: string, moduleId: string): ModuleTopic {
  if (topic.startsWith('$iothub/twin/')) return parseTwinTopic(topic.slice('$iothub/twin/'.length))
  if (topic.startsWith('$iothub/methods/res/')) return parseMethodTopic(topic)
  const events = `devices/${deviceId}/modules/${moduleId}/messages/events`
  if (!topic.startsWith(events)) return malformed('no topic of this module')
  return parseMessageTopic(topic.slice(events.length))
}

function parseMessageTopic(rest: string): ModuleTopic {
  if (rest === '' || rest === '/') return { kind: 'message', properties: {}, systemProperties: {} }
  if (!rest.startsWith('/')) return malformed('no topic of this module')
  const bag = rest.endsWith('/') ? rest.slice(1, -1) : rest.slice(1)
  if (bag.includes('/')) return malformed('a / in the properties is not url-encoded')
  const entries = parsePropertyBag(bag)
  if (entries === undefined) return malformed('the properties are no name=value pairs joined by &')
  const properties = new Map<string, string>()
  const systemProperties = new Map<string, string>()
  for (const [name, value] of entries) {
    const systemName = systemPropertyNames.get(name)
    if (systemName === undefined) properties.set(name, value)
    else systemProperties.set(systemName, value)
  }
  // fromEntries defines own properties, so that `__proto__` is a name like any other.
  return {
    kind: 'message',
    properties: Object.fromEntries(properties),
    systemProperties: Object.fromEntries(systemProperties),
  }
}

/** `a=1&b=2`, url-encoded; a name alone has the value ''. Undefined where a name is empty or a value holds `=`. */
export function parsePropertyBag(bag: string): [string, string][] | undefined {
  const entries: [string, string][] = []
  for (const pair of bag.split('&')) {
    const parts = pair.split('=')
    const [name = '', value = ''] = parts
    if (name === '' || parts.length > 2) return undefined
    entries.push([unescapeData(name), unescapeData(value)])
  }
  return entries
}

function parseTwinTopic(rest: string): ModuleTopic {
  const [path = '', query] = splitOnce(rest, '?')
  const requestId = queryValue(query, '$rid')
  if (path === 'GET/') {
    return requestId === undefined ? malformed('a twin request without $rid') : { kind: 'getTwin', requestId }
  }
  if (path === 'PATCH/properties/reported/') return { kind: 'patchReported', requestId }
  return malformed('no twin operation of a module')
}

function parseMethodTopic(topic: string): ModuleTopic {
  const [path = '', query] = splitOnce(topic, '?')
  const status = /^\$iothub\/methods\/res\/(-?\d+)\/$/.exec(path)?.[1]
  const requestId = queryValue(query, '$rid')
  if (status === undefined || requestId === undefined) return malformed('a method response without status or $rid')
  return { kind: 'methodResponse', requestId, status: Number(status) }
}

function splitOnce(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator)
  return at === -1 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)]
}

/** Request ids go back as they came: edgeHub does not decode them. */
function queryValue(query: string | undefined, name: string): string | undefined {
  const pair = query?.split('&').find((each) => each.startsWith(`${name}=`))
  const value = pair?.slice(name.length + 1)
  return value === '' ? undefined : value
}

/**
 * Topic of a delivery: `devices/d/modules/m/inputs/in1/k=v&%24.cdid=…&%24.cmid=…&%24.mid=…`, with no slash at its end.
 * `$.cdid` and `$.cmid` replace properties that a sender gave these names.
 */
export function inputTopic(
  to: { readonly deviceId: string; readonly moduleId: string; readonly input: string },
  message: MessageProperties,
  from: { readonly deviceId: string; readonly moduleId: string },
): string {
  const bag = new Map(Object.entries(message.properties))
  bag.set('$.cdid', from.deviceId).set('$.cmid', from.moduleId)
  for (const [name, value] of Object.entries(message.systemProperties)) {
    const wire = forwardedNames.get(name)
    if (wire !== undefined) bag.set(wire, value)
  }
  return `devices/${to.deviceId}/modules/${to.moduleId}/inputs/${to.input}/${formatPropertyBag(bag)}`
}

export function formatPropertyBag(properties: Iterable<readonly [string, string]>): string {
  return Array.from(properties, ([name, value]) =>
    value === '' ? escapeData(name) : `${escapeData(name)}=${escapeData(value)}`,
  ).join('&')
}

export function twinResponseTopic(status: number, requestId: string): string {
  return `$iothub/twin/res/${status}/?$rid=${requestId}`
}

export function desiredTopic(version: number): string {
  return `$iothub/twin/PATCH/properties/desired/?$version=${version}`
}

export function methodTopic(name: string, requestId: string): string {
  return `$iothub/methods/POST/${name}/?$rid=${requestId}`
}

export type Subscription = 'inputs' | 'methods' | 'desired' | 'twinResponses'

/** What a topic filter of the module subscribes to; undefined: edgeHub grants it and ignores it. */
export function subscriptionOf(filter: string, deviceId: string, moduleId: string): Subscription | undefined {
  if (filter.startsWith('$iothub/methods/POST/')) return 'methods'
  if (filter.startsWith('$iothub/twin/PATCH/properties/desired/')) return 'desired'
  if (filter === '$iothub/twin/res/#') return 'twinResponses'
  const own = `devices/${deviceId}/modules/${moduleId}`
  return filter === `${own}/inputs/#` || filter === `${own}/#` ? 'inputs' : undefined
}

/** RFC 3986: all but unreserved characters, as .NET's EscapeDataString. */
function escapeData(text: string): string {
  return encodeURIComponent(text.isWellFormed() ? text : text.toWellFormed()).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

/** As .NET's UnescapeDataString: what is no escape sequence stays as it is. */
function unescapeData(text: string): string {
  if (!text.includes('%')) return text
  try {
    return decodeURIComponent(text)
  } catch {
    return text.replace(/(%[0-9A-Fa-f]{2})+/g, (escapes) => {
      try {
        return decodeURIComponent(escapes)
      } catch {
        return escapes
      }
    })
  }
}
