import {
  createServer as createHttpServer,
  type Server as HttpServer,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http'
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https'
import type { Server } from 'node:net'
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from 'node:tls'
import { errorText, WeirError } from '@weir/lib/errors'
import type { ServerCertificate } from './certificate.ts'

/** Modules run on this machine; nobody else is listened to. */
const host = '127.0.0.1'
const minVersion = 'TLSv1.2'

type Handler = (request: IncomingMessage, response: ServerResponse) => void

export function mqttServer(
  { certificate, privateKey }: ServerCertificate,
  accept: (socket: TLSSocket) => void,
): TlsServer {
  return createTlsServer({ cert: certificate, key: privateKey, minVersion, noDelay: true }, accept)
}

export function httpsServer({ certificate, privateKey }: ServerCertificate, handler: Handler): HttpsServer {
  return createHttpsServer({ cert: certificate, key: privateKey, minVersion }, handler)
}

export function httpServer(handler: Handler): HttpServer {
  return createHttpServer(handler)
}

/** New connections get the new certificate; those that are open stay. */
export function renewCertificate(
  server: TlsServer | HttpsServer,
  { certificate, privateKey }: ServerCertificate,
): void {
  server.setSecureContext({ cert: certificate, key: privateKey, minVersion })
}

/**
 * @param port 0 takes a free one.
 * @param option What chooses another port, for the error.
 * @returns the port.
 * @throws WeirError STATE_LOCKED where the port is taken.
 */
export function listen(server: Server, name: string, port: number, option: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const problem =
        error.code === 'EADDRINUSE'
          ? 'is taken; stop the program that listens there'
          : error.code === 'EACCES'
            ? 'needs more rights than this user has'
            : `cannot be opened: ${errorText(error)}`
      const advice = `choose another port with ${option} (0: any free one)`
      reject(new WeirError('STATE_LOCKED', `edge-hub: ${name} port ${port} ${problem}, or ${advice}`, { cause: error }))
    })
    server.listen(port, host, () => {
      server.removeAllListeners('error')
      // An error after this point concerns one connection.
      server.on('error', () => {})
      const address = server.address()
      resolve(typeof address === 'object' && address !== null ? address.port : port)
    })
  })
}
