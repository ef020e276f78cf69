/**
 * Limits of reported properties, checked before sending: a hub answers 400 with an empty body, which the device SDK takes
 * for success (docs of IoT Hub, "Understand and use module twins"; observed with azure-iot-device 1.18).
 */
import { isJsonObject, type JsonObject, type JsonValue, mergePatch } from './json.ts'
import { twinDepthMax, twinNameBytesMax, twinSectionBytesMax, twinStringBytesMax } from './limits.ts'

const integerMax = 2 ** 52
/** From here JSON has an exponent, so that the hub reads no whole number. */
const exponentFrom = 1e21
// Control characters (C0, DEL, C1), dot, dollar, hash and space may not stand in a name.
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what the rule is about
const forbiddenInName = /[\u0000-\u0020.$#\u007f-\u009f]/

function checkName(name: string, place: string): string | undefined {
  if (name === '') return `${place}: a name is empty`
  const forbidden = forbiddenInName.exec(name)
  if (forbidden !== null) return `${place}: a name must not hold ${JSON.stringify(forbidden[0])}`
  const bytes = Buffer.byteLength(name)
  if (bytes > twinNameBytesMax) return `${place}: a name of ${bytes} bytes exceeds ${twinNameBytesMax}`
  return undefined
}

function checkValue(value: JsonValue, place: string, depth: number, inArray: boolean): string | undefined {
  if (value === null) return inArray ? `${place}: null must not stand in an array` : undefined
  if (typeof value === 'string') {
    const bytes = Buffer.byteLength(value)
    return bytes > twinStringBytesMax ? `${place}: a text of ${bytes} bytes exceeds ${twinStringBytesMax}` : undefined
  }
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) return `${place}: ${value} is no JSON number`
    return Number.isInteger(value) && Math.abs(value) > integerMax && Math.abs(value) < exponentFrom
      ? `${place}: ${value} is beyond the whole numbers of a twin (±2^52)`
      : undefined
  }
  if (typeof value !== 'object') return undefined
  if (depth > twinDepthMax) return `${place}: nested deeper than ${twinDepthMax}`
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) {
      const problem = checkValue(item as JsonValue, `${place}/${index}`, depth + 1, true)
      if (problem !== undefined) return problem
    }
    return undefined
  }
  for (const [key, item] of Object.entries(value as JsonObject)) {
    const itemPlace = place === '' ? key : `${place}/${key}`
    const problem = checkName(key, itemPlace) ?? checkValue(item, itemPlace, depth + 1, inArray)
    if (problem !== undefined) return problem
  }
  return undefined
}

/**
 * The first thing in `patch` that a hub would refuse, as `path: what is wrong`; undefined where it takes the patch.
 * @param reported What is reported already; the limit of the whole section holds for the two merged.
 */
export function checkReported(patch: JsonObject, reported: JsonObject): string | undefined {
  if (!isJsonObject(patch)) return 'reported: not an object'
  const problem = checkValue(patch, '', 1, false)
  if (problem !== undefined) return `reported/${problem}`
  const bytes = Buffer.byteLength(JSON.stringify(mergePatch(reported, patch)))
  return bytes > twinSectionBytesMax ? `reported: ${bytes} bytes together exceed ${twinSectionBytesMax}` : undefined
}
