/** What a person sees of a run: state in, lines out. */
import type { Severity } from '@weir/lib/messages'
import type { Saving, Traffic } from '@weir/lib/meter'
import type { Settings } from './report.ts'
import type { ModuleStatus } from './supervisor.ts'
import { bytesText, clockText, counted, durationText } from './text.ts'

export interface ModuleView extends ModuleStatus {
  /** Whether the edge hub has a connection from it; undefined for the edge hub itself. */
  readonly connected: boolean | undefined
  /** Share of one core, in per cent. */
  readonly cpuPct: number
}

export interface AlertView {
  readonly alertId: string
  readonly alertType: string
  readonly severity: Severity
  readonly state: 'active' | 'normal'
  readonly timestamp: string
  readonly explanation: string
  readonly latencyMs: number | undefined
}

export interface ReceiptView {
  readonly settings: Settings
  readonly perRow: Saving
  readonly perMessage: Saving
}

export interface ViewState {
  readonly elapsedS: number
  readonly durationS: number | undefined
  /** One line about what runs: plant, seed, port. */
  readonly subject: string
  readonly modules: readonly ModuleView[]
  readonly rowsPerS: number
  readonly valuesPerS: number
  readonly hub: Traffic
  readonly upstreamConnected: boolean
  /** Faults that were ordered and are active. */
  readonly faults: readonly string[]
  /** Newest first. */
  readonly alerts: readonly AlertView[]
  readonly alertsRaised: number
  readonly receipt: ReceiptView
  /** What the manifest's own settings save, computed; undefined until it is. */
  readonly production: ReceiptView | undefined
  /** What happened, newest first. */
  readonly notices: readonly string[]
  readonly hints: readonly string[]
}

export interface ViewSize {
  readonly columns: number
  readonly rows: number
  readonly colour: boolean
}

type Paint = 'plain' | 'bold' | 'dim' | 'green' | 'yellow' | 'red'
const codes: Readonly<Record<Paint, string>> = { plain: '', bold: '1', dim: '2', green: '32', yellow: '33', red: '31' }

/** Text with a colour for the whole of it; colours are added last, so that they never count as width. */
interface Line {
  readonly text: string
  readonly paint: Paint
}

function line(text: string, paint: Paint = 'plain'): Line {
  return { text, paint }
}

export function settingsText({ pollMs, publishMs, windowMs }: Settings): string {
  return `polls ${durationText(pollMs)}, publishes ${durationText(publishMs)}, windows ${durationText(windowMs)}`
}

function healthText({ state, connected }: ModuleView): string {
  if (state !== 'running') return state
  return connected === false ? 'connecting' : 'running'
}

function moduleLines(modules: readonly ModuleView[]): Line[] {
  const name = Math.max(6, ...modules.map((module) => module.name.length))
  const row = (cells: readonly [string, string, string, string, string]): string =>
    `  ${cells[0].padEnd(name)}  ${cells[1].padEnd(10)}  ${cells[2].padStart(8)}  ${cells[3].padStart(8)}  ${cells[4].padStart(6)}`
  return [
    line(row(['module', 'state', 'restarts', 'memory', 'CPU']), 'dim'),
    ...modules.map((module) => {
      const health = healthText(module)
      const paint = health === 'running' ? 'green' : health === 'connecting' ? 'yellow' : 'red'
      const exit = module.lastExit === undefined ? '' : `  last ended by ${module.lastExit}`
      const memory = module.pid === undefined ? '-' : bytesText(module.rssBytes)
      const cpu = module.pid === undefined ? '-' : `${module.cpuPct.toFixed(0)} %`
      return line(`${row([module.name, health, String(module.restarts), memory, cpu])}${exit}`, paint)
    }),
  ]
}

/** One line for people: `14:03:22 HIGH_TEMPERATURE high: oven-1 temperature 80.4 °C, above … (at the hub 212 ms …)`. */
export function alertText(alert: AlertView): string {
  const latency =
    alert.latencyMs === undefined ? '' : ` (at the hub ${Math.round(alert.latencyMs)} ms after the register changed)`
  const state = alert.state === 'active' ? alert.severity : 'back to normal'
  return `${alert.timestamp.slice(11, 19)} ${alert.alertType} ${state}: ${alert.explanation}${latency}`
}

