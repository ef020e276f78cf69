import { appendFileSync, renameSync, statSync } from 'node:fs'

/** As the manifest has it for containers: files of 10 MB; here the present one and the one before. */
const fileBytesMax = 10_000_000
const linesMax = 200
/** A line longer than this is cut in two. */
const lineCharsMax = 16_384

/** What a module writes: kept in a file that is turned over when full, the latest lines in memory too. */
export class ModuleLog {
  readonly file: string
  readonly #lines: string[] = []
  readonly #onLine: (line: string) => void
  #bytes: number

  constructor(file: string, onLine: (line: string) => void) {
    this.file = file
    this.#onLine = onLine
    this.#bytes = statSync(file, { throwIfNoEntry: false })?.size ?? 0
  }

  /** The latest lines, oldest first. */
  latest(count: number): readonly string[] {
    return this.#lines.slice(-count)
  }

  /** Takes a stream's text as it comes; call the returned function with each piece. Streams do not mix within a line. */
  writer(): (text: string) => void {
    let rest = ''
    return (text) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop() ?? ''
      if (rest.length > lineCharsMax) {
        lines.push(rest)
        rest = ''
      }
      this.add(lines)
    }
  }

  add(lines: readonly string[]): void {
    if (lines.length === 0) return
    const text = `${lines.join('\n')}\n`
    this.#bytes += Buffer.byteLength(text)
    if (this.#bytes > fileBytesMax) {
      renameSync(this.file, `${this.file}.1`)
      this.#bytes = Buffer.byteLength(text)
    }
    appendFileSync(this.file, text)
    this.#lines.push(...lines)
    this.#lines.splice(0, this.#lines.length - linesMax)
    for (const line of lines) this.#onLine(line)
  }
}
