import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { ManualClock } from './clock.ts'
import { command } from './command.ts'
import { WeirError } from './errors.ts'
import { type ModuleHandle, startModule } from './host.ts'
import type { InputMessage } from './hub.ts'
import type { JsonObject } from './json.ts'
import { createLog } from './log-stdout.ts'
import { MemoryHub } from './memory-hub.ts'
import { gapSchema } from './messages.ts'
import type { ModuleContext, ModuleDeclaration } from './module.ts'
import { temporaryFolder } from './test-context.ts'

interface Config {
  gain: number
  properties: Record<string, string>
}

const schema = z.strictObject({
  gain: z.number().min(1),
  properties: z.record(z.string(), z.string()).default({}),
})

/** A module that publishes what it gets, and remembers what the host did to it. */
class Probe {
  context: ModuleContext | undefined
  readonly configs: Config[] = []
  readonly inputs: InputMessage[] = []
  stops = 0
  inputError: Error | undefined
  applyError: Error | undefined
  stopWork: Promise<void> = Promise.resolve()

  readonly declaration: ModuleDeclaration<Config> = {
    name: 'probe',
    config: { module: 'probe', schema, sample: { gain: 2 } },
    start: (context, config) => {
      this.context = context
      this.configs.push(config)
      return {
        apply: (next) => {
          if (this.applyError !== undefined) throw this.applyError
          this.configs.push(next)
        },
        input: (message) => {
          if (this.inputError !== undefined) throw this.inputError
          this.inputs.push(message)
        },
        status: () => ({ gain: this.configs.at(-1)?.gain ?? 0 }),
        commands: [
          command({
            name: 'double',
            summary: 'Doubles.',
            arguments: z.strictObject({ value: z.number() }),
            job: false,
            run: async ({ value }) => value * 2,
          }),
        ],
        stop: () => {
          this.stops += 1
          return this.stopWork
        },
      }
    },
  }

  publish(output: string, messageId: string, urgent = false, body = Buffer.from('{}')): void {
    this.context?.publish({
      output,
      messageType: 'telemetry',
      messageId,
      body,
      properties: { deviceId: 'press-4' },
      urgent,
    })
  }
}

interface Bench {
  readonly probe: Probe
  readonly hub: MemoryHub
  readonly clock: ManualClock
  readonly handle: ModuleHandle
  readonly lines: string[]
  readonly stateFolder: string
}

async function bench(
  options: { desired?: JsonObject; stateFolder?: string; hub?: MemoryHub; environment?: Record<string, string> } = {},
): Promise<Bench> {
  const probe = new Probe()
  const hub = options.hub ?? new MemoryHub(options.desired ?? { gain: 2 })
  const clock = new ManualClock()
  const lines: string[] = []
  const stateFolder = options.stateFolder ?? temporaryFolder()
  const handle = await startModule(probe.declaration, {
    hub,
    clock,
    log: createLog('info', clock, (line) => lines.push(line)),
    environment: { WEIR_STATE_FOLDER: stateFolder, WEIR_METRICS_PORT: 'off', ...options.environment },
    random: () => 0.5,
  })
  await settle()
  return { probe, hub, clock, handle, lines, stateFolder }
}

/** Lets the host find its hub again and send what waits. */
async function reconnected(at: Bench): Promise<void> {
  for (let second = 0; second < 60; second++) {
    at.clock.advance(1_000)
    await settle()
  }
}

