import type { DeviceOperations } from '../cloud/service-api.ts'
import type { Fault } from '../faults/fault.ts'
import type { FaultControl } from '../faults/fault-control.ts'
import { isModuleId } from '../manifest/deployment.ts'
import type { LoadedDeployment } from '../manifest/load.ts'
import { RequestError } from '../workload/http-json.ts'
import { environmentByHand, type ModuleSurroundings } from './module-processes.ts'

export interface DeviceParts {
  readonly faults: FaultControl
  readonly deployment: LoadedDeployment
  readonly around: ModuleSurroundings
  isRegistered(moduleId: string): boolean
  register(moduleId: string): void
}

/** What the service API can do at the device, once the device is there. */
export class Device implements DeviceOperations {
  #parts: DeviceParts | undefined

  /** The device is complete. */
  ready(parts: DeviceParts): void {
    this.#parts = parts
  }

  activeFaults(): readonly Fault[] {
    return this.#known().faults.active()
  }

  orderFault(fault: Fault): Promise<void> {
    return this.#known().faults.order(fault)
  }

  clearFaults(): Promise<void> {
    return this.#known().faults.clear()
  }

  environment(moduleId: string): Readonly<Record<string, string>> {
    const { deployment, around, isRegistered } = this.#known()
    if (isRegistered(moduleId)) return environmentByHand(moduleId, deployment, around)
    throw new RequestError(404, `module ${moduleId}: not in the manifest; register it with weir env ${moduleId} --new`)
  }

  register(moduleId: string): void {
    if (!isModuleId(moduleId)) {
      throw new RequestError(
        400,
        `module ${moduleId}: expected 1 to 128 letters, digits and - : . + % _ # * ? ! ( ) , = @ $ '`,
      )
    }
    this.#known().register(moduleId)
  }

  #known(): DeviceParts {
    if (this.#parts === undefined)
      throw new RequestError(503, 'the edge hub is just being started; try again in a moment')
    return this.#parts
  }
}
