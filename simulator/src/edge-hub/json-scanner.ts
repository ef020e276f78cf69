const tab = 0x09
const lineFeed = 0x0a
const carriageReturn = 0x0d
const space = 0x20
const quote = 0x22
const comma = 0x2c
const minus = 0x2d
const point = 0x2e
const zero = 0x30
const nine = 0x39
const colon = 0x3a
const openBracket = 0x5b
const backslash = 0x5c
const closeBracket = 0x5d
const letterU = 0x75
const openBrace = 0x7b
const closeBrace = 0x7d

const simpleEscapes = new Set(Buffer.from('"\\/bfnrt'))
const literals = [Buffer.from('true'), Buffer.from('false'), Buffer.from('null')]
const depthMax = 1000

/**
 * Walks over JSON (RFC 8259) in a buffer without building values: it tells where things stand and makes no garbage. Every
 * function leaves `at` behind what it read, and answers false where that is no JSON.
 */
export class JsonScanner {
  at = 0
  readonly #json: Buffer
  #depth = 0

  constructor(json: Buffer) {
    this.#json = json
  }

  /** One value with nothing but white space around it. `read` reads the value itself. */
  document(read: () => boolean): boolean {
    this.#space()
    if (!read()) return false
    this.#space()
    return this.at === this.#json.length
  }

  value(): boolean {
    const byte = this.#json[this.at]
    if (byte === quote) return this.string()
    if (byte === openBrace) return this.object(() => this.value())
    if (byte === openBracket) return this.array(() => this.value())
    if (byte === minus || isDigit(byte)) return this.#number()
    return literals.some((literal) => this.#literal(literal))
  }

  get isObject(): boolean {
    return this.#json[this.at] === openBrace
  }

  get isArray(): boolean {
    return this.#json[this.at] === openBracket
  }

  /** @param member Reads the value of the member whose name stands, with its quotes, from `start` to `end`. */
  object(member: (start: number, end: number) => boolean): boolean {
    return this.#list(openBrace, closeBrace, () => {
      const start = this.at
      if (!this.string()) return false
      const end = this.at
      this.#space()
      if (this.#json[this.at] !== colon) return false
      this.at++
      this.#space()
      return member(start, end)
    })
  }

  array(element: () => boolean): boolean {
    return this.#list(openBracket, closeBracket, element)
  }

  /** Is the string from `start` to `end`, with its quotes, this one? `quoted`: as JSON writes it without need. */
  isName(start: number, end: number, quoted: Buffer): boolean {
    if (this.#json.compare(quoted, 0, quoted.length, start, end) === 0) return true
    const firstEscape = this.#json.indexOf(backslash, start)
    if (firstEscape === -1 || firstEscape >= end) return false
    return JSON.parse(this.#json.toString('utf8', start, end)) === JSON.parse(quoted.toString('utf8'))
  }

  string(): boolean {
    const json = this.#json
    if (json[this.at] !== quote) return false
    for (let at = this.at + 1; at < json.length; at++) {
      const byte = json[at] ?? 0
      if (byte === quote) {
        this.at = at + 1
        return true
      }
      if (byte < space) return false
      if (byte !== backslash) continue
      at++
      const escaped = json[at] ?? 0
      if (escaped === letterU) {
        if (!/^[0-9A-Fa-f]{4}$/.test(json.toString('latin1', at + 1, at + 5))) return false
        at += 4
      } else if (!simpleEscapes.has(escaped)) return false
    }
    return false
  }

  #list(open: number, close: number, item: () => boolean): boolean {
    const json = this.#json
    if (json[this.at] !== open || this.#depth >= depthMax) return false
    this.at++
    this.#space()
    if (json[this.at] === close) {
      this.at++
      return true
    }
    this.#depth++
    for (;;) {
      if (!item()) return false
      this.#space()
      const byte = json[this.at]
      this.at++
      if (byte === close) {
        this.#depth--
        return true
      }
      if (byte !== comma) return false
      this.#space()
    }
  }

  #number(): boolean {
    const json = this.#json
    if (json[this.at] === minus) this.at++
    if (json[this.at] === zero) this.at++
    else if (!this.#digits()) return false
    if (json[this.at] === point) {
      this.at++
      if (!this.#digits()) return false
    }
    // e or E
    if (((json[this.at] ?? 0) | 0x20) !== 0x65) return true
    this.at++
    // + or -
    if (json[this.at] === 0x2b || json[this.at] === minus) this.at++
    return this.#digits()
  }

  #literal(literal: Buffer): boolean {
    for (let index = 0; index < literal.length; index++) {
      if (this.#json[this.at + index] !== literal[index]) return false
    }
    this.at += literal.length
    return true
  }

  #digits(): boolean {
    const start = this.at
    while (isDigit(this.#json[this.at])) this.at++
    return this.at > start
  }

  #space(): void {
    for (;;) {
      const byte = this.#json[this.at]
      if (byte !== space && byte !== lineFeed && byte !== carriageReturn && byte !== tab) return
      this.at++
    }
  }
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= zero && byte <= nine
}
