/**
 * When a module that exited is started again: edgeAgent's rules (Azure/iotedge,
 * RestartPolicyManager.cs).
 */

export type RestartPolicy = 'never' | 'on-failure' | 'on-unhealthy' | 'always'

/** States of a module as edgeAgent reports them. */
export type ModuleState = 'running' | 'stopped' | 'failed' | 'backoff'

export interface RestartLimits {
  readonly restartsMax: number
  readonly coolOffMs: number
  readonly coolOffMsMax: number
  /** After this long of running the count of restarts begins anew. */
  readonly steadyMs: number
}

/** edgeAgent's defaults: MaxRestartCount, CoolOffTimeUnitInSeconds, IntensiveCareTimeInMinutes. */
export const edgeAgentLimits: RestartLimits = {
  restartsMax: 20,
  coolOffMs: 10_000,
  coolOffMsMax: 300_000,
  steadyMs: 600_000,
}

export interface Exit {
  readonly policy: RestartPolicy
  /** Exit code, or null where a signal ended the process. */
  readonly exitCode: number | null
  readonly ranMs: number
  /** Restarts counted against the limit before this exit. */
  readonly restartCount: number
}

export type AfterExit =
  | { readonly state: 'stopped' | 'failed' }
  | { readonly state: 'backoff'; readonly delayMs: number; readonly restartCount: number }

/**
 * What follows the exit of a module. `restartCount` of the answer counts the restart that comes. `on-unhealthy` acts as
 * `on-failure`: nothing probes a module's health.
 */
export function afterExit(exit: Exit, limits: RestartLimits = edgeAgentLimits): AfterExit {
  const state = exit.exitCode === 0 ? 'stopped' : 'failed'
  const restartable = exit.policy === 'always' || (exit.policy !== 'never' && state === 'failed')
  if (!restartable) return { state }
  const restartCount = exit.ranMs >= limits.steadyMs ? 0 : exit.restartCount
  if (restartCount >= limits.restartsMax) return { state: 'failed' }
  return {
    state: 'backoff',
    delayMs: Math.min(limits.coolOffMs * 2 ** restartCount, limits.coolOffMsMax),
    restartCount: restartCount + 1,
  }
}
