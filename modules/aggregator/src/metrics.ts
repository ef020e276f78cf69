import type { Metrics } from '@weir/lib/metrics'
import type { DurableAggregation } from './durable.ts'

type Aggregation = DurableAggregation['aggregation']

/** What is counted, by metric and label. Sums over restarts; the metrics count from the start of the process. */
function sumsOf({ core, receipt }: Aggregation): Map<string, number> {
  const { rows, values, windowsClosed } = core
  const { total } = receipt
  return new Map([
    ['rows taken', rows.taken],
    ['rows late', rows.late],
    ['rows bad', rows.bad],
    ['rows refused', rows.refused],
    ['values taken', values.taken],
    ['values bad', values.bad],
    ['values refused', values.refused],
    ['windows closed', windowsClosed],
    ['bytes perRow', total.perRow.bytes],
    ['bytes perMessage', total.perMessage.bytes],
    ['bytes sent', total.sent.bytes],
    ['blocks perRow', total.perRow.blocks],
    ['blocks perMessage', total.perMessage.blocks],
    ['blocks sent', total.sent.blocks],
  ])
}

/** Metrics of the aggregator, brought up to date by differences: taking a row touches none. */
export class AggregatorMetrics {
  readonly #counters
  readonly #gauges
  #before: Map<string, number>

  constructor(metrics: Metrics, { aggregation }: DurableAggregation) {
    this.#counters = new Map([
      ['rows', metrics.counter('aggregator_rows_total', 'Rows taken, and of them late, bad and refused', ['what'])],
      ['values', metrics.counter('aggregator_values_total', 'Values taken, and of them bad and refused', ['what'])],
      ['windows', metrics.counter('aggregator_windows_total', 'Windows closed', ['what'])],
      [
        'bytes',
        metrics.counter(
          'aggregator_traffic_bytes_total',
          'Bytes sent, and what they would have been with a message per row, or with the messages of the readers',
          ['what'],
        ),
      ],
      ['blocks', metrics.counter('aggregator_traffic_blocks_total', 'The same in billed blocks of 4 KiB', ['what'])],
    ])
    this.#gauges = {
      devices: metrics.gauge('aggregator_devices', 'Devices known'),
      windows: metrics.gauge('aggregator_open_windows', 'Windows that take rows'),
      rows: metrics.gauge('aggregator_open_rows', 'Rows in open windows'),
      journal: metrics.gauge('aggregator_journal_bytes', 'Bytes of the journal'),
      unsynced: metrics.gauge(
        'aggregator_journal_unsynced_seconds',
        'Age of the oldest input that is not on the disk yet: what a power cut would cost now',
      ),
    }
    this.#before = sumsOf(aggregation)
  }

  update({ aggregation, journalBytes, unsyncedMs }: DurableAggregation): void {
    const { core } = aggregation
    const sums = sumsOf(aggregation)
    for (const [name, sum] of sums) {
      const [metric = '', what = ''] = name.split(' ')
      this.#counters.get(metric)?.add(sum - (this.#before.get(name) ?? 0), { what })
    }
    this.#before = sums
    this.#gauges.devices.set(core.devices)
    this.#gauges.windows.set(core.windowsOpen)
    this.#gauges.rows.set(core.rows.open)
    this.#gauges.journal.set(journalBytes)
    this.#gauges.unsynced.set(unsyncedMs / 1_000)
  }
}
