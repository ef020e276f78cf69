import { chmodSync, rmSync } from 'node:fs'
import { connect, type Server } from 'node:net'
import { dirname } from 'node:path'
import { WeirError } from '@weir/lib/errors'
import { makePrivateFolder } from './private-files.ts'

/** Bytes that `sun_path` holds on Linux, less its closing zero; macOS has 4 fewer. */
export const socketPathBytesMax = process.platform === 'darwin' ? 103 : 107

/**
 * Listens on a unix socket that only its owner can open (0600, in a folder of mode 0700). A socket that a dead process
 * left behind is replaced; one that answers is left alone.
 * @throws WeirError STATE_LOCKED where another process listens, STATE_UNWRITABLE where the path is too long.
 */
export async function listenOnUnixSocket(server: Server, path: string): Promise<void> {
  const bytes = Buffer.byteLength(path)
  if (bytes > socketPathBytesMax) {
    throw new WeirError(
      'STATE_UNWRITABLE',
      `socket ${path}: ${bytes} bytes exceed the ${socketPathBytesMax} that a socket's path may have; choose a shorter state folder`,
    )
  }
  makePrivateFolder(dirname(path))
  if (await answers(path)) {
    throw new WeirError(
      'STATE_LOCKED',
      `socket ${path}: another process listens there; stop it or choose another state folder`,
    )
  }
  rmSync(path, { force: true })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => {
      server.off('error', reject)
      resolve()
    })
  })
  chmodSync(path, 0o600)
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
