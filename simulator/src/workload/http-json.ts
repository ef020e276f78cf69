import type { IncomingMessage, ServerResponse } from 'node:http'
import { errorText } from '@weir/lib/errors'
import type { JsonValue } from '@weir/lib/json'

/** A request that cannot be served; answered as `{message}` with its status. */
export class RequestError extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

export function respondJson(response: ServerResponse, status: number, body: JsonValue): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

/** Answers with the error's own status, or 500 where it has none. */
export function respondError(response: ServerResponse, error: unknown): void {
  if (response.headersSent) {
    response.destroy()
    return
  }
  respondJson(response, error instanceof RequestError ? error.status : 500, { message: errorText(error) })
}

/**
 * The body of a request as JSON; an empty one is `{}`.
 * @throws RequestError 413 above `bytesMax`, 400 where it is no JSON.
 */
export async function readJsonBody(request: IncomingMessage, bytesMax: number): Promise<JsonValue> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > bytesMax) throw new RequestError(413, `the body exceeds ${bytesMax} bytes`)
    chunks.push(chunk)
  }
  const text = Buffer.concat(chunks).toString('utf8')
  if (text === '') return {}
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new RequestError(400, `the body is no JSON: ${errorText(error)}`)
  }
}

/** A percent-encoded part of a path. */
export function decodePathPart(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw new RequestError(400, `${part} in the path is not percent-encoded UTF-8`)
  }
}
