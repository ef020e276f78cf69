/** For crash.test.ts: the aggregator with its disk, its queue, the hub before and after it, and all that can befall them. */
import { ManualClock } from '@weir/lib/clock'
import { errorText, WeirError } from '@weir/lib/errors'
import type { InputMessage } from '@weir/lib/hub'
import { type FileFault, type FileOperation, MemoryFileSystem } from '@weir/lib/journal/memory-file-system'
import { openQueue, type Queue } from '@weir/lib/journal/queue'
import type { JsonObject } from '@weir/lib/json'
import type { Metrics } from '@weir/lib/metrics'
import type { ModuleInstance } from '@weir/lib/module'
import { type TestContext, testContext } from '@weir/lib/test-context'
import type { AggregatorConfig } from './config.ts'
import { startAggregator } from './module.ts'

export const fsyncIntervalMs = 1_000
const stateFolder = '/state'
/** Longer than a record waits for others. */
const batchWaitMs = 2_000
/** Small, so that a short run fills segments and takes snapshots. */
export const sizes = { segmentBytesMax: 1_024, snapshotEveryBytes: 700 } as const

/** What happens at a moment of the script. */
export type Event =
  | { readonly type: 'message'; readonly message: InputMessage }
  | { readonly type: 'configure'; readonly config: AggregatorConfig }
  /** The hub takes messages of the aggregator from now on, or takes none. */
  | { readonly type: 'hub'; readonly takes: boolean }

export interface Step {
  readonly atMs: number
  readonly event: Event
}

export interface Received {
  readonly messageId: string
  readonly body: string
}

/** What befalls a process at the N-th operation on its disk. */
export interface Blow {
  readonly kind: 'kill' | 'tornKill' | 'powerCut' | 'fails' | 'failsOn' | 'full' | 'fullOn'
  readonly operation: number
  /** Of the sectors that survive a power cut. */
  readonly seed: number
}

export interface Outcome {
  /** In the order of arrival, with repeats. */
  readonly received: readonly Received[]
  readonly status: JsonObject
  /** Files on the disk. */
  readonly files: readonly string[]
  /** Processes that ended before the script did. */
  readonly ended: number
  /** Operations on the disk by the last process. */
  readonly operations: number
  /** Messages acknowledged that the disk may not have had when the power was cut. */
  readonly atRisk: readonly InputMessage[]
}

class Killed extends Error {}

const noMetrics: Metrics = {
  counter: () => ({ add: () => {} }),
  gauge: () => ({ set: () => {} }),
  histogram: () => ({ observe: () => {} }),
}

/** A process: it lives until a blow ends it. */
interface Process {
  readonly context: Omit<TestContext, 'metrics'>
  readonly module: ModuleInstance<AggregatorConfig>
  readonly outbox: Queue
}

/** Plays a script, restarting the aggregator whenever it has ended. Each process gets its blow, if there is one left for it. */
export class World {
  readonly #steps: readonly Step[]
  readonly #endMs: number
  readonly #blows: Blow[]
  readonly #disk = new MemoryFileSystem()
  #config: AggregatorConfig
  #hubTakes = true
  #nowMs: number
  #place = 0
  #operations = 0
  #ended = 0
  #isKilled = false
  #received: Received[] = []
  #acknowledged: { readonly atMs: number; readonly message: InputMessage }[] = []
  #atRisk: InputMessage[] = []

  constructor(
    config: AggregatorConfig,
    startMs: number,
    steps: readonly Step[],
    endMs: number,
    blows: readonly Blow[],
  ) {
    this.#config = config
    this.#nowMs = startMs
    this.#steps = steps
    this.#endMs = endMs
    this.#blows = [...blows]
  }

  run(): Outcome {
    for (;;) {
      const blow = this.#blows.shift()
      const status = this.#live(blow)
      if (status !== undefined) {
        return {
          received: this.#received,
          status,
          files: this.#disk.paths(),
          ended: this.#ended,
          operations: this.#operations,
          atRisk: this.#atRisk,
        }
      }
      this.#ended += 1
      this.#restartMachine(blow)
    }
  }

  /** One life of the process; undefined: it ended before the script. */
  #live(blow: Blow | undefined): JsonObject | undefined {
    this.#operations = 0
    this.#isKilled = false
    this.#disk.fault = (operation) => this.#strike(blow, operation)
    let living: Process | undefined
    try {
      living = this.#start()
      for (let step = this.#steps[this.#place]; step !== undefined; step = this.#steps[this.#place]) {
        this.#advance(living, step.atMs)
        this.#play(living, step.event)
        this.#place += 1
      }
      return this.#settle(living)
    } catch (error) {
      if (!(error instanceof Killed || error instanceof WeirError)) throw error
      // A fault that no input saw: the host stops the module in order.
      if (!this.#isKilled && living !== undefined && error instanceof Failed) this.#stop(living)
      this.#nowMs = living?.context.clock.nowMs() ?? this.#nowMs
      return undefined
    }
  }

