import { describe, expect, it } from 'vitest'
import { PrometheusMetrics, parseMetricsAddress, serveMetrics } from './metrics-prometheus.ts'
import { testContext } from './test-context.ts'

const get = async (port: number, path = '/metrics') => {
  const response = await fetch(`http://127.0.0.1:${port}${path}`)
  return { status: response.status, text: await response.text() }
}

describe('metrics', () => {
  it('are served with the prefix and the name of the module', async () => {
    const metrics = new PrometheusMetrics('probe')
    metrics.counter('rows_total', 'Rows', ['device']).add(3, { device: 'press-4' })
    metrics.counter('rows_total', 'Rows', ['device']).add(2, { device: 'press-4' })
    const gauge = metrics.gauge('waiting', 'Waiting')
    metrics.beforeScrape(() => gauge.set(7))
    metrics.histogram('latency_seconds', 'Latency', [0.1, 1]).observe(0.5)
    const server = await serveMetrics(metrics, '127.0.0.1:0', testContext().log)
    const { text } = await get(server.port)
    expect(text).toContain('weir_rows_total{device="press-4",module="probe"} 5')
    expect(text).toContain('weir_waiting{module="probe"} 7')
    expect(text).toContain('weir_latency_seconds_bucket{le="1",module="probe"} 1')
    expect(text).toContain('process_resident_memory_bytes')
    expect(await get(server.port, '/other')).toMatchObject({ status: 404 })
    await server.close()
  })

  it('on a port that is taken are a warning, and the module goes on', async () => {
    const { log, logLines } = testContext()
    const first = await serveMetrics(new PrometheusMetrics('a'), '127.0.0.1:0', log)
    const second = await serveMetrics(new PrometheusMetrics('b'), `127.0.0.1:${first.port}`, log)
    expect(second.port).toBe(0)
    expect(logLines.join('')).toContain(`port ${first.port} cannot be served`)
    await first.close()
  })

  it.each([
    ['9600', { host: '0.0.0.0', port: 9600 }],
    ['127.0.0.1:0', { host: '127.0.0.1', port: 0 }],
    ['::1:9600', { host: '::1', port: 9600 }],
    ['off', 'off'],
    ['65536', undefined],
    ['metrics', undefined],
    ['', undefined],
  ])('at %j are read as %j', (text, expected) => {
    expect(parseMetricsAddress(text)).toEqual(expected)
  })
})
