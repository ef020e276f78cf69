import { type BodyValue, type JsonObject, parseBody, selectFromBody, type structure } from './body.ts'
import type { PathStep } from './json-path.ts'
import { foldCase } from './text.ts'

/**
 * Where a message came from: a module, with the output it was sent on if any; a leaf device; or edgeHub itself,
 * announcing that reported properties changed.
 */
export type MessageSource =
  | { readonly kind: 'module'; readonly moduleId: string; readonly output?: string | undefined }
  | { readonly kind: 'device' }
  | { readonly kind: 'twinChange'; readonly moduleId: string }

/**
 * What routes look at. Must not change once it has been routed: what was read of it is kept.
 *
 * `systemProperties` carry edgeHub's long names, such as `contentType`, `contentEncoding`, `connectionModuleId`,
 * `outputName`, `messageId`.
 */
export interface RoutableMessage {
  readonly source: MessageSource
  readonly properties: Readonly<Record<string, string | null>>
  readonly systemProperties: Readonly<Record<string, string | null>>
  readonly body: Buffer
}

type TextByName = ReadonlyMap<string, string | null>

/** Reads a message for conditions; indexes its properties and parses its body at the first need, once. */
export class MessageView {
  readonly #message: RoutableMessage
  #properties: TextByName | undefined
  #systemProperties: TextByName | undefined
  #body: { readonly root: JsonObject | undefined } | undefined

  constructor(message: RoutableMessage) {
    this.#message = message
  }

  /** Undefined when absent. `name` is in folded case. */
  property(name: string): string | null | undefined {
    this.#properties ??= indexByName(this.#message.properties)
    return this.#properties.get(name)
  }

  /** Undefined when absent. `name` is in folded case. */
  systemProperty(name: string): string | null | undefined {
    this.#systemProperties ??= indexByName(this.#message.systemProperties)
    return this.#systemProperties.get(name)
  }

  select(steps: readonly PathStep[]): BodyValue | typeof structure {
    this.#body ??= {
      root: parseBody(this.#message.body, this.systemProperty('CONTENTTYPE'), this.systemProperty('CONTENTENCODING')),
    }
    return this.#body.root === undefined ? undefined : selectFromBody(this.#body.root, steps)
  }
}

const views = new WeakMap<RoutableMessage, MessageView>()

/** The one view of a message, however many conditions and tables look at it. */
export function viewOf(message: RoutableMessage): MessageView {
  const known = views.get(message)
  if (known !== undefined) return known
  const view = new MessageView(message)
  views.set(message, view)
  return view
}

function indexByName(properties: RoutableMessage['properties']): TextByName {
  return new Map(Object.entries(properties).map(([name, value]) => [foldCase(name), value]))
}
