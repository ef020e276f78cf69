import { createHmac, X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSecureContext, connect as tlsConnect, createServer as tlsServer } from 'node:tls'
import { systemClock } from '@weir/lib/clock'
import type { JsonObject } from '@weir/lib/json'
import { ModuleClient } from 'azure-iot-device'
import { Mqtt } from 'azure-iot-device-mqtt'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { startWorkloadApi, type WorkloadApi } from './api.ts'
import { CertificateAuthority } from './certificates.ts'
import { ModuleKeys } from './keys.ts'

const version = 'api-version=2018-06-28'
let folder: string
let socketPath: string
let keys: ModuleKeys
let authority: CertificateAuthority
let api: WorkloadApi

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'weir-workload-'))
  socketPath = join(folder, 'run', 'workload.sock')
  keys = new ModuleKeys(folder)
  keys.identities(['aggregator', '$edgeHub'])
  authority = await CertificateAuthority.open(folder, systemClock)
  api = await start()
})

afterEach(async () => {
  await api.close()
  rmSync(folder, { recursive: true })
})

function start(): Promise<WorkloadApi> {
  return startWorkloadApi({
    socketPath,
    iotHubHostname: 'hub.azure-devices.net',
    deviceId: 'gateway',
    authority,
    clock: systemClock,
    identity: (moduleId) => keys.get(moduleId),
    modules: () => [{ name: 'aggregator', image: 'weir-aggregator:0.1.0', status: 'running' }],
  })
}

function call(
  method: string,
  path: string,
  body?: unknown,
): Promise<{ status: number | undefined; contentType: string | undefined; body: JsonObject }> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, method, path }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        text += chunk
      })
      response.on('end', () =>
        resolve({ status: response.statusCode, contentType: response.headers['content-type'], body: JSON.parse(text) }),
      )
    })
    outgoing.on('error', reject)
    outgoing.end(typeof body === 'string' ? body : body === undefined ? undefined : JSON.stringify(body))
  })
}

function modulePath(
  operation: string,
  moduleId = 'aggregator',
  generationId = keys.get(moduleId)?.generationId,
): string {
  return `/modules/${encodeURIComponent(moduleId)}/genid/${generationId}/${operation}?${version}`
}