/** Lets promises that need no timer come to their end. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve()
}

async function stop({ handle, clock }: Bench): Promise<number> {
  const done = handle.stop()
  await settle()
  clock.advance(5_000)
  return done
}

describe('configuration', () => {
  it('starts the module with the first good one and reports it', async () => {
    const at = await bench()
    expect(at.handle.state()).toBe('running')
    expect(at.probe.configs).toEqual([{ gain: 2, properties: {} }])
    expect(at.hub.reported).toMatchObject({
      config: { version: 1, status: 'applied' },
      module: { session: at.handle.session },
    })
    await stop(at)
  })

  it('applies a later one without restart', async () => {
    const at = await bench()
    at.hub.patchDesired({ gain: 3 })
    await settle()
    expect(at.probe.configs.map((config) => config.gain)).toEqual([2, 3])
    expect(at.hub.reported).toMatchObject({ config: { version: 2, status: 'applied' } })
    await stop(at)
  })

  it('refuses a bad one whole, names the place, and lets the last good one run', async () => {
    const at = await bench()
    at.hub.setDesired({ gain: 0, gian: 3 })
    await settle()
    expect(at.probe.configs).toHaveLength(1)
    expect(at.hub.reported).toMatchObject({ config: { version: 2, status: 'refused' } })
    const problems = (at.hub.reported['config'] as { problems: string[] }).problems
    expect(problems).toContain('gain: 0 must be at least 1')
    expect(problems).toContain('gian: unknown key (did you mean "gain"?)')
    at.hub.setDesired({ gain: 4 })
    await settle()
    expect(at.hub.reported['config']).not.toHaveProperty('problems')
    await stop(at)
  })

  it('treats a module that refuses while applying like any bad one', async () => {
    const at = await bench()
    at.probe.applyError = new WeirError('CONFIG_REFUSED', 'gain: 3 needs a stronger machine')
    at.hub.patchDesired({ gain: 3 })
    await settle()
    expect(at.handle.state()).toBe('running')
    expect(at.hub.reported).toMatchObject({
      config: { status: 'refused', problems: ['gain: 3 needs a stronger machine'] },
    })
    await stop(at)
  })

  it('waits while there is none', async () => {
    const at = await bench({ desired: {} })
    expect(at.handle.state()).toBe('waitingForConfig')
    at.hub.setDesired({ gain: 5 })
    expect(at.handle.state()).toBe('running')
    await stop(at)
  })

  it('uses the last good one when the hub is away at start, and the hub later', async () => {
    const first = await bench({ desired: { gain: 7 } })
    await stop(first)
    const hub = new MemoryHub({ gain: 8 })
    hub.openError = new WeirError('HUB_AWAY', 'hub: away')
    const second = await bench({ stateFolder: first.stateFolder, hub })
    expect(second.handle.state()).toBe('waitingForHub')
    second.clock.advance(10_000)
    expect(second.probe.configs.map((config) => config.gain)).toEqual([7])
    hub.openError = undefined
    for (let step = 0; step < 20; step++) {
      second.clock.advance(1_000)
      await settle()
    }
    expect(second.probe.configs.map((config) => config.gain)).toEqual([7, 8])
    await stop(second)
  })

  it('uses the last good one after a restart under a bad one', async () => {
    const first = await bench({ desired: { gain: 7 } })
    await stop(first)
    const second = await bench({ stateFolder: first.stateFolder, desired: { gain: 'x' } })
    expect(second.probe.configs.map((config) => config.gain)).toEqual([7])
    expect(second.hub.reported).toMatchObject({ config: { status: 'refused' } })
    await stop(second)
  })

  it('passes over a damaged file of the last good one', async () => {
    const stateFolder = temporaryFolder()
    writeFileSync(join(stateFolder, 'last-good-config.json'), '{"stateVersion":1,"sta')
    const at = await bench({ stateFolder, desired: { gain: 'x' } })
    expect(at.handle.state()).toBe('waitingForConfig')
    await stop(at)
  })

  it('lays the desired properties over the defaults of the container', async () => {
    const folder = temporaryFolder()
    const file = join(folder, 'defaults.json')
    writeFileSync(file, JSON.stringify({ gain: 9, properties: { site: 'a', line: '1' } }))
    const at = await bench({ desired: { properties: { site: 'b' } }, environment: { WEIR_DEFAULTS_FILE: file } })
    expect(at.probe.configs).toEqual([{ gain: 9, properties: { site: 'b', line: '1' } }])
    await stop(at)
  })
})

describe('messages', () => {
  it('carry the standard properties, a session, and a sequence by output', async () => {
    const at = await bench({ desired: { gain: 2, properties: { site: 'a' } } })
    at.probe.publish('telemetry', 'm1')
    at.probe.publish('telemetry', 'm2')
    at.probe.publish('events', 'm3', true)
    await settle()
    expect(at.hub.sent.map((message) => message.properties)).toEqual([
      expect.objectContaining({
        sequence: '1',
        messageType: 'telemetry',
        schemaVersion: '1',
        deviceId: 'press-4',
        site: 'a',
      }),
      expect.objectContaining({ sequence: '2', session: at.handle.session }),
      expect.objectContaining({ sequence: '1', priority: 'high' }),
    ])
    expect(at.handle.session).toMatch(/^[A-Za-z0-9_-]{8}$/)
    await stop(at)
  })

  it('wait while the hub is away and leave when it is back', async () => {
    const at = await bench()
    at.hub.openError = new WeirError('HUB_AWAY', 'hub: away')
    at.hub.disconnect()
    at.probe.publish('telemetry', 'm1')
    at.clock.advance(60_000)
    await settle()
    expect(at.probe.context?.queued()).toBe(1)
    at.hub.openError = undefined
    at.clock.advance(30_000)
    await settle()
    expect(at.hub.sent.map((message) => message.messageId)).toEqual(['m1'])
    await stop(at)
  })

  it('reach the module before they are acknowledged, and a throw goes to the hub', async () => {
    const at = await bench()
    at.hub.feed('in', { a: 1 })
    expect(at.probe.inputs).toHaveLength(1)
    at.probe.inputError = new Error('disk full')
    expect(() => at.hub.feed('in', { a: 2 })).toThrow('disk full')
    expect(at.hub.waiting).toBe(1)
    await stop(at)
  })

  it('stay at the hub until the module has a configuration', async () => {
    const at = await bench({ desired: {} })
    at.hub.feed('in', { a: 1 })
    expect(at.hub.waiting).toBe(1)
    at.hub.setDesired({ gain: 2 })
    expect(at.probe.inputs).toHaveLength(1)
    await stop(at)
  })
})

describe('stop', () => {
  it('sends what is queued, stops the module and exits with 0', async () => {
    const at = await bench()
    at.hub.hangSends()
    at.probe.publish('telemetry', 'm1')
    const done = at.handle.stop()
    await settle()
    at.hub.takeSends()
    expect(await done).toBe(0)
    expect(await at.handle.done).toBe(0)
    expect(at.probe.stops).toBe(1)
    expect(at.hub.sent).toHaveLength(1)
    expect(at.hub.closed).toBe(true)
    expect(at.handle.state()).toBe('stopped')
  })

  it('ends within its time although module and hub hang', async () => {
    const at = await bench()
    at.probe.stopWork = new Promise(() => {})
    at.hub.hangSends()
    at.probe.publish('telemetry', 'm1')
    const done = at.handle.stop()
    for (let step = 0; step < 45; step++) {
      at.clock.advance(100)
      await settle()
    }
    expect(await done).toBe(0)
  })

  it('takes no input once it has begun', async () => {
    const at = await bench()
    await stop(at)
    at.hub.feed('in', { a: 1 })
    expect(at.probe.inputs).toHaveLength(0)
  })
})

describe('faults', () => {
  it('that the module calls unrecoverable end it with exit code 1', async () => {
    const at = await bench()
    at.probe.context?.fail(new WeirError('STATE_UNWRITABLE', '/var/lib/weir: disk full'))
    expect(await at.handle.done).toBe(1)
    expect(at.lines.join('')).toContain('[FTL] probe: STATE_UNWRITABLE: /var/lib/weir: disk full')
  })

  it('of a hub that refuses the module again and again end it with exit code 1', async () => {
    const hub = new MemoryHub()
    hub.openError = new WeirError('HUB_REFUSED', 'Connection refused: Not authorized')
    const at = await bench({ hub })
    for (let step = 0; step < 60; step++) {
      at.clock.advance(1_000)
      await settle()
    }
    expect(await at.handle.done).toBe(1)
    expect(hub.opens).toBe(5)
  })

  it('of an unwritable state folder refuse the start and say what to do', async () => {
    const file = join(temporaryFolder(), 'file')
    writeFileSync(file, '')
    await expect(bench({ stateFolder: join(file, 'state') })).rejects.toThrow(/STATE_FOLDER/)
  })
})

describe('messages given up', () => {
  const gaps = (hub: MemoryHub) =>
    hub.sent.filter(({ output }) => output === 'gaps').map(({ body }) => gapSchema.parse(JSON.parse(String(body))))

  it('because they are too large are named upstream within a minute', async () => {
    const at = await bench()
    at.probe.publish('telemetry', 'huge', false, Buffer.alloc(300_000, 32))
    at.clock.advance(60_000)
    await settle()
    expect(gaps(at.hub)).toMatchObject([{ kind: 'givenUp', deviceId: 'press-4', messages: 1 }])
    await stop(at)
  })

  it('because the queue was full are named once the hub is back, the oldest having gone first', async () => {
    const at = await bench({ environment: { WEIR_QUEUE_BYTES_MAX: String(4 * 1024 * 1024) } })
    at.hub.disconnect()
    for (let index = 0; index < 100; index++)
      at.probe.publish('telemetry', `m${index}`, false, Buffer.alloc(60_000, 32))
    expect(gaps(at.hub)).toEqual([])
    await reconnected(at)
    const sent = at.hub.sent.filter(({ output }) => output === 'telemetry').length
    const [gap, ...others] = gaps(at.hub)
    expect(others).toEqual([])
    expect(gap?.messages).toBeGreaterThan(0)
    expect(sent + (gap?.messages ?? 0)).toBe(100)
    expect(at.hub.sent.some(({ messageId }) => messageId === 'm99')).toBe(true)
    expect(at.hub.sent.some(({ messageId }) => messageId === 'm0')).toBe(false)
    await stop(at)
  })
})

describe('commands', () => {
  it('are answered by direct method, the host’s own and the module’s', async () => {
    const at = await bench()
    expect(await at.hub.call('ping')).toMatchObject({ status: 200, payload: { module: 'probe' } })
    expect(await at.hub.call('double', { value: 4 })).toEqual({ status: 200, payload: 8 })
    expect(await at.hub.call('double', { value: 'x' })).toMatchObject({ status: 400 })
    expect(await at.hub.call('halve')).toMatchObject({ status: 404 })
    await stop(at)
  })

  it('getStatus tells state, configuration, queue and what was kept out', async () => {
    const at = await bench()
    at.probe.context?.reject('malformedJson', 'input in')
    const { payload } = await at.hub.call('getStatus')
    expect(payload).toMatchObject({
      module: 'probe',
      state: 'running',
      session: at.handle.session,
      config: { version: 1, status: 'applied' },
      queued: 0,
      rejected: { malformedJson: 1 },
      gain: 2,
    })
    await stop(at)
  })
})