function alertLines(alerts: readonly AlertView[], raised: number, most: number): Line[] {
  const head = line(`alerts: ${raised} raised`, 'bold')
  if (alerts.length === 0) return [head, line('  none so far', 'dim')]
  return [
    head,
    ...alerts.slice(0, most).map((alert) => line(`  ${alertText(alert)}`, alert.state === 'active' ? 'red' : 'green')),
  ]
}

function savedText(raw: string, sent: string, savedPct: number): string {
  return `${raw} → ${sent}, ${savedPct.toFixed(1)} % less`
}

function savingCells({ raw, sent, savedPct }: Saving): readonly [string, string, string] {
  return [
    savedText(String(raw.messages), String(sent.messages), savedPct.messages),
    savedText(bytesText(raw.bytes), bytesText(sent.bytes), savedPct.bytes),
    savedText(String(raw.blocks), String(sent.blocks), savedPct.blocks),
  ]
}

/** The receipt as a table: what would have been sent, what was, and how much less that is. */
export function receiptLines(title: string, { settings, perRow, perMessage }: ReceiptView): string[] {
  const rows = [
    ['', 'messages', 'bytes', 'billed 4 KiB blocks'],
    ['against one message a row', ...savingCells(perRow)],
    ["against the readers' messages", ...savingCells(perMessage)],
  ]
  const widths = [0, 1, 2, 3].map((column) => Math.max(...rows.map((cells) => (cells[column] ?? '').length)))
  return [
    `${title}: ${settingsText(settings)}`,
    ...rows.map((cells) => `  ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd()),
  ]
}

function receiptView(title: string, receipt: ReceiptView): Line[] {
  return receiptLines(title, receipt).map((text, index) =>
    line(text, index === 0 ? 'bold' : index === 1 ? 'dim' : 'plain'),
  )
}

const alertsShown = 4
const noticesShown = 4

export const productionTitle = "the manifest's own settings, computed over 1 simulated hour"

function cut({ text, paint }: Line, size: ViewSize): string {
  const characters = [...text]
  const fits = characters.length <= size.columns ? text : `${characters.slice(0, size.columns - 1).join('')}…`
  return size.colour && paint !== 'plain' && fits !== '' ? `\u001b[${codes[paint]}m${fits}\u001b[0m` : fits
}

function faultsText({ faults }: ViewState): string {
  return `faults: ${faults.join(', ')}`
}

/** The view for a terminal of `size`; never more rows, never a wider line. */
export function viewLines(state: ViewState, size: ViewSize): string[] {
  const until = state.durationS === undefined ? '' : ` of ${clockText(state.durationS)}`
  const hub = `the hub has ${counted(state.hub.messages, 'message')}, ${bytesText(state.hub.bytes)}${state.upstreamConnected ? '' : ' (not connected)'}`
  const lines: Line[] = [
    line(`weir  ${clockText(state.elapsedS)}${until}  ${state.subject}`, 'bold'),
    line(`readings: ${state.valuesPerS.toFixed(0)} values/s in ${state.rowsPerS.toFixed(0)} rows/s; ${hub}`),
    ...(state.faults.length === 0 ? [] : [line(faultsText(state), 'red')]),
    line(''),
    ...moduleLines(state.modules),
    line(''),
    ...alertLines(state.alerts, state.alertsRaised, alertsShown),
    line(''),
    ...receiptView('receipt', state.receipt),
    ...(state.production === undefined ? [] : receiptView(productionTitle, state.production)),
    line(''),
    ...state.notices.slice(0, noticesShown).map((notice) => line(notice)),
    line(''),
    ...state.hints.map((hint) => line(hint, 'dim')),
  ]
  return lines.slice(0, Math.max(1, size.rows - 1)).map((one) => cut(one, size))
}

/** One line for where there is no terminal. */
export function plainLine(state: ViewState): string {
  const ailing = state.modules.filter((module) => healthText(module) !== 'running')
  const health =
    ailing.length === 0
      ? `${counted(state.modules.length, 'module')} running`
      : ailing.map((module) => `${module.name} ${healthText(module)}`).join(', ')
  const { perRow, perMessage } = state.receipt
  return [
    clockText(state.elapsedS),
    health,
    `${state.valuesPerS.toFixed(0)} values/s`,
    `${counted(perRow.raw.messages, 'row')} in ${counted(perMessage.raw.messages, 'message')} became ${perRow.sent.messages}`,
    `${perMessage.savedPct.bytes.toFixed(1)} % fewer bytes than the readers'`,
    counted(state.alertsRaised, 'alert'),
    ...(state.faults.length === 0 ? [] : [faultsText(state)]),
  ].join(' | ')
}
