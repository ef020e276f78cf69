import type { Report } from './report.ts'
import { bytesText, counted } from './text.ts'
import { productionTitle, type ReceiptView, receiptLines } from './view.ts'

function alertsText({ raised, latencyMsP50, latencyMsP99 }: Report['alerts']): string {
  const latency =
    latencyMsP50 === null ? '' : `; from the register to the hub in ${latencyMsP50} ms (p50), ${latencyMsP99} ms (p99)`
  return `alerts: ${raised} raised${latency}`
}

/** What a run was, for the end of its output: module by module, the receipts, the delivery, and what went wrong. */
export function summaryLines(report: Report, production: ReceiptView | undefined, faults: readonly string[]): string[] {
  const { settings, modules, receipt, delivery } = report
  const name = Math.max(0, ...Object.keys(modules).map((module) => module.length))
  return [
    '',
    `ran ${report.durationS} s`,
    ...Object.entries(modules).map(
      ([module, { state, restarts, rssBytesMax, cpuS }]) =>
        `  ${module.padEnd(name)}  ${state}, ${counted(restarts, 'restart')}, at most ${bytesText(rssBytesMax)}, ${cpuS.toFixed(1)} s of CPU`,
    ),
    ...receiptLines('receipt', { settings, ...receipt }),
    ...(production === undefined ? [] : receiptLines(productionTitle, production)),
    `delivery: ${counted(delivery.lost, 'row')} lost, ${counted(delivery.duplicated, 'record')} doubled`,
    alertsText(report.alerts),
    faults.length === 0 ? 'all is well' : `FAILED: ${faults.join('; ')}`,
  ]
}
