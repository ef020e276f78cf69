/**
 * Runs in a module's process before the module (`node --import`), put there by the simulator's supervisor: makes its disk
 * fail and its clock step as the file of module-faults.ts says. The module knows nothing of it.
 *
 * - Disk: synchronous calls of `node:fs` that change files or names under WEIR_STATE_FOLDER.
 * - Clock: `Date`. Monotonic time and timers go on as they were.
 */
import fs, { type PathLike } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { constants } from 'node:os'
import { resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type ModuleFaults, moduleFaultsVariable, noModuleFaults } from './module-faults.ts'

const pollMs = 200
/** undefined in a process whose disk cannot be made to fail. */
const folder = process.env['WEIR_STATE_FOLDER'] && resolve(process.env['WEIR_STATE_FOLDER'])
const faultsFile = process.env[moduleFaultsVariable] ?? ''
delete process.env[moduleFaultsVariable]

const { closeSync, openSync, readFileSync } = fs
let faults = noModuleFaults
/** Calls that could have failed since `failing` was ordered. */
let calls = 0
/** Open files of the state folder. */
const descriptors = new Set<number>()

function isInFolder(path: PathLike): boolean {
  if (!folder) return false
  const file = resolve(path instanceof URL ? fileURLToPath(path) : String(path))
  return file === folder || file.startsWith(folder + sep)
}

function isOurs(place: PathLike | number): boolean {
  return typeof place === 'number' ? descriptors.has(place) : isInFolder(place)
}

/** An error as libuv makes it. */
function systemError(code: 'ENOSPC' | 'EIO', syscall: string): Error {
  const text = code === 'ENOSPC' ? 'no space left on device' : 'i/o error'
  return Object.assign(new Error(`${code}: ${text}, ${syscall}`), { code, errno: -constants.errno[code], syscall })
}

function failWhereOrdered(place: PathLike | number, syscall: string): void {
  const { disk } = faults
  if (disk === null || !isOurs(place)) return
  if (disk === 'full') throw systemError('ENOSPC', syscall)
  calls++
  if (calls % disk === 0) throw systemError('EIO', syscall)
}

/** The same function, which fails first where that is ordered for its first argument. */
function failing<Arguments extends [PathLike | number, ...unknown[]], Result>(
  run: (...all: Arguments) => Result,
  syscall: string,
): (...all: Arguments) => Result {
  return (...all) => {
    if (faults.disk !== null) failWhereOrdered(all[0], syscall)
    return run(...all)
  }
}

Object.assign(fs, {
  openSync(...all: Parameters<typeof openSync>) {
    const descriptor = openSync(...all)
    if (isInFolder(all[0])) descriptors.add(descriptor)
    return descriptor
  },
  closeSync(descriptor: number) {
    descriptors.delete(descriptor)
    closeSync(descriptor)
  },
  writeSync: failing(fs.writeSync as (...all: [number, ...unknown[]]) => number, 'write'),
  writevSync: failing(fs.writevSync, 'write'),
  writeFileSync: failing(fs.writeFileSync, 'write'),
  appendFileSync: failing(fs.appendFileSync, 'write'),
  fsyncSync: failing(fs.fsyncSync, 'fsync'),
  fdatasyncSync: failing(fs.fdatasyncSync, 'fdatasync'),
  renameSync: failing(fs.renameSync, 'rename'),
})
syncBuiltinESMExports()

const MachineDate = Date
const machineNow = Date.now
let isClockOurs = false

function takeClock(): void {
  isClockOurs = true
  const now = (): number => machineNow() + faults.clockOffsetMs
  MachineDate.now = now
  // A proxy shares the prototype, so that `instanceof` holds for dates made before.
  globalThis.Date = new Proxy(MachineDate, {
    construct: (target, all, newTarget) => Reflect.construct(target, all.length === 0 ? [now()] : all, newTarget),
    apply: () => new MachineDate(now()).toString(),
  })
  MachineDate.prototype.constructor = globalThis.Date
}

function read(): ModuleFaults {
  try {
    return JSON.parse(readFileSync(faultsFile, 'utf8')) as ModuleFaults
  } catch {
    // The file is there only where something was ordered; it is replaced whole.
    return noModuleFaults
  }
}

function apply(): void {
  const before = faults.disk
  faults = read()
  if (faults.disk !== before) calls = 0
  if (faults.clockOffsetMs !== 0 && !isClockOurs) takeClock()
}

if (faultsFile !== '') {
  apply()
  // Looked at off the main thread, which hears of changes alone; keeps no process alive.
  fs.watchFile(faultsFile, { interval: pollMs, persistent: false }, apply)
}
