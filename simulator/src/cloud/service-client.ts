import { type IncomingMessage, request } from 'node:http'
import { asObject, type JsonValue } from '@weir/lib/json'
import type { Service } from './service-file.ts'

/** An answer of the service API that is no success. */
export class ServiceError extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/** Calls the service API of a running simulator. A direct method may take minutes, so no time-out is set here. */
export class ServiceClient {
  readonly #service: Service
  readonly #signal: AbortSignal

  /** @param signal Ends the calls that are under way when it is aborted; later ones (to cancel a job) still work. */
  constructor(service: Service, signal: AbortSignal) {
    this.#service = service
    this.#signal = signal
  }

  /** @throws ServiceError, or Error where the simulator cannot be reached. */
  async call(method: 'GET' | 'PATCH' | 'POST' | 'DELETE', path: string, body?: JsonValue): Promise<JsonValue> {
    const response = await this.#request(method, path, body)
    const text = await readAll(response)
    const answer: JsonValue = JSON.parse(text)
    const status = response.statusCode ?? 0
    if (status >= 200 && status < 300) return answer
    throw new ServiceError(status, String(asObject(answer)?.['message'] ?? text))
  }

  /** Calls `take` for each line of the answer until it ends or the signal is aborted. */
  async lines(path: string, take: (line: string) => void): Promise<void> {
    try {
      const response = await this.#request('GET', path, undefined)
      let rest = ''
      response.setEncoding('utf8')
      for await (const chunk of response as AsyncIterable<string>) {
        const lines = (rest + chunk).split('\n')
        rest = lines.pop() ?? ''
        for (const line of lines) take(line)
      }
    } catch (error) {
      if (!this.#signal.aborted) throw error
    }
  }

  #request(method: string, path: string, body: JsonValue | undefined): Promise<IncomingMessage> {
    const { url, token } = this.#service
    const signal = this.#signal.aborted ? {} : { signal: this.#signal }
    const headers = { authorization: `Bearer ${token}` }
    return new Promise((resolve, reject) => {
      const outgoing = request(new URL(path, url), { method, headers, agent: false, ...signal }, resolve)
      outgoing.once('error', (error) => {
        const why = this.#signal.aborted ? 'cancelled' : `the simulator at ${url} cannot be reached: ${error.message}`
        reject(new Error(why, { cause: error }))
      })
      outgoing.end(body === undefined ? undefined : JSON.stringify(body))
    })
  }
}

async function readAll(response: IncomingMessage): Promise<string> {
  let text = ''
  response.setEncoding('utf8')
  for await (const chunk of response as AsyncIterable<string>) text += chunk
  return text
}
