/** Who a module says it is (MQTT user name) and how it proves it (SAS token), as edgeHub checks both. */
import { createHmac, timingSafeEqual } from 'node:crypto'

export interface UserName {
  readonly deviceId: string
  readonly moduleId: string
}

/**
 * Parses `host/device/module/?api-version=…&DeviceClientType=…`; the `?` may be missing. api-version must be there, its
 * value is ignored.
 * @returns the ids, or what is wrong.
 */
export function parseUserName(userName: string): UserName | string {
  const [, deviceId = '', moduleId = '', options, ...more] = userName.split('/').map((part) => part.trim())
  if (options === undefined || more.length > 0) return 'the user name is not host/device/module/?api-version=…'
  const query = options.startsWith('?') ? options.slice(1) : options
  const apiVersion = query.split('&').find((pair) => pair.startsWith('api-version='))
  if (apiVersion === undefined || apiVersion.trim() === 'api-version=') return 'the user name holds no api-version'
  if (deviceId === '' || moduleId === '') return 'the user name holds an empty id'
  return { deviceId, moduleId }
}

export interface TokenExpectation {
  readonly deviceId: string
  readonly moduleId: string
  /** Names that may stand as host in the audience: the IoT Hub's and the gateway's. */
  readonly hosts: readonly string[]
  /** Base64. */
  readonly primaryKey: string
  readonly nowMs: number
}

/**
 * Verifies `SharedAccessSignature sr=<host/devices/d/modules/m>&sig=<HMAC-SHA256 of sr\nse>&se=<Unix seconds>`.
 * @returns when the token expires, Unix milliseconds, or what is wrong.
 */
export function verifyToken(token: string, expected: TokenExpectation): { readonly expiresMs: number } | string {
  const fields = tokenFields(token)
  const audience = fields?.get('sr')
  const signature = fields?.get('sig')
  const expiry = fields?.get('se')
  if (audience === undefined || signature === undefined || expiry === undefined || !/^\d{1,12}$/.test(expiry)) {
    return 'the password is no SAS token with sr, sig and se'
  }
  if (!isAudience(audience, expected)) return `the token's audience is not ${expected.deviceId}/${expected.moduleId}`
  const expiresMs = Number(expiry) * 1000
  if (expiresMs <= expected.nowMs) return `the token expired at ${new Date(expiresMs).toISOString()}`
  const digest = createHmac('sha256', Buffer.from(expected.primaryKey, 'base64'))
    .update(`${audience}\n${expiry}`)
    .digest()
  const given = Buffer.from(decode(signature) ?? '', 'base64')
  if (given.length !== digest.length || !timingSafeEqual(given, digest)) return "the token's signature is wrong"
  return { expiresMs }
}

function tokenFields(token: string): Map<string, string> | undefined {
  const match = /^SharedAccessSignature\s+(.+)$/.exec(token)
  return match?.[1] === undefined
    ? undefined
    : new Map(
        match[1].split('&').map((pair) => {
          const at = pair.indexOf('=')
          return [pair.slice(0, at), pair.slice(at + 1)]
        }),
      )
}

function isAudience(audience: string, { hosts, deviceId, moduleId }: TokenExpectation): boolean {
  const [host = '', devices, device, modules, module, ...more] = (decode(audience) ?? '').split('/')
  return (
    hosts.some((each) => each.toLowerCase() === host.toLowerCase()) &&
    devices === 'devices' &&
    decode(device ?? '') === deviceId &&
    modules === 'modules' &&
    decode(module ?? '') === moduleId &&
    more.length === 0
  )
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}
