import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { writeFileAtomic } from '@weir/lib/atomic-file'
import { type Clock, sleep, systemClock } from '@weir/lib/clock'
import { errorText } from '@weir/lib/errors'
import { type Baseline, noBaseline, settle, sourcesOf, takeBaseline } from './accounting.ts'
import { aggregatorName, desiredOf, detectorName, readerName } from './demo.ts'
import { Observer } from './observer.ts'
import type { RunOptions } from './options.ts'
import { type Preparation, prepare } from './preparation.ts'
import { computeProduction } from './production.ts'
import { faultsOf, makeReport, noRows, type Report, type Settings } from './report.ts'
import { edgeAgentLimits } from './restart-policy.ts'
import { type Runtime, startRuntime, stopGraceMs } from './runtime.ts'
import { ScheduledFaults, scheduleOf } from './scheduled-faults.ts'
import { Screen } from './screen.ts'
import { accountingLabel, liveSettings } from './settings.ts'
import { openStateFolder, stateFolderDefault } from './state-folder.ts'
import { summaryLines } from './summary.ts'
import { plainLine, type ReceiptView, viewLines } from './view.ts'

const sampleIntervalMs = 500
/** Until readings arrive, so that the time they took is told exactly. */
const startIntervalMs = 100
const plainIntervalMs = 5000
/** The start of the modules is over; from here on there is time to compute. */
const quietAfterS = 10

/** Where a run shows itself, and what ends it before its time. */
export interface RunSurroundings {
  readonly out: NodeJS.WriteStream
  readonly stop: AbortSignal
}

/** Modules that bring rows in; they are stopped first, so that every row can be accounted for. */
function isReader(name: string): boolean {
  return name.endsWith('-reader')
}

/** Shows a run: a live view on a terminal, else lines. */
class Display {
  readonly #out: NodeJS.WriteStream
  readonly #screen: Screen | undefined
  #nextPlainS = 0
  #isClosed = false

  constructor(out: NodeJS.WriteStream) {
    this.#out = out
    this.#screen = out.isTTY ? new Screen(out) : undefined
  }

