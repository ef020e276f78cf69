import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import { errorText, WeirError } from '@weir/lib/errors'
import { isJsonObject, type JsonObject, type JsonValue, toJson } from '@weir/lib/json'
import { methodPayloadBytesMax } from '@weir/lib/limits'
import { z } from 'zod'
import { type Fault, parseFault } from '../faults/fault.ts'
import { decodePathPart, RequestError, readJsonBody, respondError, respondJson } from '../workload/http-json.ts'
import { writePrivateFile } from '../workload/private-files.ts'
import type { Cloud } from './cloud.ts'
import { type CloudMessage, messageLine, messageTypeOf } from './cloud-message.ts'
import { sameSecret } from './edge-hub-link.ts'
import { serviceFileName } from './service-file.ts'

/** A payload of the largest size, as JSON inside a body that says more. */
const bodyBytesMax = 2 * methodPayloadBytesMax
/** A reader of `GET /messages?follow=true` that lags by more is cut off. */
const followBytesMax = 8 * 1024 * 1024
const loopbackNames = new Set(['127.0.0.1', 'localhost', '[::1]'])
const methodCallSchema = z.strictObject({
  payload: z.json().default(null),
  responseTimeoutMs: z.number().optional(),
  connectTimeoutMs: z.number().optional(),
})

const deviceMessageSchema = z.strictObject({
  body: z.json(),
  properties: z.record(z.string(), z.string()).default({}),
  messageId: z.string().min(1).max(128).optional(),
  expirySeconds: z.number().positive().optional(),
})

export interface ServiceApiOptions {
  readonly cloud: Cloud
  /** `service.json` is written there, and removed when the API closes. */
  readonly stateFolder: string
  /** 0, the default, takes a free one. */
  readonly port?: number
  /** What the supervisor knows of each module, by name: flat, shown by `weir modules`. */
  moduleStates?(): Readonly<Record<string, JsonObject>>
  /** The device below the hub, where one can be reached. */
  readonly device?: DeviceOperations | undefined
}

/** What an operator does at the device itself. */
export interface DeviceOperations {
  activeFaults(): readonly Fault[]
  /** @throws RequestError 404 or 409 (see FaultControl.order). */
  orderFault(fault: Fault): Promise<void>
  clearFaults(): Promise<void>
  /** What a module is to be started with by hand. @throws RequestError 404 where there is no such module. */
  environment(moduleId: string): Readonly<Record<string, string>>
  /** Gives a module an identity and an empty twin, where it has none. @throws RequestError 400 for what is no module id. */
  register(moduleId: string): void
}

export interface ServiceApi {
  /** `http://127.0.0.1:<port>` */
  readonly url: string
  /** To be sent as `Authorization: Bearer <token>`; a new one each start. */
  readonly token: string
  close(): Promise<void>
}

interface Call {
  readonly options: ServiceApiOptions
  readonly url: URL
  /** What the groups of the path matched, decoded. */
  readonly parts: readonly string[]
  readonly request: IncomingMessage
  readonly response: ServerResponse
}

interface Operation {
  readonly method: 'GET' | 'PATCH' | 'POST' | 'DELETE'
  readonly path: RegExp
  /** The answer, or undefined where it writes its own. */
  run(call: Call): Promise<JsonValue | undefined>
}

