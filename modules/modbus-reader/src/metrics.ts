import type { Counter, Histogram, Metrics } from '@weir/lib/metrics'

export interface Instruments {
  readonly polls: Counter
  readonly rows: Counter
  readonly values: Counter
  readonly badValues: Counter
  readonly overruns: Counter
  readonly failures: Counter
  readonly requestSeconds: Histogram
}

const requestSecondsBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]

export function readerInstruments(metrics: Metrics): Instruments {
  return {
    polls: metrics.counter('modbus_polls_total', 'Polls of a poll group', ['link']),
    rows: metrics.counter('modbus_rows_total', 'Rows published'),
    values: metrics.counter('modbus_values_total', 'Good values read'),
    badValues: metrics.counter('modbus_bad_values_total', 'Values that were not good, by reason', ['reason']),
    overruns: metrics.counter('modbus_overruns_total', 'Polls that never began because the line was too slow', [
      'link',
    ]),
    failures: metrics.counter('modbus_request_failures_total', 'Requests that brought no data, by kind', [
      'link',
      'kind',
    ]),
    requestSeconds: metrics.histogram(
      'modbus_request_seconds',
      'Time from a request to its answer',
      requestSecondsBuckets,
      ['link'],
    ),
  }
}