describe('the workload API', () => {
  test('only the user can open the socket', () => {
    expect(statSync(socketPath).mode & 0o777).toBe(0o600)
    expect(statSync(join(folder, 'run')).mode & 0o777).toBe(0o700)
  })

  test('answers the trust bundle as PEM', async () => {
    const { status, contentType, body } = await call('GET', `/trust-bundle?${version}`)
    expect(status).toBe(200)
    expect(contentType).toBe('application/json')
    expect(new X509Certificate(String(body['certificate'])).ca).toBe(true)
  })

  test('signs with the key of the module', async () => {
    const data = Buffer.from('hub/devices/gateway/modules/aggregator\n1700000000')
    const { status, body } = await call('POST', modulePath('sign'), {
      keyId: 'primary',
      algo: 'HMACSHA256',
      data: data.toString('base64'),
    })
    const key = Buffer.from(keys.get('aggregator')?.primaryKey ?? '', 'base64')
    expect(status).toBe(200)
    expect(body['digest']).toBe(createHmac('sha256', key).update(data).digest('base64'))
  })

  test('lists the modules as edgelet does', async () => {
    const { body } = await call('GET', `/modules?${version}`)
    expect(body['modules']).toMatchObject([{ name: 'aggregator', status: { runtimeStatus: { status: 'running' } } }])
  })

  const refusals: [string, string, () => string, unknown, number][] = [
    ['a missing api-version', 'GET', () => '/trust-bundle', undefined, 400],
    ['an unknown api-version', 'GET', () => '/trust-bundle?api-version=1999-01-01', undefined, 400],
    ['an unknown path', 'GET', () => `/nothing?${version}`, undefined, 404],
    ['a wrong method', 'POST', () => `/trust-bundle?${version}`, {}, 405],
    ['an unknown module', 'POST', () => modulePath('sign', 'nobody', '1'), {}, 404],
    ['a wrong generation id', 'POST', () => modulePath('sign', 'aggregator', '1'), {}, 404],
    ['another algorithm', 'POST', () => modulePath('sign'), { keyId: 'primary', algo: 'MD5', data: '' }, 400],
    ['a body that is no JSON', 'POST', () => modulePath('sign'), '{', 400],
    ['a body that is too large', 'POST', () => modulePath('sign'), `"${'x'.repeat(2 * 1024 * 1024)}"`, 413],
    ['an encrypt request', 'POST', () => modulePath('encrypt'), {}, 404],
    [
      'an expiration in the past',
      'POST',
      () => modulePath('certificate/server'),
      { commonName: 'gateway', expiration: '2020-01-01T00:00:00Z' },
      400,
    ],
  ]
  test.each(refusals)('refuses %s with a message', async (_what, method, path, body, expected) => {
    const { status, contentType, body: answer } = await call(method, path(), body)
    expect(status).toBe(expected)
    expect(contentType).toBe('application/json')
    expect(answer['message']).toEqual(expect.any(String))
  })

  test('issues an identity certificate that names the module', async () => {
    const { status, body } = await call('POST', `/modules/aggregator/certificate/identity?${version}`, {})
    expect(status).toBe(201)
    const certificate = new X509Certificate(String(body['certificate']))
    expect(certificate.subjectAltName).toContain(
      'URI:azureiot://hub.azure-devices.net/devices/gateway/modules/aggregator',
    )
  })

  test('issues server certificates that a TLS client accepts under each of their names', async () => {
    const { status, body } = await call('POST', modulePath('certificate/server'), {
      commonName: 'gateway-host',
      expiration: '2099-01-01T00:00:00.000Z',
    })
    expect(status).toBe(201)
    const { bytes, type } = body['privateKey'] as { bytes: string; type: string }
    expect(type).toBe('key')
    const server = tlsServer({ cert: String(body['certificate']), key: bytes }, (socket) => socket.end())
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
    const address = server.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    for (const servername of ['gateway-host', 'aggregator', 'localhost']) {
      const socket = tlsConnect({ host: '127.0.0.1', port, servername, ca: authority.trustBundlePem })
      await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject))
      expect(socket.authorized).toBe(true)
      socket.destroy()
    }
    await new Promise((resolve) => server.close(resolve))
  })

  test('caps a certificate at the life of the authority and takes the expiration asked for below it', async () => {
    const ask = async (expiration: string) => {
      const { body } = await call('POST', modulePath('certificate/server', '$edgeHub'), { commonName: 'g', expiration })
      return [body['expiration'], new X509Certificate(String(body['certificate'])).validTo]
    }
    const soon = new Date(Date.now() + 60_000)
    soon.setMilliseconds(0)
    const [expiration, validTo] = await ask(soon.toISOString())
    expect(expiration).toBe(soon.toISOString())
    expect(new Date(String(validTo)).getTime()).toBe(soon.getTime())
    const [capped] = await ask('2999-01-01T00:00:00.000Z')
    expect(new Date(String(capped)).getTime()).toBe(
      new Date(new X509Certificate(authority.trustBundlePem).validTo).getTime(),
    )
  })

  test('a second API on the same socket is refused, a socket left behind by a dead process is replaced', async () => {
    await expect(start()).rejects.toMatchObject({ code: 'STATE_LOCKED' })
    await api.close()
    writeFileSync(socketPath, '')
    api = await start()
    expect((await call('GET', `/trust-bundle?${version}`)).status).toBe(200)
  })

  test('a socket path longer than the system takes is refused by name', async () => {
    const long = join(folder, 'x'.repeat(120))
    await expect(
      startWorkloadApi({
        socketPath: long,
        iotHubHostname: 'h',
        deviceId: 'd',
        authority,
        clock: systemClock,
        identity: () => undefined,
        modules: () => [],
      }),
    ).rejects.toThrow(/exceed the \d+ that a socket's path may have/)
  })

  test('the real device SDK gets its trust bundle and a token whose signature is right', async () => {
    const before = { ...process.env }
    Object.assign(process.env, {
      IOTEDGE_WORKLOADURI: api.uri,
      IOTEDGE_DEVICEID: 'gateway',
      IOTEDGE_MODULEID: 'aggregator',
      IOTEDGE_IOTHUBHOSTNAME: 'hub.azure-devices.net',
      IOTEDGE_AUTHSCHEME: 'sasToken',
      IOTEDGE_MODULEGENERATIONID: keys.get('aggregator')?.generationId,
      IOTEDGE_GATEWAYHOSTNAME: 'localhost',
    })
    try {
      const client = await ModuleClient.fromEnvironment(Mqtt)
      const provider = (client as unknown as { _transport: { _authenticationProvider: CredentialSource } })._transport
        ._authenticationProvider
      const { sharedAccessSignature } = await new Promise<{ sharedAccessSignature: string }>((resolve, reject) => {
        provider.getDeviceCredentials((error, credentials) => (error ? reject(error) : resolve(credentials)))
      })
      provider.stop()
      const token = new URLSearchParams(sharedAccessSignature.replace('SharedAccessSignature ', ''))
      const signed = `${encodeURIComponent(token.get('sr') ?? '')}\n${token.get('se')}`
      const key = Buffer.from(keys.get('aggregator')?.primaryKey ?? '', 'base64')
      expect(token.get('sr')).toBe('hub.azure-devices.net/devices/gateway/modules/aggregator')
      expect(token.get('sig')).toBe(createHmac('sha256', key).update(signed).digest('base64'))
    } finally {
      for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name]
      Object.assign(process.env, before)
    }
  })
})