  /** A line of its own; on a terminal the view shows it. */
  notice(text: string): void {
    if (this.#screen === undefined && !this.#isClosed) this.#out.write(`${text}\n`)
  }

  lines(lines: readonly string[]): void {
    this.#out.write(`${lines.join('\n')}\n`)
  }

  update(observer: Observer, runtime: Runtime): void {
    const view = observer.view(runtime)
    if (this.#screen !== undefined) {
      this.#screen.draw(viewLines(view, this.#screen.size))
    } else if (view.elapsedS >= this.#nextPlainS) {
      this.#nextPlainS = view.elapsedS + plainIntervalMs / 1000
      this.#out.write(`${plainLine(view)}\n`)
    }
  }

  /** From here on only what `lines` is given is shown. */
  close(): void {
    this.#isClosed = true
    this.#screen?.close()
  }
}

function hintsFor(options: RunOptions): string[] {
  const weir = options.stateFolder === undefined ? 'npx weir' : `npx weir --state ${options.stateFolder}`
  return [`try: ${weir} modules | ${weir} twin aggregator | ${weir} messages --follow`, 'Ctrl-C stops everything']
}

/** Starts the modules; with the state of an earlier run, readers last, once it is known what that run left. */
async function startModules(runtime: Runtime, clock: Clock, isUsed: boolean): Promise<Baseline> {
  if (!isUsed) {
    runtime.supervisor.start(runtime.modules)
    return noBaseline
  }
  runtime.supervisor.start(runtime.modules.filter(({ name }) => !isReader(name)))
  const baseline = await takeBaseline(sourcesOf(runtime), clock)
  runtime.supervisor.start(runtime.modules.filter(({ name }) => isReader(name)))
  return baseline
}

/** The manifest's own settings, computed for the plant of this run; undefined where there is no plant. */
async function production({ plant, production }: Preparation): Promise<ReceiptView | undefined> {
  const reader = desiredOf(production, readerName)
  const aggregator = desiredOf(production, aggregatorName)
  if (plant === undefined || reader === undefined || aggregator === undefined) return undefined
  const { devices, source } = plant
  return computeProduction({ devices, source, reader, aggregator, detector: desiredOf(production, detectorName) })
}

/** Computes the production figures once, when they are first asked for. */
function onceProduction(preparation: Preparation, observer: Observer): () => Promise<void> {
  let computed: Promise<void> | undefined
  return () => {
    computed ??= production(preparation).then(
      (receipt) => {
        observer.production = receipt
      },
      (error: unknown) => observer.notice(`the production figures cannot be computed: ${errorText(error)}`),
    )
    return computed
  }
}

async function watch(
  runtime: Runtime,
  observer: Observer,
  display: Display,
  clock: Clock,
  options: RunOptions,
  stop: AbortSignal,
  computeLater: () => Promise<void>,
): Promise<void> {
  while (!stop.aborted && observer.elapsedS < (options.durationS ?? Number.POSITIVE_INFINITY)) {
    await runtime.edgeHub.counters().catch(() => undefined)
    observer.sample(runtime)
    display.update(observer, runtime)
    if (observer.elapsedS >= quietAfterS) void computeLater()
    const leftMs = ((options.durationS ?? Number.POSITIVE_INFINITY) - observer.elapsedS) * 1000
    await sleep(clock, Math.min(observer.hasReadings ? sampleIntervalMs : startIntervalMs, leftMs))
  }
}

/** Ends a run in order, readers first, and makes its report. */
async function finish(
  runtime: Runtime,
  observer: Observer,
  clock: Clock,
  settingsNow: () => Settings,
  { baseline, labelAtStart }: { baseline: Baseline; labelAtStart: string },
): Promise<{ report: Report; faults: string[] }> {
  const durationS = observer.elapsedS
  await runtime.supervisor.sample()
  await runtime.supervisor.stop(runtime.modules.map(({ name }) => name).filter(isReader), stopGraceMs)
  const hasAggregator = runtime.modules.some(({ name }) => name === aggregatorName)
  const labels = new Set([labelAtStart])
  const rows = hasAggregator ? await settle(sourcesOf(runtime), clock, labels, baseline) : noRows
  await runtime.supervisor.sample()
  const modules = runtime.supervisor.statuses()
  const received = runtime.cloud.report()
  const report = makeReport({
    durationS,
    settings: settingsNow(),
    modules,
    perRow: runtime.edgeHub.sums.perRow,
    perMessage: runtime.edgeHub.sums.perMessage,
    sent: received.sent,
    rows,
    duplicated: received.duplicated,
    alertsRaised: received.alerts.raised,
    alertLatenciesMs: observer.alerts.latenciesMs,
  })
  return { report, faults: faultsOf(modules, report) }
}

/**
 * Runs the simulator until its time is over or `stop` is aborted. Resolves with the exit code: 1 where a module died, a
 * row was lost or a record came twice. Throws a WeirError where it cannot start.
 */
export async function run(options: RunOptions, { out, stop }: RunSurroundings): Promise<number> {
  const clock = systemClock
  await using cleanup = new AsyncDisposableStack()
  const schedule = scheduleOf(options)
  const state = await openStateFolder(options.stateFolder)
  const preparation = await prepare(options, clock)
  const { deployment, plant } = preparation
  if (plant !== undefined) cleanup.defer(() => plant.close())
  const display = new Display(out)
  cleanup.defer(() => display.close())
  const observer = new Observer({
    clock,
    subject: preparation.subject,
    durationS: options.durationS,
    hints: hintsFor(options),
    changed: (...of) => plant?.image.changedMs(...of),
    onNotice: (text) => display.notice(text),
  })
  const runtime = await startRuntime({
    options,
    deployment,
    stateFolder: state.path,
    clock,
    restartLimits: { ...edgeAgentLimits, coolOffMs: options.coolOffS * 1000 },
    plant,
    onFault: (text) => observer.notice(`fault: ${text}`),
    onEvent: (event) => observer.event(event),
    onMessage: (message) => observer.message(message),
  })
  cleanup.defer(() => runtime.close())
  display.lines([
    `weir: ${preparation.subject}`,
    `  edge hub  localhost:${runtime.listening.mqttPort} (MQTT), modules ${runtime.modules.map(({ name }) => name).join(', ')}`,
    `  state     ${state.path}${state.path === stateFolderDefault ? ' (emptied at each start)' : ''}, logs in its logs folder`,
    ...preparation.notes.map((note) => `  note      ${note}`),
    ...hintsFor(options).map((hint) => `  ${hint}`),
  ])
  observer.begin()
  const scheduled = new ScheduledFaults(schedule, runtime.faults, clock)
  cleanup.defer(() => scheduled.end())
  const settings = liveSettings(runtime.cloud)
  const labelAtStart = accountingLabel(settings())
  const baseline = await startModules(runtime, clock, state.isUsed)
  const computeOnce = onceProduction(preparation, observer)
  await watch(runtime, observer, display, clock, options, stop, computeOnce)
  scheduled.end()
  // What is left of the run is the account, which needs everything in order.
  await runtime.faults.clear()
  const { report, faults: found } = await finish(runtime, observer, clock, settings, { baseline, labelAtStart })
  const faults = [...found, ...scheduled.problems]
  await computeOnce()
  display.close()
  if (options.reportFile !== undefined) {
    mkdirSync(dirname(options.reportFile), { recursive: true })
    writeFileAtomic(options.reportFile, `${JSON.stringify(report, null, 2)}\n`)
  }
  display.lines(summaryLines(report, observer.production, faults))
  if (faults.length > 0)
    display.lines([`seed ${options.seed}; the same options with --seed ${options.seed} repeat the run`])
  return faults.length === 0 ? 0 : 1
}
