import type { Log } from '@weir/lib/log'
import type { TwinStore } from './twins.ts'
import type { UpstreamLink } from './upstream.ts'

/** Sends reported patches upstream, one at a time in their order. A patch that is sent twice changes nothing. */
export class ReportPump {
  readonly #twins: Pick<TwinStore, 'nextReport' | 'reportDone'>
  readonly #link: Pick<UpstreamLink, 'connected' | 'request'>
  readonly #log: Log
  #running = false

  constructor(
    twins: Pick<TwinStore, 'nextReport' | 'reportDone'>,
    link: Pick<UpstreamLink, 'connected' | 'request'>,
    log: Log,
  ) {
    this.#twins = twins
    this.#link = link
    this.#log = log
  }

  /** A patch waits, or the link is back. */
  wake(): void {
    if (this.#running) return
    this.#running = true
    void this.#run().finally(() => {
      this.#running = false
    })
  }

  async #run(): Promise<void> {
    while (this.#link.connected) {
      const report = this.#twins.nextReport()
      if (report === undefined) return
      const { moduleId, patch } = report
      const answer = await this.#link.request({ type: 'reported', moduleId, patch }).catch(() => undefined)
      if (answer?.type !== 'reportedResult') continue
      if (answer.status === 400) this.#log.warning(`twin ${moduleId}: the cloud refused a reported patch`)
      this.#twins.reportDone(report)
    }
  }
}
