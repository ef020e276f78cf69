import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openStateFolder } from './state-folder.ts'

let folder = ''
let server: Server | undefined

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weir-state-'))
})
afterEach(() => {
  server?.close()
  server = undefined
  rmSync(folder, { recursive: true, force: true })
})

async function listen(): Promise<number> {
  server = createServer((_request, response) => response.end('[]'))
  await new Promise<void>((done) => server?.listen(0, '127.0.0.1', done))
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

function serviceFile(port: number): void {
  const service = { url: `http://127.0.0.1:${port}`, token: 'x', pid: process.pid }
  writeFileSync(join(folder, 'service.json'), JSON.stringify(service))
}

describe('a state folder that is named', () => {
  test('is made where it is missing, and used from the second time on', async () => {
    const path = join(folder, 'new')
    expect(await openStateFolder(path)).toEqual({ path, isUsed: false })
    expect(await openStateFolder(path)).toEqual({ path, isUsed: true })
  })

  test('is refused while another simulator runs on it', async () => {
    serviceFile(await listen())
    await expect(openStateFolder(folder)).rejects.toThrow('another simulator runs on it')
  })

  test('is taken over from a simulator that was killed, even where its process id is in use again', async () => {
    const port = await listen()
    server?.close()
    serviceFile(port)
    expect(await openStateFolder(folder)).toEqual({ path: folder, isUsed: true })
  })
})