  #start(): Process {
    const clock = new ManualClock(this.#nowMs)
    const fileSystem = this.#disk
    const outbox = openQueue({
      folder: `${stateFolder}/outbox`,
      fileSystem,
      clock,
      bytesMax: 64 * 1024,
      segmentBytesMax: 8 * 1024,
      fsyncIntervalMs,
      whenFull: 'refuse',
    })
    const plain = testContext({ stateFolder, startMs: this.#nowMs })
    const context = Object.assign(plain, {
      clock,
      metrics: noMetrics,
      fsyncIntervalMs,
      queued: () => outbox.size,
      publish: ({ messageId, body }: { messageId: string; body: Buffer }) => {
        try {
          outbox.put(Buffer.from(JSON.stringify({ messageId, body: String(body) })), { priority: 5 })
        } catch (error) {
          plain.failures.push(error instanceof WeirError ? error : new WeirError('INTERNAL', errorText(error)))
        }
      },
    })
    const module = startAggregator(context, this.#config, { fileSystem, ...sizes })
    const living = { context, module, outbox }
    this.#look(living)
    return living
  }

  /** Lets time pass until all that the aggregator holds has left. */
  #settle(living: Process): JsonObject {
    const { clock } = living.context
    while (Number(living.module.status()['windowsOpen']) > 0 && clock.nowMs() < this.#endMs) {
      this.#advance(living, clock.nowMs() + 1_000)
    }
    this.#advance(living, clock.nowMs() + batchWaitMs)
    return living.module.status()
  }

  /** Lets time pass; what waits leaves for the hub as it goes. */
  #advance(living: Process, untilMs: number): void {
    const { clock } = living.context
    while (clock.nowMs() < untilMs) {
      clock.advance(Math.min(500, untilMs - clock.nowMs()))
      this.#look(living)
      this.#drain(living)
    }
  }

  #play(living: Process, event: Event): void {
    if (event.type === 'hub') this.#hubTakes = event.takes
    else if (event.type === 'configure') {
      this.#config = event.config
      living.module.apply(event.config)
    } else {
      living.module.input?.(event.message)
      this.#look(living, 'input')
      this.#acknowledged.push({ atMs: living.context.clock.nowMs(), message: event.message })
    }
    this.#look(living)
  }

  #drain({ outbox }: Process): void {
    for (let item = this.#hubTakes ? outbox.take() : undefined; item !== undefined; item = outbox.take()) {
      this.#received.push(JSON.parse(String(item.payload)))
      outbox.done(item.id)
    }
  }

  /** Ends the process where it has failed or was killed, whatever it made of that itself. */
  #look({ context }: Process, where: 'input' | 'elsewhere' = 'elsewhere'): void {
    if (this.#isKilled) throw new Killed()
    const [failure] = context.failures
    if (failure !== undefined) throw where === 'input' ? failure : new Failed(failure)
  }

  #stop({ module }: Process): void {
    // Nothing in it waits: it has stopped when the call returns.
    module.stop().catch(() => {})
  }

  #restartMachine(blow: Blow | undefined): void {
    this.#disk.fault = undefined
    if (blow?.kind === 'powerCut') {
      this.#disk.powerCut(blow.seed)
      const youngMs = this.#nowMs - fsyncIntervalMs
      this.#atRisk.push(...this.#acknowledged.filter(({ atMs }) => atMs >= youngMs).map(({ message }) => message))
      return
    }
    this.#disk.kill()
    // The acknowledgement of the last message may not have left: the hub delivers it again.
    if (this.#steps[this.#place - 1]?.event.type === 'message') this.#place -= 1
  }

  #strike(blow: Blow | undefined, { name, length }: FileOperation): FileFault | undefined {
    if (this.#isKilled) throw new Killed()
    this.#operations += 1
    if (blow === undefined || this.#operations < blow.operation) return undefined
    const half = Math.floor(length / 2)
    const isThis = this.#operations === blow.operation
    switch (blow.kind) {
      case 'tornKill':
        if (isThis && name === 'write') return { bytesWritten: half }
        break
      case 'fails':
        return isThis ? { code: 'EIO' } : undefined
      case 'failsOn':
        return { code: 'EIO' }
      case 'full':
        return isThis && name === 'write' ? { code: 'ENOSPC', bytesWritten: half } : undefined
      case 'fullOn':
        return name === 'write' ? { code: 'ENOSPC', bytesWritten: half } : undefined
    }
    this.#isKilled = true
    throw new Killed()
  }
}

/** A failure that the module has told its host of. */
class Failed extends WeirError {
  constructor(failure: WeirError) {
    super(failure.code, failure.message, { cause: failure })
  }
}
