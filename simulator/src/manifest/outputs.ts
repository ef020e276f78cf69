import type { LintOptions } from '../routes/lint.ts'

/** What Weir's modules send, for the lint of routes: their outputs, and which of them carry arrays. */
export const weirOutputs = {
  outputs: {
    'modbus-reader': ['telemetry', 'events', 'gaps'],
    aggregator: ['aggregates', 'raw', 'gaps', 'receipts'],
    'anomaly-detector': ['anomalies', 'captures', 'labels', 'gaps'],
    'alert-forwarder': ['alerts', 'gaps'],
  },
  arrayOutputs: { aggregator: ['aggregates'] },
} as const satisfies LintOptions
