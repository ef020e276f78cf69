import { createHmac } from 'node:crypto'
import { createServer, type IncomingMessage } from 'node:http'
import type { Clock } from '@weir/lib/clock'
import type { JsonValue } from '@weir/lib/json'
import { z } from 'zod'
import type { ModuleIdentity } from '../upstream-link.ts'
import type { CertificateAuthority, IssuedCertificate } from './certificates.ts'
import { decodePathPart, RequestError, readJsonBody, respondError, respondJson } from './http-json.ts'
import { listenOnUnixSocket } from './unix-socket.ts'

/** Versions of the workload API (edgelet/api/workloadVersion_*.yaml). All of them share what is served here. */
const apiVersions = [
  '2018-06-28',
  '2018-12-30',
  '2019-01-30',
  '2019-10-22',
  '2019-11-05',
  '2020-07-07',
  '2020-07-22',
  '2020-10-10',
  '2021-12-07',
  '2022-08-03',
]
const bodyBytesMax = 1024 * 1024
const identityCertificateValidMs = 90 * 24 * 60 * 60 * 1000

const signSchema = z.object({ keyId: z.string(), algo: z.literal('HMACSHA256'), data: z.base64() })
const date = z.iso.datetime({ offset: true })
const serverCertificateSchema = z.object({ commonName: z.string().min(1).max(253), expiration: date })
const identityCertificateSchema = z.object({ expiration: date.optional() })

export interface ListedModule {
  readonly name: string
  readonly image: string
  /** `running`, `stopped`, … as edgeAgent calls it. */
  readonly status: string
}

export interface WorkloadApiOptions {
  readonly socketPath: string
  readonly iotHubHostname: string
  readonly deviceId: string
  readonly authority: CertificateAuthority
  readonly clock: Clock
  /** The identity of a module, or undefined where there is none. */
  identity(moduleId: string): ModuleIdentity | undefined
  /** What `GET /modules` answers. */
  modules(): readonly ListedModule[]
}

export interface WorkloadApi {
  /** `unix:///…`, for `IOTEDGE_WORKLOADURI`. */
  readonly uri: string
  close(): Promise<void>
}

interface Answer {
  readonly status: 200 | 201
  readonly body: JsonValue
}

/**
 * Serves the IoT Edge workload API on a unix socket that only this user can open.
 * The real daemon tells callers apart by process id; here whoever may open the socket may ask for any module.
 * @throws WeirError STATE_LOCKED or STATE_UNWRITABLE (see listenOnUnixSocket).
 */
