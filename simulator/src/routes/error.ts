/** A stretch of route or condition text: zero-based offset of its first character, and its length in characters. */
export interface TextRange {
  readonly offset: number
  readonly length: number
}

export interface RouteErrorDetails {
  /** What is wrong, with the offending text quoted. */
  readonly problem: string
  /** What to write instead. */
  readonly hint: string
  /** The text that `range` counts in; needed to name line and column. */
  readonly text?: string | undefined
  readonly range?: TextRange | undefined
  /** Name of the route in the manifest. */
  readonly route?: string | undefined
}

/**
 * A route, condition or `$edgeHub` configuration that edgeHub would refuse.
 *
 * `message` reads `route "alerts": PROBLEM at LINE:COLUMN; HINT`. Lines and columns count from one.
 */
export class RouteError extends Error {
  override readonly name = 'RouteError'
  readonly details: RouteErrorDetails
  /** What is wrong and where: `message` without route and hint. */
  readonly statement: string

  constructor(details: RouteErrorDetails) {
    const { problem, hint, text, range, route } = details
    const place = text === undefined || range === undefined ? '' : ` at ${lineAndColumn(text, range.offset)}`
    super(`${route === undefined ? '' : `route "${route}": `}${problem}${place}; ${hint}`)
    this.details = details
    this.statement = `${problem}${place}`
  }

  get hint(): string {
    return this.details.hint
  }

  /** Undefined when it is about no place in a text. */
  get range(): TextRange | undefined {
    return this.details.range
  }

  get route(): string | undefined {
    return this.details.route
  }

  /** The same error with other details, such as the route it is in. */
  with(details: Partial<RouteErrorDetails>): RouteError {
    return new RouteError({ ...this.details, ...details })
  }
}

function lineAndColumn(text: string, offset: number): string {
  const lines = text.slice(0, offset).split('\n')
  return `${lines.length}:${(lines.at(-1) ?? '').length + 1}`
}
