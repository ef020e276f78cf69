/** The edge hub's end of the upstream link, driven by hand. For tests. */
import { connect, type Socket } from 'node:net'
import { type FromCloud, type FromEdgeHub, readFrames, type UpstreamMessage, writeFrame } from '../upstream-link.ts'

export class TestEdgeHub {
  readonly frames: FromCloud[] = []
  readonly #socket: Socket
  readonly #watchers = new Set<() => void>()
  closed = false

  private constructor(socket: Socket) {
    this.#socket = socket
    readFrames<FromCloud>(socket, (frame) => {
      this.frames.push(frame)
      this.#changed()
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      this.closed = true
      this.#changed()
    })
  }

  static async dial(socketPath: string): Promise<TestEdgeHub> {
    const socket = connect(socketPath)
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    return new TestEdgeHub(socket)
  }

  send(frame: FromEdgeHub): void {
    writeFrame(this.#socket, frame)
  }

  sendText(text: string): void {
    this.#socket.write(text)
  }

  /** The next frame of `type` that was not waited for before. */
  async next<Type extends FromCloud['type']>(type: Type): Promise<FromCloud & { type: Type }> {
    for (;;) {
      const at = this.frames.findIndex((frame) => frame.type === type)
      const [frame] = at === -1 ? [] : this.frames.splice(at, 1)
      if (frame !== undefined) return frame as FromCloud & { type: Type }
      if (this.closed) throw new Error(`the link closed before a frame ${type}`)
      await this.#change()
    }
  }

  async untilClosed(): Promise<void> {
    while (!this.closed) await this.#change()
  }

  close(): void {
    this.#socket.destroy()
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#watchers.delete(done)
        resolve()
      }
      this.#watchers.add(done)
    })
  }

  #changed(): void {
    for (const watcher of [...this.#watchers]) watcher()
  }
}

export function upstreamMessage(
  messageType: string,
  body: unknown,
  more: Partial<UpstreamMessage> = {},
): UpstreamMessage {
  return {
    moduleId: 'reader',
    properties: { messageType },
    systemProperties: {
      messageId: `${messageType}-${Math.random()}`,
      contentType: 'application/json',
      contentEncoding: 'utf-8',
    },
    bodyBase64: Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)).toString('base64'),
    enqueuedMs: 1000,
    ...more,
  }
}
