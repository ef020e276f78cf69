import type { Labels, Metrics } from './metrics.ts'

/** Metrics that only add up, for tests. */
export class MemoryMetrics implements Metrics {
  readonly #values = new Map<string, number>()

  /** Sum of a counter, last value of a gauge, number of observations of a histogram; 0 where nothing was recorded. */
  value(name: string, labels: Labels = {}): number {
    return this.#values.get(keyOf(name, labels)) ?? 0
  }

  counter(name: string) {
    return { add: (amount: number, labels: Labels = {}) => this.#add(name, labels, amount) }
  }

  gauge(name: string) {
    return {
      set: (value: number, labels: Labels = {}) => {
        this.#values.set(keyOf(name, labels), value)
      },
    }
  }

  histogram(name: string) {
    return { observe: (_value: number, labels: Labels = {}) => this.#add(name, labels, 1) }
  }

  #add(name: string, labels: Labels, amount: number): void {
    const key = keyOf(name, labels)
    this.#values.set(key, (this.#values.get(key) ?? 0) + amount)
  }
}

function keyOf(name: string, labels: Labels): string {
  return `${name}${JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)))}`
}