const operations: readonly Operation[] = [
  { method: 'GET', path: /^\/modules$/, run: async ({ options }) => listModules(options) },
  { method: 'GET', path: /^\/report$/, run: async ({ options }) => toJson(options.cloud.report()) },
  { method: 'GET', path: /^\/messages$/, run: async (call) => streamMessages(call) },
  {
    method: 'GET',
    path: /^\/modules\/([^/]+)\/environment$/,
    run: async ({ options, parts: [moduleId = ''] }) => deviceOf(options).environment(moduleId),
  },
  {
    method: 'POST',
    path: /^\/modules\/([^/]+)$/,
    run: async ({ options, parts: [moduleId = ''] }) => {
      deviceOf(options).register(moduleId)
      return { moduleId }
    },
  },
  { method: 'GET', path: /^\/faults$/, run: async ({ options }) => toJson(deviceOf(options).activeFaults()) },
  {
    method: 'POST',
    path: /^\/faults$/,
    run: async ({ options, request }) => {
      const device = deviceOf(options)
      await device.orderFault(faultOf(await readJsonBody(request, bodyBytesMax)))
      return toJson(device.activeFaults())
    },
  },
  {
    method: 'DELETE',
    path: /^\/faults$/,
    run: async ({ options }) => {
      await deviceOf(options).clearFaults()
      return []
    },
  },
  {
    method: 'GET',
    path: /^\/twins\/([^/]+)$/,
    run: async ({ options, parts: [moduleId = ''] }) => {
      const twin = options.cloud.twin(moduleId)
      if (twin === undefined) throw new RequestError(404, `module ${moduleId}: no such module on this device`)
      return { moduleId, ...twin }
    },
  },
  {
    method: 'PATCH',
    path: /^\/twins\/([^/]+)$/,
    run: async ({ options, parts: [moduleId = ''], request }) => {
      const patch = await readJsonBody(request, bodyBytesMax)
      if (!isJsonObject(patch)) throw new RequestError(400, 'the body is no object of desired properties')
      return { moduleId, ...options.cloud.patchDesired(moduleId, patch) }
    },
  },
  {
    method: 'POST',
    path: /^\/modules\/([^/]+)\/methods\/([^/]+)$/,
    run: async ({ options, parts: [moduleId = '', name = ''], request }) => {
      const { payload, ...timeouts } = parse(methodCallSchema, await readJsonBody(request, bodyBytesMax))
      return { ...(await options.cloud.callMethod(moduleId, name, payload as JsonValue, timeouts)) }
    },
  },
  {
    method: 'POST',
    path: /^\/devices\/([^/]+)\/messages$/,
    run: async ({ options, parts: [deviceId = ''], request }) => {
      const body = parse(deviceMessageSchema, await readJsonBody(request, bodyBytesMax))
      const { expirySeconds, ...message } = body
      const expiryMs = expirySeconds === undefined ? undefined : expirySeconds * 1000
      return {
        messageId: options.cloud.deviceMessages.send(deviceId, { ...message, body: body.body as JsonValue, expiryMs }),
      }
    },
  },
  {
    method: 'GET',
    path: /^\/devices\/([^/]+)\/messages\/deviceBound$/,
    run: async ({ options, parts: [deviceId = ''] }) => toJson(options.cloud.deviceMessages.receive(deviceId) ?? null),
  },
  {
    method: 'DELETE',
    path: /^\/devices\/([^/]+)\/messages\/deviceBound\/([^/]+)$/,
    run: async ({ options, url, parts: [deviceId = '', lockToken = ''] }) => {
      options.cloud.deviceMessages.settle(deviceId, lockToken, url.searchParams.has('reject') ? 'reject' : 'complete')
      return null
    },
  },
  {
    method: 'POST',
    path: /^\/devices\/([^/]+)\/messages\/deviceBound\/([^/]+)\/abandon$/,
    run: async ({ options, parts: [deviceId = '', lockToken = ''] }) => {
      options.cloud.deviceMessages.settle(deviceId, lockToken, 'abandon')
      return null
    },
  },
]

/**
 * The service side of the hub stand-in, on loopback: what an operator does from the cloud. Each request needs the
 * token, and a Host header that names the loopback itself (a page whose name resolves here is refused).
 * @throws WeirError STATE_UNWRITABLE where the port is taken or `service.json` cannot be written.
 */
