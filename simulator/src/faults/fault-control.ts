import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { writeFileAtomic } from '@weir/lib/atomic-file'
import { nearest } from '@weir/lib/nearest'
import { RequestError } from '../workload/http-json.ts'
import { fileNameOf } from '../workload/private-files.ts'
import type { DeliveryFaultSettings } from './delivery-faults.ts'
import type { DeviceFault } from './device-faults.ts'
import { type Fault, faultText } from './fault.ts'
import { type LinkFault, noLinkFault } from './link-faults.ts'
import type { ModuleFaults } from './module-faults.ts'

/** The parts of a running simulator that can be made to fail. */
export interface FaultParts {
  /** Of the run; every random choice follows from it. */
  readonly seed: number
  /** The files for the modules' preloads are written to `<stateFolder>/faults`. */
  readonly stateFolder: string
  /** Name of the edge hub among the supervisor's processes. */
  readonly edgeHubName: string
  /** Told of each order once it is carried out. */
  readonly onOrdered: (text: string) => void
  readonly supervisor: {
    /** Every process that it runs. */
    readonly names: readonly string[]
    /** false where the process does not run. */
    signal(name: string, signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): boolean
    /** Ends it in order and starts it again at once; false where it does not run. */
    restart(name: string): boolean
  }
  readonly cloud: {
    readonly moduleIds: readonly string[]
    setLinkFault(fault: LinkFault): void
  }
  readonly edgeHub: {
    setDeliveryFaults(settings: DeliveryFaultSettings): void
    /** Takes what was counted so far, which dies with the process. */
    counters(): Promise<unknown>
  }
  /** undefined where the run has no plant. */
  readonly plant:
    | { readonly deviceIds: readonly string[]; set(deviceId: string, fault: DeviceFault | undefined): void }
    | undefined
}

const everyClock = 'all'
const faultsFolder = 'faults'

function subjectOf(fault: Fault): string {
  return 'name' in fault ? `${fault.place}/${fault.name}` : fault.place
}

/** Faults that rule each other out have the same key. */
function keyOf(fault: Fault): string {
  return fault.place === 'messages' ? `${subjectOf(fault)}/${fault.action}` : subjectOf(fault)
}

/** Orders faults, and knows which are active. Those that are over at once (a kill, a restart) never are. */
export class FaultControl {
  readonly #parts: FaultParts
  readonly #active = new Map<string, Fault>()
  /** Processes that were killed by order and have not ended yet. */
  readonly #killed = new Set<string>()

