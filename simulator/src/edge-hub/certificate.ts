import { X509Certificate } from 'node:crypto'
import { request } from 'node:http'
import { type Clock, sleep, type Timer } from '@weir/lib/clock'
import { errorText } from '@weir/lib/errors'
import type { Log } from '@weir/lib/log'
import { z } from 'zod'
import { edgeHubModuleId } from './message.ts'

const apiVersion = '2018-06-28'
const validMs = 90 * 24 * 3_600_000
const answerTimeoutMs = 10_000
const retryDelayMs = 5_000
/** setTimeout takes no more than 2^31-1 ms. */
const timerMsMax = 2 ** 31 - 1
/** Renewed when so much of its life has passed. */
const lifeUsed = 0.8

export interface ServerCertificate {
  /** PEM: the certificate, then its chain. */
  readonly certificate: string
  /** PEM. */
  readonly privateKey: string
}

const answerSchema = z.object({
  certificate: z.string(),
  privateKey: z.object({ type: z.literal('key'), bytes: z.string() }),
})

export interface WorkloadClient {
  /** `unix:///…` or `http://host:port`. */
  readonly workloadUri: string
  readonly generationId: string
}

/** Asks the workload API for a server certificate of the edge hub with this name. */
export async function requestServerCertificate(
  { workloadUri, generationId }: WorkloadClient,
  commonName: string,
  nowMs: number,
): Promise<ServerCertificate> {
  const path = `/modules/${encodeURIComponent(edgeHubModuleId)}/genid/${generationId}/certificate/server`
  const body = JSON.stringify({ commonName, expiration: new Date(nowMs + validMs).toISOString() })
  const { status, text } = await post(workloadUri, `${path}?api-version=${apiVersion}`, body)
  if (status !== 201) throw new Error(`workload API ${workloadUri}: answered ${status} ${text.slice(0, 200)}`)
  const { certificate, privateKey } = answerSchema.parse(JSON.parse(text))
  return { certificate, privateKey: privateKey.bytes }
}

function post(uri: string, path: string, body: string): Promise<{ status: number | undefined; text: string }> {
  const unix = /^unix:\/\/(.+)$/.exec(uri)?.[1]
  const target = unix === undefined ? new URL(uri) : undefined
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        ...(target === undefined ? { socketPath: unix } : { host: target.hostname, port: target.port }),
        method: 'POST',
        path,
        headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
        timeout: answerTimeoutMs,
      },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('end', () => resolve({ status: response.statusCode, text: Buffer.concat(chunks).toString('utf8') }))
        response.on('error', reject)
      },
    )
    outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer within ${answerTimeoutMs} ms`)))
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}

/** When a certificate is to be replaced, Unix milliseconds. */
export function renewalMs(certificate: string): number {
  const { validFromDate, validToDate } = new X509Certificate(certificate)
  const fromMs = validFromDate.getTime()
  return fromMs + (validToDate.getTime() - fromMs) * lifeUsed
}

/** Keeps a server certificate fresh: hands out each new one until `stop`. `renewAfterMs`: at the latest after this. */
export class CertificateKeeper {
  readonly #request: () => Promise<ServerCertificate>
  readonly #renewed: (certificate: ServerCertificate) => void
  readonly #clock: Clock
  readonly #log: Log
  readonly #renewAfterMs: number
  #timer: Timer | undefined
  #stopped = false
  /** What was logged last. */
  #problem = ''

  constructor(
    request: () => Promise<ServerCertificate>,
    renewed: (certificate: ServerCertificate) => void,
    clock: Clock,
    log: Log,
    renewAfterMs = Number.POSITIVE_INFINITY,
  ) {
    this.#request = request
    this.#renewed = renewed
    this.#clock = clock
    this.#log = log
    this.#renewAfterMs = renewAfterMs
  }

  /** Asks until it has one. Rejects where it was stopped meanwhile. */
  async start(): Promise<ServerCertificate> {
    for (;;) {
      const certificate = await this.#try()
      if (certificate !== undefined) {
        this.#plan(certificate)
        return certificate
      }
      await sleep(this.#clock, 500)
      if (this.#stopped) throw new Error('stopped')
    }
  }

  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
  }

  async #try(): Promise<ServerCertificate | undefined> {
    try {
      return await this.#request()
    } catch (error) {
      const problem = errorText(error)
      if (problem !== this.#problem) this.#log.warning(`server certificate: ${problem}; asking again`)
      this.#problem = problem
      return undefined
    }
  }

  #plan(current: ServerCertificate): void {
    const ofLifeMs = Math.max(retryDelayMs, renewalMs(current.certificate) - this.#clock.nowMs())
    const delayMs = Math.min(ofLifeMs, this.#renewAfterMs)
    this.#timer = this.#clock.setTimer(() => void this.#renew(current, delayMs), Math.min(delayMs, timerMsMax))
  }

  async #renew(current: ServerCertificate, delayMs: number): Promise<void> {
    const due = delayMs <= timerMsMax
    const renewed = due ? await this.#try() : undefined
    if (this.#stopped) return
    if (renewed !== undefined) {
      this.#log.info('server certificate: renewed')
      this.#renewed(renewed)
    }
    this.#plan(renewed ?? current)
  }
}