export async function startServiceApi(options: ServiceApiOptions): Promise<ServiceApi> {
  const token = randomBytes(32).toString('base64url')
  const server = createServer((request, response) => {
    answer(options, token, request, response).catch((error: unknown) => respondError(response, error))
  })
  const port = await new Promise<number>((resolve, reject) => {
    const refuse = (error: Error): void => {
      const where = `service API 127.0.0.1:${options.port ?? 0}`
      reject(
        new WeirError('STATE_UNWRITABLE', `${where}: cannot listen (${errorText(error)}); choose another port`, {
          cause: error,
        }),
      )
    }
    server.once('error', refuse)
    server.listen(options.port ?? 0, '127.0.0.1', () => {
      server.off('error', refuse)
      const address = server.address()
      resolve(typeof address === 'object' && address !== null ? address.port : 0)
    })
  })
  const url = `http://127.0.0.1:${port}`
  const file = join(options.stateFolder, serviceFileName)
  writePrivateFile(file, `${JSON.stringify({ url, token, pid: process.pid })}\n`)
  return {
    url,
    token,
    close: () =>
      new Promise((resolve) => {
        rmSync(file, { force: true })
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function answer(
  options: ServiceApiOptions,
  token: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  checkCaller(request, token)
  const url = new URL(request.url ?? '/', 'http://127.0.0.1')
  const matching = operations.filter(({ path }) => path.test(url.pathname))
  const operation = matching.find(({ method }) => method === request.method)
  if (matching.length === 0) throw new RequestError(404, `service API: no such path: ${url.pathname}`)
  if (operation === undefined) {
    const methods = matching.map(({ method }) => method).join(' or ')
    throw new RequestError(405, `service API: ${url.pathname} takes ${methods}, not ${request.method}`)
  }
  const parts = operation.path.exec(url.pathname)?.slice(1).map(decodePathPart) ?? []
  const body = await operation.run({ options, url, parts, request, response })
  if (body !== undefined) respondJson(response, 200, body)
}

function checkCaller({ headers }: IncomingMessage, token: string): void {
  const hostname = headers.host?.replace(/:\d+$/, '').toLowerCase()
  if (hostname === undefined || !loopbackNames.has(hostname)) {
    throw new RequestError(403, `service API: the Host ${headers.host} is none of ${[...loopbackNames].join(', ')}`)
  }
  if (!sameSecret(headers.authorization, `Bearer ${token}`)) {
    throw new RequestError(401, `service API: the bearer token is missing or wrong; it stands in ${serviceFileName}`)
  }
}

function parse<Value>(schema: z.ZodType<Value>, body: JsonValue): Value {
  const parsed = schema.safeParse(body)
  if (parsed.success) return parsed.data
  throw new RequestError(400, `the body is not as expected: ${z.prettifyError(parsed.error)}`)
}

function deviceOf({ device }: ServiceApiOptions): DeviceOperations {
  if (device === undefined) throw new RequestError(404, 'service API: no device is behind this hub')
  return device
}

function faultOf(body: JsonValue): Fault {
  try {
    return parseFault(body, 'fault')
  } catch (error) {
    throw new RequestError(400, errorText(error))
  }
}

function listModules({ cloud, moduleStates }: ServiceApiOptions): JsonValue {
  const states = moduleStates?.() ?? {}
  return cloud.moduleIds.map((moduleId) => {
    const twin = cloud.twin(moduleId)
    return {
      moduleId,
      ...states[moduleId],
      desiredVersion: twin?.desiredVersion ?? 0,
      reportedVersion: twin?.reportedVersion ?? 0,
    }
  })
}

/** JSON lines (messageLine): the recent ones, then with `follow=true` each new one; of `type` alone where that is given. */
function streamMessages({ options: { cloud }, url, response }: Call): undefined {
  const messageType = url.searchParams.get('type')
  const write = (message: CloudMessage): void => {
    if (messageType !== null && messageTypeOf(message) !== messageType) return
    response.write(`${messageLine(message)}\n`)
    if (response.writableLength > followBytesMax) response.destroy()
  }
  response.writeHead(200, { 'content-type': 'application/x-ndjson' })
  response.flushHeaders()
  for (const message of cloud.recentMessages()) write(message)
  if (url.searchParams.get('follow') === 'true') response.once('close', cloud.onMessage(write))
  else response.end()
}