interface CredentialSource {
  getDeviceCredentials(done: (error: Error | null, credentials: { sharedAccessSignature: string }) => void): void
  stop(): void
}

describe('the state folder', () => {
  test('a restart keeps keys, generation ids and the authority', async () => {
    const again = new ModuleKeys(folder)
    expect(again.identities(['aggregator', '$edgeHub'])).toEqual(keys.identities(['aggregator', '$edgeHub']))
    expect((await CertificateAuthority.open(folder, systemClock)).trustBundlePem).toBe(authority.trustBundlePem)
  })

  test('keys are made per module and readable by their owner alone', () => {
    const [first, second] = keys.identities(['aggregator', 'other'])
    expect(first?.primaryKey).not.toBe(second?.primaryKey)
    expect(Buffer.from(second?.primaryKey ?? '', 'base64')).toHaveLength(32)
    expect(second?.generationId).toMatch(/^\d{18}$/)
    for (const file of ['identities.json', 'authority.pem'])
      expect(statSync(join(folder, file)).mode & 0o777).toBe(0o600)
  })

  test('a module called __proto__ has an identity like any other', () => {
    const [identity] = keys.identities(['__proto__'])
    expect(new ModuleKeys(folder).get('__proto__')).toEqual(identity)
  })

  test('damaged files are refused by name', async () => {
    writeFileSync(join(folder, 'identities.json'), '{"version":1')
    expect(() => new ModuleKeys(folder)).toThrow(/identities\.json: is damaged/)
    writeFileSync(join(folder, 'authority.pem'), readFileSync(join(folder, 'trust-bundle.pem')))
    await expect(CertificateAuthority.open(folder, systemClock)).rejects.toThrow(/authority\.pem: cannot be read/)
  })

  test('an authority in its last day is replaced', async () => {
    const old = authority.trustBundlePem
    const later = { ...systemClock, nowMs: () => new Date(new X509Certificate(old).validTo).getTime() - 1000 }
    const renewed = await CertificateAuthority.open(folder, later)
    expect(renewed.trustBundlePem).not.toBe(old)
    expect(() => createSecureContext({ ca: renewed.trustBundlePem })).not.toThrow()
  })
})
