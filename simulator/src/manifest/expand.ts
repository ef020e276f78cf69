import type { JsonValue } from '@weir/lib/json'

export type Variables = Readonly<Record<string, string | undefined>>

/** `$NAME` and `${NAME}`, as Python's `os.path.expandvars` reads them; iotedgedev expands templates with it. */
const variable = /\$(\w+|\{[^}]*\})/g

/** Replaces the variables that are set, in every text of `value`; the others stay as they are. Keys are left alone. */
export function expandVariables(value: JsonValue, variables: Variables): JsonValue {
  if (typeof value === 'string') {
    return value.replace(variable, (whole, name: string) => {
      const key = name.startsWith('{') ? name.slice(1, -1) : name
      return (Object.hasOwn(variables, key) ? variables[key] : undefined) ?? whole
    })
  }
  if (Array.isArray(value)) return value.map((item: JsonValue) => expandVariables(item, variables))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, expandVariables(item, variables)]))
}

/** What an image in a template stands for. */
export type ImageReference =
  /** `${MODULES.<folder>[.<platform>][.debug]}`: a folder of the solution's modules. */
  | { readonly kind: 'module'; readonly folder: string; readonly debug: boolean }
  /** `${MODULEDIR<<path>>[.<platform>][.debug]}`: a folder relative to the template. */
  | { readonly kind: 'path'; readonly path: string; readonly debug: boolean }
  | { readonly kind: 'image'; readonly image: string }

const platforms = 'amd64|arm32v7|arm64v8|windows-amd64'
const suffix = `(?:\\.(?:${platforms}))?(\\.debug)?`
const modulePlaceholder = new RegExp(`^\\$\\{MODULES\\.(.+?)${suffix}\\}$`)
const pathPlaceholder = new RegExp(`^\\$\\{MODULEDIR<(.+)>${suffix}\\}$`)

export function imageReference(image: string): ImageReference {
  const module = modulePlaceholder.exec(image)
  if (module?.[1] !== undefined) return { kind: 'module', folder: module[1], debug: module[2] !== undefined }
  const path = pathPlaceholder.exec(image)
  if (path?.[1] !== undefined) return { kind: 'path', path: path[1], debug: path[2] !== undefined }
  return { kind: 'image', image }
}