export async function startWorkloadApi(options: WorkloadApiOptions): Promise<WorkloadApi> {
  const server = createServer((request, response) => {
    answer(options, request).then(
      ({ status, body }) => respondJson(response, status, body),
      (error: unknown) => respondError(response, error),
    )
  })
  await listenOnUnixSocket(server, options.socketPath)
  return {
    uri: `unix://${options.socketPath}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function answer(options: WorkloadApiOptions, request: IncomingMessage): Promise<Answer> {
  const url = new URL(request.url ?? '/', 'http://workload')
  checkApiVersion(url.searchParams.get('api-version'))
  const operation = operations.find(({ path }) => path.test(url.pathname))
  if (operation === undefined) throw new RequestError(404, `workload API: no such path: ${url.pathname}`)
  if (request.method !== operation.method) {
    throw new RequestError(405, `workload API: ${url.pathname} takes ${operation.method}, not ${request.method}`)
  }
  const groups = operation.path.exec(url.pathname)?.slice(1).map(decodePathPart) ?? []
  return operation.run(options, groups, operation.method === 'POST' ? await readJsonBody(request, bodyBytesMax) : {})
}

function checkApiVersion(version: string | null): void {
  if (version === null) throw new RequestError(400, 'workload API: the query parameter api-version is missing')
  if (!apiVersions.includes(version)) {
    throw new RequestError(400, `workload API: api-version ${version} is none of ${apiVersions.join(', ')}`)
  }
}

interface Operation {
  readonly method: 'GET' | 'POST'
  readonly path: RegExp
  /** `groups`: module id and generation id, where the path holds them. */
  run(options: WorkloadApiOptions, groups: readonly string[], body: unknown): Promise<Answer>
}

const operations: readonly Operation[] = [
  {
    method: 'GET',
    path: /^\/trust-bundle$/,
    run: async ({ authority }) => ({ status: 200, body: { certificate: authority.trustBundlePem } }),
  },
  {
    method: 'GET',
    path: /^\/modules$/,
    run: async (options) => ({ status: 200, body: { modules: options.modules().map(moduleDetails) } }),
  },
  {
    method: 'POST',
    path: /^\/modules\/([^/]+)\/genid\/([^/]+)\/sign$/,
    async run(options, [moduleId = '', generationId = ''], body) {
      const identity = knownModule(options, moduleId, generationId)
      const { data } = parse(signSchema, body)
      const key = Buffer.from(identity.primaryKey, 'base64')
      const digest = createHmac('sha256', key).update(Buffer.from(data, 'base64')).digest('base64')
      return { status: 200, body: { digest } }
    },
  },
  {
    method: 'POST',
    path: /^\/modules\/([^/]+)\/genid\/([^/]+)\/certificate\/server$/,
    async run(options, [moduleId = '', generationId = ''], body) {
      knownModule(options, moduleId, generationId)
      const { commonName, expiration } = parse(serverCertificateSchema, body)
      return issued(
        await options.authority.issueServer({ commonName, moduleId, expiration: future(options.clock, expiration) }),
      )
    },
  },
  {
    method: 'POST',
    path: /^\/modules\/([^/]+)\/certificate\/identity$/,
    async run(options, [moduleId = ''], body) {
      knownModule(options, moduleId)
      const { expiration } = parse(identityCertificateSchema, body)
      return issued(
        await options.authority.issueIdentity({
          moduleId,
          uri: `azureiot://${options.iotHubHostname}/devices/${options.deviceId}/modules/${encodeURIComponent(moduleId)}`,
          expiration:
            expiration === undefined
              ? new Date(options.clock.nowMs() + identityCertificateValidMs)
              : future(options.clock, expiration),
        }),
      )
    },
  },
]

function moduleDetails({ name, image, status }: ListedModule): JsonValue {
  return {
    id: name,
    name,
    type: 'docker',
    config: { settings: { image }, env: [] },
    status: { runtimeStatus: { status } },
  }
}

function knownModule(options: WorkloadApiOptions, moduleId: string, generationId?: string): ModuleIdentity {
  const identity = options.identity(moduleId)
  if (identity === undefined) throw new RequestError(404, `workload API: module ${moduleId} not found`)
  if (generationId !== undefined && generationId !== identity.generationId) {
    throw new RequestError(404, `workload API: module ${moduleId} has no generation ${generationId}`)
  }
  return identity
}

function future(clock: Clock, expiration: string): Date {
  const date = new Date(expiration)
  if (date.getTime() <= clock.nowMs())
    throw new RequestError(400, `workload API: expiration ${expiration} is in the past`)
  return date
}

function issued(certificate: IssuedCertificate): Answer {
  return {
    status: 201,
    body: {
      privateKey: { type: 'key', bytes: certificate.privateKeyPem },
      certificate: certificate.certificatePem,
      expiration: certificate.expiration.toISOString(),
    },
  }
}

function parse<Value>(schema: z.ZodType<Value>, body: unknown): Value {
  const parsed = schema.safeParse(body)
  if (parsed.success) return parsed.data
  const problems = parsed.error.issues.map((issue) => `${issue.path.join('/')}: ${issue.message}`)
  throw new RequestError(400, `workload API: the body is not as expected: ${problems.join('; ')}`)
}