  constructor(parts: FaultParts) {
    this.#parts = parts
    const folder = join(parts.stateFolder, faultsFolder)
    // An earlier run that was killed leaves its faults behind.
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true })
  }

  active(): readonly Fault[] {
    return [...this.#active.values()]
  }

  /** For people: clocks that were all stepped together are one. */
  activeTexts(): readonly string[] {
    const offsets = new Set(this.#parts.supervisor.names.map((name) => this.#clockOffsetMs(name)))
    const texts = this.active().map((fault) =>
      faultText(fault.place === 'clock' && offsets.size === 1 ? { ...fault, name: everyClock } : fault),
    )
    return [...new Set(texts)]
  }

  /** For each start of the edge hub. */
  deliveryFaults(): DeliveryFaultSettings {
    const modules: Record<string, DeliveryFaultSettings['modules'][string]> = {}
    for (const fault of this.#active.values()) {
      if (fault.place !== 'messages') continue
      const before = modules[fault.name]
      if (fault.action === 'delay') modules[fault.name] = { ...before, delayMs: fault.delayMs }
      else if (fault.action === 'dropBeforeAck') {
        modules[fault.name] = { ...before, dropBeforeAckShare: fault.share }
      } else if (fault.action === 'duplicate') modules[fault.name] = { ...before, duplicateShare: fault.share }
    }
    return { seed: this.#parts.seed, modules }
  }

  /** Whether a process ended because of a fault that was ordered for it; asked once for each end. */
  isOrderedEnd(name: string): boolean {
    return this.#killed.delete(name) || this.#active.has(`disk/${name}`)
  }

  /** @throws RequestError 404 where there is nothing of that name. */
  check(fault: Fault): void {
    switch (fault.place) {
      case 'upstream':
      case 'hub':
        break
      case 'device':
        if (this.#parts.plant === undefined) throw new RequestError(404, 'device: this run has no simulated plant')
        requireName(fault.name, this.#parts.plant.deviceIds, 'device')
        break
      case 'messages':
        requireName(fault.name, this.#parts.cloud.moduleIds, 'module')
        break
      case 'disk':
        requireName(fault.name, this.#moduleNames(), 'module')
        break
      case 'clock':
        requireName(fault.name, [everyClock, ...this.#parts.supervisor.names], 'module')
        break
      case 'module':
        requireName(fault.name, this.#moduleNames(), 'module')
    }
  }

  /** @throws RequestError 404 (see check), 409 where a process does not run. */
  async order(fault: Fault): Promise<void> {
    this.check(fault)
    switch (fault.place) {
      case 'upstream':
        this.#note(fault)
        this.#parts.cloud.setLinkFault(linkFaultOf(fault))
        break
      case 'hub':
        // The figures of the last moments would be missing in the account of the run.
        await this.#parts.edgeHub.counters().catch(() => undefined)
        this.#end(this.#parts.edgeHubName, fault.action)
        break
      case 'module':
        this.#orderModule(fault.name, fault.action, fault)
        break
      case 'messages':
        this.#note(fault)
        this.#parts.edgeHub.setDeliveryFaults(this.deliveryFaults())
        break
      case 'disk':
        this.#note(fault)
        this.#writeFaults(fault.name)
        break
      case 'clock':
        this.#orderClock(fault)
        break
      case 'device':
        this.#note(fault)
        this.#parts.plant?.set(fault.name, fault.action === 'restore' ? undefined : fault)
    }
    this.#parts.onOrdered(faultText(fault))
  }

  /** Ends everything that is active. */
  async clear(): Promise<void> {
    for (const fault of this.active()) {
      if (fault.place === 'hub') continue
      if (fault.place === 'module') await this.order({ place: 'module', name: fault.name, action: 'thaw' })
      else if (fault.place === 'upstream') await this.order({ place: 'upstream', action: 'restore' })
      else await this.order({ place: fault.place, name: fault.name, action: 'restore' })
    }
  }

  #moduleNames(): readonly string[] {
    return this.#parts.supervisor.names.filter((name) => name !== this.#parts.edgeHubName)
  }

  /** A restoration ends all faults of its place and name; anything else replaces what it rules out. */
  #note(fault: Fault): void {
    if (fault.action !== 'restore') {
      this.#active.set(keyOf(fault), fault)
      return
    }
    for (const [key, known] of [...this.#active]) if (subjectOf(known) === subjectOf(fault)) this.#active.delete(key)
  }

  #orderModule(name: string, action: 'kill' | 'freeze' | 'thaw' | 'restart', fault: Fault): void {
    const { supervisor } = this.#parts
    if (action === 'freeze') {
      if (!supervisor.signal(name, 'SIGSTOP')) throw notRunning(name)
      this.#active.set(keyOf(fault), fault)
    } else if (action === 'thaw') {
      supervisor.signal(name, 'SIGCONT')
      this.#active.delete(keyOf(fault))
    } else {
      this.#end(name, action)
      this.#active.delete(keyOf(fault))
    }
  }

  #end(name: string, action: 'kill' | 'restart'): void {
    const { supervisor } = this.#parts
    if (action === 'kill') this.#killed.add(name)
    if (action === 'kill' ? supervisor.signal(name, 'SIGKILL') : supervisor.restart(name)) return
    this.#killed.delete(name)
    throw notRunning(name)
  }

  /** A step counts from where the clock is; a step of all moves each. */
  #orderClock(fault: Extract<Fault, { place: 'clock' }>): void {
    const names = fault.name === everyClock ? this.#parts.supervisor.names : [fault.name]
    for (const name of names) {
      const ms = fault.action === 'step' ? this.#clockOffsetMs(name) + fault.ms : 0
      if (ms === 0) this.#active.delete(`clock/${name}`)
      else this.#active.set(`clock/${name}`, { place: 'clock', name, action: 'step', ms })
      this.#writeFaults(name)
    }
  }

  #clockOffsetMs(name: string): number {
    const active = this.#active.get(`clock/${name}`)
    return active?.place === 'clock' && active.action === 'step' ? active.ms : 0
  }

  #writeFaults(name: string): void {
    const disk = this.#active.get(`disk/${name}`)
    const faults: ModuleFaults = {
      disk: disk?.place !== 'disk' || disk.action === 'restore' ? null : disk.action === 'full' ? 'full' : disk.every,
      clockOffsetMs: this.#clockOffsetMs(name),
    }
    writeFileAtomic(moduleFaultsFile(this.#parts.stateFolder, name), `${JSON.stringify(faults)}\n`)
  }
}

/** Where the preload of a process finds its faults. */
export function moduleFaultsFile(stateFolder: string, name: string): string {
  return join(stateFolder, faultsFolder, `${fileNameOf(name)}.json`)
}

function linkFaultOf(fault: Extract<Fault, { place: 'upstream' }>): LinkFault {
  if (fault.action === 'cut') return { isCut: true, delayMs: 0 }
  return fault.action === 'slow' ? { isCut: false, delayMs: fault.delayMs } : noLinkFault
}

function notRunning(name: string): RequestError {
  return new RequestError(409, `${name}: does not run at the moment; weir modules shows its state`)
}

function requireName(name: string, known: readonly string[], kind: string): void {
  if (known.includes(name)) return
  const meant = nearest(name, known)
  const next = meant === undefined ? `there are ${known.join(', ')}` : `did you mean ${meant}?`
  throw new RequestError(404, `${kind} ${name}: no such ${kind} in this run (${next})`)
}
