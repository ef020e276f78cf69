import { spawnSync } from 'node:child_process'
import { existsSync, statSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { callSocket, serveCommandSocket, socketPaths } from './command-socket.ts'
import { temporaryFolder, testContext } from './test-context.ts'

const { log, logLines } = testContext()
const echo = async (method: string, payload: unknown) => ({
  status: 200,
  payload: { method, given: JSON.stringify(payload) },
})

describe('the command socket', () => {
  it('answers, and can be opened by its owner only', async () => {
    const path = join(temporaryFolder(), 'run', 'weir.sock')
    const socket = await serveCommandSocket([path], echo, log)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(await callSocket(path, 'ping', { a: 'é\n' })).toEqual({
      status: 200,
      payload: { method: 'ping', given: '{"a":"é\\n"}' },
    })
    await socket.close()
    await expect(callSocket(path, 'ping', null)).rejects.toThrow()
  })

  it('replaces a socket that a process left behind, but not one that is served', async () => {
    const folder = temporaryFolder()
    const path = join(folder, 'weir.sock')
    const first = await serveCommandSocket([path], echo, log)
    const second = await serveCommandSocket([path, join(folder, 'other.sock')], echo, log)
    expect(second.path).toBe(join(folder, 'other.sock'))
    await first.close()
    await second.close()
    const left = join(folder, 'left.sock')
    const program = `require('node:net').createServer().listen(${JSON.stringify(left)}, () => process.kill(process.pid, 'SIGKILL'))`
    spawnSync(process.execPath, ['-e', program])
    expect(existsSync(left)).toBe(true)
    const third = await serveCommandSocket([left], echo, log)
    expect(third.path).toBe(left)
    await third.close()
  })

  it('that cannot be had is a warning', async () => {
    const file = join(temporaryFolder(), 'file')
    writeFileSync(file, '')
    const socket = await serveCommandSocket([join(file, 'weir.sock')], echo, log)
    expect(socket.path).toBeUndefined()
    expect(logLines.join('')).toContain('no socket can be served')
  })

  it.each(['not json', '7', '{"payload":1}', '{"method":7}'])('answers %j with 400', async (line) => {
    const path = join(temporaryFolder(), 'weir.sock')
    const socket = await serveCommandSocket([path], echo, log)
    const answer = await new Promise<string>((resolve) => {
      const client = connect(path, () => client.write(`${line}\n`))
      client.once('data', (chunk) => resolve(chunk.toString()))
    })
    expect(JSON.parse(answer)).toMatchObject({ status: 400 })
    await socket.close()
  })

  it('ends a connection that sends a line without end', async () => {
    const path = join(temporaryFolder(), 'weir.sock')
    const socket = await serveCommandSocket([path], echo, log)
    await new Promise<void>((resolve) => {
      const client = connect(path, () => client.write('x'.repeat(1_000_000)))
      client.on('error', () => {})
      client.once('close', () => resolve())
    })
    await socket.close()
  })

  it('is looked for where the environment says, else under the name of the deployment', () => {
    expect(socketPaths({ WEIR_COMMAND_SOCKET: '/a.sock' }, 'probe', '/state')).toEqual(['/a.sock'])
    expect(socketPaths({ IOTEDGE_MODULEID: 'probe-2' }, 'probe', '/state')).toEqual([
      '/run/weir/probe-2.sock',
      '/state/weir.sock',
    ])
  })
})
