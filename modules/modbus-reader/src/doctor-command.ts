import { type Command, command } from '@weir/lib/command'
import type { JsonValue } from '@weir/lib/json'
import { believableTimestampMsMin } from '@weir/lib/limits'
import type { ModuleContext } from '@weir/lib/module'
import { z } from 'zod'
import type { CommandTargets } from './commands.ts'
import { diagnoseLink, diagnoseModule, diagnoseUnit, type Finding } from './doctor.ts'
import type { LinkRunner } from './link-runner.ts'

export interface DoctorTargets extends CommandTargets {
  readonly context: Pick<ModuleContext, 'queued' | 'clock'>
}

const doctorArguments = z.strictObject({
  all: z.boolean().default(true).meta({ description: 'Whether what is in order is shown as well.' }),
})

function diagnoseRunner(targets: DoctorTargets, linkId: string, runner: LinkRunner): Finding[] {
  const { links, devices } = targets.config()
  const settings = links[linkId]
  if (settings === undefined) return []
  const isSerial = 'path' in settings
  const units = [...runner.units].map(([unitId, health]) => {
    const ofUnit = Object.entries(devices).filter(([, device]) => device.link === linkId && device.unitId === unitId)
    const names = ofUnit.map(([deviceId]) => deviceId).join(', ')
    const timeoutMs = ofUnit[0]?.[1].timeoutMs ?? settings.timeoutMs
    return diagnoseUnit(
      `unit ${unitId} on ${linkId} (${names})`,
      health.state,
      runner.statisticsOf(unitId),
      isSerial,
      timeoutMs,
    )
  })
  return [diagnoseLink(linkId, runner.linkState, runner.linkDetail, isSerial), ...units]
}

function diagnose(targets: DoctorTargets): Finding[] {
  const { context } = targets
  const links = [...targets.runners()].flatMap(([linkId, runner]) => diagnoseRunner(targets, linkId, runner))
  const devices = Object.keys(targets.config().devices).length
  const configuration: Finding =
    devices > 0
      ? { what: 'configuration', finding: `${devices} devices are polled`, advice: 'nothing' }
      : { what: 'configuration', finding: 'names no device', advice: 'check the desired properties of the module' }
  return [
    configuration,
    ...links,
    ...diagnoseModule(context.queued(), context.clock.nowMs() >= believableTimestampMsMin),
  ]
}

export function doctorCommand(targets: DoctorTargets): Command {
  return command<z.infer<typeof doctorArguments>>({
    name: 'doctor',
    summary: 'Says why there is no data, and what to do: configuration, links, units, hub and clock.',
    arguments: doctorArguments,
    job: true,
    run({ all }) {
      const findings = diagnose(targets).filter(({ advice }) => all || advice !== 'nothing')
      return Promise.resolve(findings.map(({ what, finding, advice }): JsonValue => ({ what, finding, advice })))
    },
  })
}
