import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sleep, systemClock } from '@weir/lib/clock'
import { expect, test } from 'vitest'
import { Pipeline, windowMs } from './soak/pipeline.ts'
import { allProblems, examine, type Findings } from './soak/proof.ts'
import { moduleNames } from './soak/running-device.ts'

/** The least that a module takes. */
const tokenRenewalS = 10
const certificateRenewalMs = 4_000
const loadMs = 2.5 * tokenRenewalS * 1000

interface Renewals {
  readonly findings: Findings
  readonly deaths: readonly string[]
  readonly edgeHubLog: string
}

async function renewUnderLoad(stateFolder: string): Promise<Renewals> {
  await using pipeline = await Pipeline.start({
    stateFolder,
    seed: 1,
    lateArrivalMs: 2_000,
    environment: { WEIR_TOKEN_RENEWAL_S: String(tokenRenewalS) },
    edgeHubEnvironment: { ServerCertificateRenewAfterInMs: String(certificateRenewalMs) },
  })
  await sleep(systemClock, loadMs)
  const edgeHubLog = readFileSync(join(stateFolder, 'logs', 'edgeHub.log'), 'utf8')
  const elsewhere = await pipeline.drain()
  const findings = examine(pipeline.device.arrived, { elsewhere, windowMs, readerTailMax: 0 })
  return { findings, deaths: [...pipeline.device.deaths], edgeHubLog }
}

function times(text: string, what: string): number {
  return text.split(what).length - 1
}

test('token renewals of every module and certificate renewals of the edge hub during load lose and double nothing', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'weir-renewal-'))
  const { findings, deaths, edgeHubLog } = await renewUnderLoad(folder)
  expect(times(edgeHubLog, 'server certificate: renewed')).toBeGreaterThanOrEqual(5)
  for (const name of moduleNames) {
    // Every connection but the first met a certificate that was renewed.
    expect(times(edgeHubLog, `module ${name}: connected`), name).toBeGreaterThanOrEqual(3)
  }
  expect(allProblems(findings)).toEqual([])
  expect(deaths).toEqual([])
  expect(findings.seen.rows).toBeGreaterThan(1000)
  expect(findings.seen.crossings).toBeGreaterThan(20)
  rmSync(folder, { recursive: true, force: true })
})
