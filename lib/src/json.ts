export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject
export interface JsonObject {
  readonly [key: string]: JsonValue
}

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** `value` when it is an object, or undefined. */
export function asObject(value: unknown): JsonObject | undefined {
  return isJsonObject(value) ? value : undefined
}

/**
 * Merges `patch` into `target` as twins do: objects merge key by key, null deletes, anything else replaces.
 * Keys are own properties only, so that `__proto__` is a name like any other.
 */
export function mergePatch(target: JsonObject, patch: JsonObject): JsonObject {
  const merged = new Map<string, JsonValue>(Object.entries(target))
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) {
      merged.delete(key)
      continue
    }
    const before = merged.get(key)
    merged.set(key, isJsonObject(value) ? mergePatch(isJsonObject(before) ? before : {}, value) : value)
  }
  return Object.fromEntries(merged)
}

/** `value` as JSON would carry it: what is undefined is left out. */
export function toJson(value: unknown): JsonValue {
  return JSON.parse(JSON.stringify(value ?? null)) as JsonValue
}
