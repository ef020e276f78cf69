import process from 'node:process'
import type { WriteStream } from 'node:tty'
import type { ViewSize } from './view.ts'

const hideCursor = '\u001b[?25l'
const showCursor = '\u001b[?25h'
const clearLine = '\u001b[K'
const clearPage = '\u001b[2J\u001b[H'
const clearBelow = '\u001b[J'

/** Draws lines over those drawn before, in place, on a terminal. */
export class Screen {
  readonly #out: WriteStream
  #height = 0

  constructor(out: WriteStream) {
    this.#out = out
    out.write(hideCursor)
    process.once('exit', () => this.close())
    // What was drawn for another width may have been wrapped: begin on a clear page.
    out.on('resize', () => {
      this.#height = 0
      out.write(clearPage)
    })
  }

  get size(): ViewSize {
    return { columns: this.#out.columns, rows: this.#out.rows, colour: this.#out.hasColors() }
  }

  draw(lines: readonly string[]): void {
    const home = this.#height === 0 ? '' : `\u001b[${this.#height}A`
    this.#out.write(`${home}\r${lines.map((text) => `${text}${clearLine}\n`).join('')}${clearBelow}`)
    this.#height = lines.length
  }

  /** Leaves what was drawn, and the cursor below it. */
  close(): void {
    this.#out.write(showCursor)
  }
}
