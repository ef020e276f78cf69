/**
 * The signals of the simulated plant as pure functions of time and seed: the same seed gives the same plant, and any
 * moment can be asked for without running through those before it.
 */

/** One signal's value `sinceStartMs` after the plant's start. Switches give 0 or 1. */
export type SignalModel = (sinceStartMs: number, noise: Noise) => number

/** Noise of one signal: standard normal, the same for the same `tick`. */
export type Noise = (tick: number) => number

interface TimedModel {
  /** The sensor renews its value this often; between, it stays. */
  readonly updateMs: number
  readonly model: SignalModel
}

const second = 1000
const minute = 60 * second
const hour = 60 * minute
const day = 24 * hour

/** A well mixed 32-bit hash of two integers (the finaliser of MurmurHash3). */
function hash(a: number, b: number): number {
  let h = Math.imul(a ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(b + 0x7f4a7c15, 0xc2b2ae35)
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

function hashText(text: string, seed: number): number {
  let h = hash(seed, text.length)
  for (const character of text) h = hash(h, character.codePointAt(0) ?? 0)
  return h
}

/** Standard normal noise for the signal that `key` names. */
export function seededNoise(key: string, seed: number): Noise {
  const stream = hashText(key, seed)
  return (tick) => {
    const first = hash(stream, tick * 2)
    const second = hash(stream, tick * 2 + 1)
    // Box-Muller; the first uniform is kept off 0.
    return Math.sqrt(-2 * Math.log((first + 1) / 2 ** 32)) * Math.cos((2 * Math.PI * second) / 2 ** 32)
  }
}

/** Load of the plant over the day, 0.55 to 0.95: shifts ramp up to noon and down to the night. The plant starts at 8:00. */
export function dailyLoad(sinceStartMs: number): number {
  const ofDay = (sinceStartMs / day + 8 / 24) % 1
  return 0.75 - 0.2 * Math.cos(2 * Math.PI * (ofDay - 0.04))
}

/** 0 to 1 over the first `lengthMs`: a machine that runs up. */
function startUp(sinceStartMs: number, lengthMs: number): number {
  return 1 - Math.exp((-3 * sinceStartMs) / lengthMs)
}

/** Piecewise linear through `[milliseconds, value]` points in rising order. */
function through(points: readonly (readonly [number, number])[], atMs: number): number {
  let before = points[0] ?? [0, 0]
  for (const point of points) {
    if (point[0] >= atMs) {
      const width = point[0] - before[0]
      return width === 0 ? point[1] : before[1] + ((point[1] - before[1]) * (atMs - before[0])) / width
    }
    before = point
  }
  return before[1]
}

/** The oven overheats every ten minutes: over 80 °C from about 22 s on, below 78 °C after about 46 s. */
export const overheatingPeriodMs = 10 * minute
const overheatingRise = [
  [0, 0],
  [18 * second, 0],
  [24 * second, 26],
  [44 * second, 24],
  [50 * second, 0],
] as const

function level(base: number, spread: number, updateMs: number): TimedModel {
  return {
    updateMs,
    model: (sinceStartMs, noise) => base + spread * noise(Math.floor(sinceStartMs / updateMs)),
  }
}

/** A quantity that follows the load of the day, runs up at the start, and is noisy. */
function loaded(idle: number, full: number, spread: number, updateMs: number, startUpMs = 15 * second): TimedModel {
  return {
    updateMs,
    model: (sinceStartMs, noise) =>
      idle +
      (full - idle) * dailyLoad(sinceStartMs) * startUp(sinceStartMs, startUpMs) +
      spread * noise(Math.floor(sinceStartMs / updateMs)),
  }
}

const temperatureUpdateMs = 500
const fastUpdateMs = 50

/** A bearing that wears: impacts every so often, the level creeping up by the hour. Levels off where the mill would be stopped. */
const wearingBearing: TimedModel = {
  updateMs: fastUpdateMs,
  model: (sinceStartMs, noise) => {
    const tick = Math.floor(sinceStartMs / fastUpdateMs)
    const wear = Math.min(1, sinceStartMs / (8 * hour))
    const impact = tick % 37 === 0 ? 0.6 + 3 * wear : 0
    return Math.max(0.1, 1.6 + 3.5 * wear ** 1.5 + impact + (0.12 + 0.3 * wear) * noise(tick))
  },
}

const ovenTemperature: TimedModel = {
  updateMs: temperatureUpdateMs,
  model: (sinceStartMs, noise) =>
    61 +
    4 * dailyLoad(sinceStartMs) +
    through(overheatingRise, sinceStartMs % overheatingPeriodMs) +
    0.08 * noise(Math.floor(sinceStartMs / temperatureUpdateMs)),
}

/** Strokes of the press: one a second under full load. */
const strokes: TimedModel = {
  updateMs: 250,
  model: (sinceStartMs) => 128_400 + Math.floor((sinceStartMs / second) * 0.8),
}

/** The door opens for 20 s every four minutes. */
const door: TimedModel = {
  updateMs: 250,
  model: (sinceStartMs) => (sinceStartMs % (4 * minute) > 220 * second ? 1 : 0),
}

const running: TimedModel = { updateMs: 250, model: (sinceStartMs) => (sinceStartMs > 2 * second ? 1 : 0) }

/** Models of single signals, by device and signal. */
const ownModels: Readonly<Record<string, TimedModel>> = {
  'oven-1/temperature': ovenTemperature,
  'mill-3/vibration': wearingBearing,
  'press-4/temperature': loaded(38, 62, 0.15, temperatureUpdateMs, 20 * minute),
  'pump-2/temperature': loaded(30, 48, 0.1, temperatureUpdateMs, 15 * minute),
  'mill-3/temperature': loaded(34, 58, 0.12, temperatureUpdateMs, 20 * minute),
  'pump-2/pressure': loaded(1.2, 4.6, 0.02, fastUpdateMs),
}

/** Models by the name of the signal, where a device has none of its own. */
const modelsByName: Readonly<Record<string, TimedModel>> = {
  temperature: loaded(32, 50, 0.15, temperatureUpdateMs, 20 * minute),
  humidity: level(44, 0.4, 2 * second),
  vibration: loaded(0.6, 2.1, 0.08, fastUpdateMs),
  current: loaded(4, 32, 0.3, 100),
  pressure: loaded(20, 160, 0.8, fastUpdateMs),
  flow: loaded(0, 46, 0.25, 100),
  power: loaded(3, 27, 0.15, 100),
  airflow: loaded(200, 1500, 6, 100),
  speed: loaded(0, 1900, 3, 100, 20 * second),
  load: loaded(5, 95, 0.8, 100),
  strokes,
  doorOpen: door,
  running,
}

const anyOther = level(50, 1, second)

/** A signal of the plant, ready to be asked for its value at any moment after the start. */
export function plantSignal(deviceId: string, signal: string, seed: number): (sinceStartMs: number) => number {
  const key = `${deviceId}/${signal}`
  const { model, updateMs } = ownModels[key] ?? modelsByName[signal] ?? anyOther
  const noise = seededNoise(key, seed)
  return (sinceStartMs) => model(Math.floor(sinceStartMs / updateMs) * updateMs, noise)
}
