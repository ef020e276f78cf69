import { EventEmitter, once } from 'node:events'
import { connect, type TLSSocket } from 'node:tls'
import { generate, type IPublishPacket, type Packet, parser } from 'mqtt-packet'

export interface RawClientOptions {
  readonly port: number
  readonly ca: string
  readonly clientId: string
  readonly userName: string
  readonly password: string
  readonly clean?: boolean
  /** Set before the first message can come. */
  readonly onMessage?: (packet: IPublishPacket) => void
}

/**
 * An MQTT client that does what it is told and nothing else, for tests and benches: no retries, no reconnects, and
 * acknowledgements only while it is asked for them.
 */
export class RawClient {
  readonly #socket: TLSSocket
  readonly #events = new EventEmitter<{ packet: [Packet]; close: [] }>()
  #packetIds = 0
  readonly #acknowledged = new Map<number, () => void>()
  onMessage: (packet: IPublishPacket) => void = () => {}
  /** true: every message is acknowledged at once. */
  acknowledges = true

  private constructor(socket: TLSSocket) {
    this.#socket = socket
    const packets = parser()
    packets.on('packet', (packet: Packet) => this.#receive(packet))
    socket.on('data', (chunk) => packets.parse(chunk))
    socket.on('error', () => {})
    socket.on('close', () => this.#events.emit('close'))
  }

  /** @returns the client and the return code of its CONNACK. */
  static async connect(options: RawClientOptions): Promise<{ client: RawClient; returnCode: number }> {
    const { port, ca, clientId, userName, password, clean = false, onMessage } = options
    const socket = connect({ host: '127.0.0.1', port, ca, servername: 'localhost' })
    socket.setNoDelay(true)
    await once(socket, 'secureConnect')
    const client = new RawClient(socket)
    if (onMessage !== undefined) client.onMessage = onMessage
    const protocol = { protocolId: 'MQTT', protocolVersion: 4, keepalive: 180 } as const
    client.write({ cmd: 'connect', ...protocol, clean, clientId, username: userName, password: Buffer.from(password) })
    const connack = await client.next('connack')
    return { client, returnCode: connack.returnCode ?? -1 }
  }

  write(packet: Packet): void {
    this.#socket.write(generate(packet))
  }

  /** Resolves with the next packet of this kind. */
  next<Command extends Packet['cmd']>(cmd: Command): Promise<Extract<Packet, { cmd: Command }>> {
    return new Promise((resolve, reject) => {
      const closed = (): void => reject(new Error(`closed before ${cmd} came`))
      const take = (packet: Packet): void => {
        if (packet.cmd !== cmd) return
        this.#events.off('packet', take)
        this.#events.off('close', closed)
        resolve(packet as Extract<Packet, { cmd: Command }>)
      }
      this.#events.on('packet', take)
      this.#events.once('close', closed)
    })
  }

  async subscribe(topic: string, qos: 0 | 1 = 1): Promise<void> {
    this.#packetIds = (this.#packetIds % 65_535) + 1
    this.write({ cmd: 'subscribe', messageId: this.#packetIds, subscriptions: [{ topic, qos }] })
    await this.next('suback')
  }

  /** `acknowledged` is called when the PUBACK comes. */
  publish(topic: string, payload: Buffer, acknowledged: () => void): void {
    this.#packetIds = (this.#packetIds % 65_535) + 1
    this.#acknowledged.set(this.#packetIds, acknowledged)
    this.write({ cmd: 'publish', topic, payload, qos: 1, dup: false, retain: false, messageId: this.#packetIds })
  }

  acknowledge(packet: IPublishPacket): void {
    if (packet.messageId !== undefined) this.write({ cmd: 'puback', messageId: packet.messageId })
  }

  get closed(): boolean {
    return this.#socket.destroyed
  }

  close(): void {
    this.#socket.destroy()
  }

  #receive(packet: Packet): void {
    if (packet.cmd === 'publish') {
      if (this.acknowledges && packet.qos === 1) this.acknowledge(packet)
      this.onMessage(packet)
    } else if (packet.cmd === 'puback' && packet.messageId !== undefined) {
      const acknowledged = this.#acknowledged.get(packet.messageId)
      this.#acknowledged.delete(packet.messageId)
      acknowledged?.()
    }
    this.#events.emit('packet', packet)
  }
}
