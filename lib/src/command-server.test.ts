import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { ManualClock } from './clock.ts'
import { type Command, command } from './command.ts'
import { CommandServer } from './command-server.ts'
import { WeirError } from './errors.ts'
import { methodResponseTimeoutMsMax } from './limits.ts'

function declare(name: string, run: Command['run'], job = false): Command {
  return command({
    name,
    summary: `Does ${name}.`,
    arguments: z.strictObject({ value: z.number().optional() }),
    job,
    run,
  })
}

const never = new Promise<never>(() => {})

function bench(commands: readonly Command[] = []) {
  const clock = new ManualClock()
  const server = new CommandServer({
    clock,
    module: 'probe',
    version: '1',
    status: () => ({ state: 'running' }),
    commands: () => commands,
  })
  return { clock, server }
}

describe('commands', () => {
  it('that every module has are there', async () => {
    const { server } = bench()
    expect(await server.call('ping', null)).toEqual({ status: 200, payload: { module: 'probe', version: '1' } })
    expect(await server.call('getStatus', {})).toEqual({ status: 200, payload: { state: 'running' } })
  })

  it('are listed with their arguments', async () => {
    const { server } = bench([declare('write', async () => 1)])
    const { payload } = await server.call('listCommands', null)
    expect(payload).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ name: 'ping', job: false }),
        expect.objectContaining({
          name: 'write',
          summary: 'Does write.',
          arguments: expect.objectContaining({
            properties: { value: { type: 'number' } },
            additionalProperties: false,
          }),
        }),
      ]),
    )
  })

  it.each([
    ['that do not exist', 'frobnicate', null, 404, 'COMMAND_UNKNOWN'],
    ['called __proto__', '__proto__', null, 404, 'COMMAND_UNKNOWN'],
    ['with wrong arguments', 'write', { value: 'x' }, 400, 'COMMAND_UNKNOWN'],
    ['with unknown arguments', 'write', { valeu: 1 }, 400, 'COMMAND_UNKNOWN'],
    ['with a text for arguments', 'write', 'x', 400, 'COMMAND_UNKNOWN'],
    ['that fail', 'fail', null, 500, 'COMMAND_FAILED'],
    ['that throw at once', 'throw', null, 500, 'COMMAND_FAILED'],
    ['whose answer is too long', 'long', null, 413, 'COMMAND_FAILED'],
    ['about an unknown job', 'jobStatus', { job: 'x' }, 404, 'COMMAND_UNKNOWN'],
  ])('%s are answered with a status and an error', async (_, name, payload, status, code) => {
    const { server } = bench([
      declare('write', async () => 1),
      declare('fail', async () => Promise.reject(new WeirError('COMMAND_FAILED', 'no'))),
      declare('throw', () => {
        throw new Error('no')
      }),
      declare('long', async () => 'x'.repeat(200_000)),
    ])
    expect(await server.call(name, payload)).toMatchObject({ status, payload: { error: { code } } })
  })

  it('that take longer than a direct method may are ended', async () => {
    let aborted = false
    const slow = declare('slow', (_, { signal }) => {
      signal.addEventListener('abort', () => {
        aborted = true
      })
      return never
    })
    const { clock, server } = bench([slow])
    const answer = server.call('slow', null)
    await Promise.resolve()
    clock.advance(methodResponseTimeoutMsMax)
    expect(await answer).toMatchObject({ status: 504 })
    expect(aborted).toBe(true)
  })

  it('that are jobs answer at once, and are asked for later', async () => {
    const { server } = bench([declare('export', async () => [{ a: 1 }], true)])
    const started = await server.call('export', null)
    expect(started).toMatchObject({ status: 200, payload: { state: 'running' } })
    const { job } = started.payload as { job: string }
    for (let turn = 0; turn < 10; turn++) await Promise.resolve()
    expect(await server.call('jobStatus', { job, page: 0 })).toMatchObject({
      status: 200,
      payload: { state: 'done', pages: 1, page: '[{"a":1}]' },
    })
  })

  it('that run are aborted when the module stops', async () => {
    const signals: AbortSignal[] = []
    const hold: Command['run'] = (_, { signal }) => {
      signals.push(signal)
      return never
    }
    const { server } = bench([declare('hold', hold), declare('holdJob', hold, true)])
    void server.call('hold', null)
    await server.call('holdJob', null)
    for (let turn = 0; turn < 10; turn++) await Promise.resolve()
    server.close()
    expect(signals.map((signal) => signal.aborted)).toEqual([true, true])
  })
})
