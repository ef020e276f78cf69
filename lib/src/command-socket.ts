import { chmodSync, mkdirSync, unlinkSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { dirname, join } from 'node:path'
import { errorText } from './errors.ts'
import type { MethodResult } from './hub.ts'
import { asObject, type JsonValue } from './json.ts'
import { methodPayloadBytesMax } from './limits.ts'
import type { Log } from './log.ts'

/** Longest line taken: a payload and its envelope. */
const lineBytesMax = methodPayloadBytesMax + 1024

type Environment = Readonly<Record<string, string | undefined>>

/**
 * Where the socket may be, best first: what the environment says, or the run-time folder, or the state folder. A module
 * deployed under a name of its own goes by that name.
 */
export function socketPaths(environment: Environment, module: string, stateFolder: string): string[] {
  const given = environment['WEIR_COMMAND_SOCKET']
  const name = environment['IOTEDGE_MODULEID'] ?? module
  return given === undefined || given === '' ? [`/run/weir/${name}.sock`, join(stateFolder, 'weir.sock')] : [given]
}

export interface CommandSocket {
  /** undefined where no path could be had. */
  readonly path: string | undefined
  close(): Promise<void>
}

type Answer = (method: string, payload: JsonValue) => Promise<MethodResult>

/**
 * Serves commands on the first of `paths` that can be had: each line `{"method": …, "payload": …}` is answered by a line
 * `{"status": …, "payload": …}`. Only the module's user can open the socket. None to be had is a warning.
 */
export async function serveCommandSocket(paths: readonly string[], answer: Answer, log: Log): Promise<CommandSocket> {
  const problems: string[] = []
  for (const path of paths) {
    const sockets = new Set<Socket>()
    const server = createServer((socket) => {
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket))
      answerLines(socket, answer)
    })
    try {
      await bind(server, path)
    } catch (error) {
      problems.push(`${path}: ${errorText(error)}`)
      continue
    }
    server.unref()
    return {
      path,
      close: () =>
        new Promise((resolve) => {
          server.close(() => resolve())
          for (const socket of sockets) socket.destroy()
        }),
    }
  }
  log.warning(`commands: no socket can be served (${problems.join('; ')}); weir works by direct method only`)
  return { path: undefined, close: async () => {} }
}

/** Binds to `path`; a socket file that nobody serves any more is removed. */
async function bind(server: Server, path: string): Promise<void> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  try {
    await listen(server, path)
  } catch (error) {
    const inUse = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'
    if (!inUse || (await isServed(path))) throw error
    unlinkSync(path)
    await listen(server, path)
  }
  chmodSync(path, 0o600)
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => {
      server.off('error', reject)
      server.on('error', () => {})
      resolve()
    })
  })
}

function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })
}

function answerLines(socket: Socket, answer: Answer): void {
  readLines(socket, (line) => {
    let request: { method: string; payload: JsonValue } | undefined
    try {
      const value = asObject(JSON.parse(line))
      const method = value?.['method']
      if (typeof method === 'string') request = { method, payload: value?.['payload'] ?? null }
    } catch {
      request = undefined
    }
    if (request === undefined) {
      socket.end(
        `${JSON.stringify({ status: 400, payload: { error: { code: 'COMMAND_UNKNOWN', message: 'no request' } } })}\n`,
      )
      return
    }
    void answer(request.method, request.payload).then((result) => socket.write(`${JSON.stringify(result)}\n`))
  })
}

/** Calls `take` for each line; a longer line than any request or answer ends the connection. */
function readLines(socket: Socket, take: (line: string) => void): void {
  let rest = ''
  socket.setEncoding('utf8')
  socket.on('error', () => socket.destroy())
  socket.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) take(line)
    if (rest.length > lineBytesMax) socket.destroy()
  })
}

/** One call over the socket at `path`. Rejects where nobody serves it or the connection ends without an answer. */
export function callSocket(path: string, method: string, payload: JsonValue): Promise<MethodResult> {
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => socket.write(`${JSON.stringify({ method, payload })}\n`))
    socket.once('error', reject)
    socket.once('close', () => reject(new Error(`${path}: closed without an answer`)))
    readLines(socket, (line) => {
      try {
        resolve(JSON.parse(line) as MethodResult)
      } catch (error) {
        reject(error)
      }
      socket.destroy()
    })
  })
}
