import type { IncomingMessage } from 'node:http'
import type { MethodResult } from '@weir/lib/hub'
import type { JsonValue } from '@weir/lib/json'
import { methodPayloadBytesMax } from '@weir/lib/limits'
import { z } from 'zod'
import { decodePathPart, RequestError, readJsonBody } from '../workload/http-json.ts'
import type { MethodCall, MethodFailure } from './methods.ts'

/** The payload, and room for what stands around it. */
const bodyBytesMax = 2 * methodPayloadBytesMax
const nameCharactersMax = 100
const timeoutSecsMax = 300

const requestSchema = z.object({
  methodName: z.string().trim().min(1).max(nameCharactersMax),
  payload: z.json().optional(),
  responseTimeoutInSeconds: z.number().min(5).max(timeoutSecsMax).default(30),
  connectTimeoutInSeconds: z.number().min(0).max(timeoutSecsMax).default(0),
})

export interface MethodApiOptions {
  readonly deviceId: string
  /** Why the token does not prove that the caller is this module; undefined where it does. */
  refuse(moduleId: string, token: string): string | undefined
  call(from: string, call: MethodCall): Promise<MethodResult | MethodFailure>
}

/**
 * Direct methods from module to module: `POST /twins/{device}/modules/{module}/methods` with a SAS token in
 * `Authorization` and the caller in `x-ms-edge-moduleId`.
 * @throws RequestError 400, 401, 404, 504, in edgeHub's order of checks.
 */
export async function answerMethodRequest(request: IncomingMessage, options: MethodApiOptions): Promise<MethodResult> {
  const { pathname } = new URL(request.url ?? '/', 'https://edge-hub')
  const match = /^\/twins\/([^/]+)(?:\/modules\/([^/]+))?\/methods\/?$/.exec(pathname)
  if (request.method !== 'POST' || match?.[1] === undefined) throw new RequestError(404, `no such path: ${pathname}`)
  const call = parseCall(await readJsonBody(request, bodyBytesMax))
  const from = caller(request, options)
  const deviceId = decodePathPart(match[1])
  const moduleId = match[2] === undefined ? undefined : decodePathPart(match[2])
  // Only modules of this device connect here: a device, or another's module, is never found.
  if (deviceId !== options.deviceId || moduleId === undefined) {
    const path = moduleId === undefined ? deviceId : `${deviceId}/${moduleId}`
    throw new RequestError(404, `Client ${path} not found`)
  }
  const result = await options.call(from, { moduleId, ...call })
  if ('failed' in result) throw new RequestError(result.failed, result.message)
  return result
}

function parseCall(body: JsonValue): Omit<MethodCall, 'moduleId'> {
  const parsed = requestSchema.safeParse(body)
  if (!parsed.success) {
    const problems = parsed.error.issues.map(({ path, message }) => `${path.join('/')}: ${message}`)
    throw new RequestError(400, `method request: ${problems.join('; ')}`)
  }
  const { methodName, payload = null, responseTimeoutInSeconds, connectTimeoutInSeconds } = parsed.data
  if (Buffer.byteLength(JSON.stringify(payload)) > methodPayloadBytesMax) {
    throw new RequestError(400, `method request: payload: exceeds ${methodPayloadBytesMax} bytes`)
  }
  return {
    name: methodName,
    payload,
    responseTimeoutMs: responseTimeoutInSeconds * 1000,
    connectTimeoutMs: connectTimeoutInSeconds * 1000,
  }
}

function caller(request: IncomingMessage, { deviceId, refuse }: MethodApiOptions): string {
  const header = request.headers['x-ms-edge-moduleid']
  const [callerDevice, callerModule, ...more] = String(header ?? '').split('/')
  if (callerDevice === undefined || callerModule === undefined || callerModule === '' || more.length > 0) {
    throw new RequestError(400, 'Invalid header value for x-ms-edge-moduleId')
  }
  if (callerDevice !== deviceId) {
    throw new RequestError(401, 'Only modules on the same device can invoke DirectMethods')
  }
  const problem = refuse(callerModule, request.headers.authorization ?? '')
  if (problem !== undefined) {
    throw new RequestError(401, `Unable to authenticate device with Id ${callerDevice}/${callerModule}: ${problem}`)
  }
  return callerModule
}
