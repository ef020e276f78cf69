import { createServer, type Server } from 'node:http'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { errorText } from './errors.ts'
import { flashBytesPerDay, readWriteBytes } from './journal/flash.ts'
import type { Log } from './log.ts'
import type { Labels, Metrics } from './metrics.ts'

const prefix = 'weir_'

/** Prometheus metrics of a module, with those of its process. */
export class PrometheusMetrics implements Metrics {
  readonly registry = new Registry()
  readonly #metrics = new Map<string, unknown>()
  readonly #beforeScrape: (() => void)[] = []

  constructor(module: string) {
    this.registry.setDefaultLabels({ module })
    collectDefaultMetrics({ register: this.registry })
    addDiskMetrics(this.registry)
  }

  /** `measure` sets gauges that are only worth setting when somebody looks. */
  beforeScrape(measure: () => void): void {
    this.#beforeScrape.push(measure)
  }

  /** The page that is scraped. */
  text(): Promise<string> {
    for (const measure of this.#beforeScrape) measure()
    return this.registry.metrics()
  }

  counter(name: string, help: string, labelNames: readonly string[] = []) {
    const counter = this.#once(name, () => new Counter({ ...this.#options(name, help), labelNames: [...labelNames] }))
    return { add: (amount: number, labels: Labels = {}) => counter.inc(labels, amount) }
  }

  gauge(name: string, help: string, labelNames: readonly string[] = []) {
    const gauge = this.#once(name, () => new Gauge({ ...this.#options(name, help), labelNames: [...labelNames] }))
    return { set: (value: number, labels: Labels = {}) => gauge.set(labels, value) }
  }

  histogram(name: string, help: string, buckets: readonly number[], labelNames: readonly string[] = []) {
    const histogram = this.#once(
      name,
      () => new Histogram({ ...this.#options(name, help), buckets: [...buckets], labelNames: [...labelNames] }),
    )
    return { observe: (value: number, labels: Labels = {}) => histogram.observe(labels, value) }
  }

  #options(name: string, help: string) {
    return { name: `${prefix}${name}`, help, registers: [this.registry] }
  }

  #once<Metric>(name: string, create: () => Metric): Metric {
    const known = this.#metrics.get(name)
    if (known !== undefined) return known as Metric
    const metric = create()
    this.#metrics.set(name, metric)
    return metric
  }
}

/** What wears the flash of a gateway; only where the system tells. */
function addDiskMetrics(registry: Registry): void {
  const startBytes = readWriteBytes()
  const startMs = performance.now()
  if (startBytes === undefined) return
  new Gauge({
    name: `${prefix}disk_written_bytes`,
    help: 'Bytes that this process wrote to storage since its start (write_bytes of /proc/self/io)',
    registers: [registry],
    collect() {
      this.set(readWriteBytes() ?? 0)
    },
  })
  new Gauge({
    name: `${prefix}disk_written_bytes_per_day`,
    help: 'Bytes that this process writes to storage per day, if it goes on as it did since its start',
    registers: [registry],
    collect() {
      this.set(flashBytesPerDay((readWriteBytes() ?? 0) - startBytes, performance.now() - startMs))
    },
  })
}

export interface MetricsServer {
  /** 0 where none is served. */
  readonly port: number
  close(): Promise<void>
}

const noServer: MetricsServer = { port: 0, close: async () => {} }

/** Where `WEIR_METRICS_PORT` says metrics are served: a port, `host:port`, or `off`. */
export function parseMetricsAddress(text: string): { host: string; port: number } | 'off' | undefined {
  if (text === 'off') return 'off'
  const match = /^(?:(.+):)?(\d{1,5})$/.exec(text)
  const port = Number(match?.[2])
  return match === null || port > 65_535 ? undefined : { host: match[1] ?? '0.0.0.0', port }
}

/** Serves GET /metrics. A port that cannot be had is a warning: a module works without being watched. */
export async function serveMetrics(metrics: PrometheusMetrics, address: string, log: Log): Promise<MetricsServer> {
  const at = parseMetricsAddress(address)
  if (at === 'off') return noServer
  if (at === undefined) {
    log.warning(`metrics: WEIR_METRICS_PORT "${address}" is no port, host:port or "off"; no metrics are served`)
    return noServer
  }
  const server = createServer((request, response) => {
    if (request.method !== 'GET' || request.url?.split('?')[0] !== '/metrics') {
      response.writeHead(404).end()
      return
    }
    metrics.text().then(
      (text) => response.writeHead(200, { 'content-type': metrics.registry.contentType }).end(text),
      (error: unknown) => response.writeHead(500).end(errorText(error)),
    )
  })
  try {
    await listen(server, at.host, at.port)
  } catch (error) {
    log.warning(`metrics: port ${at.port} cannot be served: ${errorText(error)}; set WEIR_METRICS_PORT to a free port`)
    return noServer
  }
  server.unref()
  const bound = server.address()
  return {
    port: typeof bound === 'object' && bound !== null ? bound.port : 0,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      // An error after this point concerns one scrape and must not end the module.
      server.on('error', () => {})
      resolve()
    })
  })
}
