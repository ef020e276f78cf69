import { type CloudMessage, type MessageSink, messageTypeOf } from './cloud-message.ts'
import { JsonlFolder } from './jsonl-folder.ts'

/** `--upstream-out FOLDER`: what modules sent, one JSONL file for each message type, appended to. */
export class UpstreamOut implements MessageSink {
  readonly #folder: JsonlFolder

  constructor(folder: string) {
    this.#folder = new JsonlFolder(folder)
  }

  store(messages: readonly CloudMessage[]): void {
    const byType = Map.groupBy(
      messages.filter(({ source }) => source === 'DeviceMessages'),
      messageTypeOf,
    )
    for (const [messageType, group] of byType) this.#folder.append(messageType, group)
  }

  close(): void {
    this.#folder.close()
  }
}
