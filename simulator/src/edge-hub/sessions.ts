import { Readable } from 'node:stream'
import type { Subscription } from 'aedes'
import type { Database } from './database.ts'
import type { GroupCommit } from './group-commit.ts'

type ClientId = { readonly id: string }

/**
 * Sessions as aedes asks for them (the interface of aedes-persistence). Only subscriptions of clients with clean=false are
 * kept. aedes holds no messages back: the store alone redelivers, so that nothing arrives twice by way of the broker.
 */
export class SessionStore {
  readonly #commit: GroupCommit
  readonly #database: Database
  readonly #filters = new Map<string, Map<string, 0 | 1>>()

  constructor(database: Database, commit: GroupCommit) {
    this.#commit = commit
    this.#database = database
    for (const row of database.prepare('SELECT clientId, filter, qos FROM subscription').all()) {
      this.#of(String(row['clientId'])).set(String(row['filter']), row['qos'] === 0 ? 0 : 1)
    }
  }

  /** Topic filters of a client's kept session and their quality of service. */
  filters(clientId: string): ReadonlyMap<string, 0 | 1> {
    return this.#of(clientId)
  }

  async setup(): Promise<void> {}

  addSubscriptions(client: ClientId, subscriptions: readonly Subscription[]): Promise<void> {
    for (const { topic, qos } of subscriptions) this.#of(client.id).set(topic, qos === 0 ? 0 : 1)
    return this.#write(() => {
      const insert = this.#database.prepare('INSERT OR REPLACE INTO subscription VALUES (?, ?, ?)')
      for (const { topic, qos } of subscriptions) insert.run(client.id, topic, qos === 0 ? 0 : 1)
    })
  }

  removeSubscriptions(client: ClientId, filters: readonly string[]): Promise<void> {
    for (const filter of filters) this.#of(client.id).delete(filter)
    return this.#write(() => {
      const remove = this.#database.prepare('DELETE FROM subscription WHERE clientId = ? AND filter = ?')
      for (const filter of filters) remove.run(client.id, filter)
    })
  }

  cleanSubscriptions(client: ClientId): Promise<void> {
    if (!this.#filters.delete(client.id)) return Promise.resolve()
    return this.#write(() => this.#database.prepare('DELETE FROM subscription WHERE clientId = ?').run(client.id))
  }

  async subscriptionsByClient(client: ClientId): Promise<{ topic: string; qos: 0 | 1 }[]> {
    return Array.from(this.#of(client.id), ([topic, qos]) => ({ topic, qos }))
  }

  /** Nobody gets a message by its topic: the edge hub addresses each delivery itself. */
  async subscriptionsByTopic(): Promise<[]> {
    return []
  }

  async storeRetained(): Promise<void> {}
  createRetainedStreamCombi(): Readable {
    return Readable.from([])
  }

  async outgoingEnqueue(): Promise<void> {}
  async outgoingEnqueueCombi(): Promise<void> {}
  async outgoingUpdate(): Promise<void> {}
  /** The packet comes back as it was, so that aedes' `ack` event carries its id. */
  async outgoingClearMessageId<Packet>(_client: ClientId, packet: Packet): Promise<Packet> {
    return packet
  }
  outgoingStream(): Readable {
    return Readable.from([])
  }

  async cleanIncoming(): Promise<void> {}
  async putWill(): Promise<void> {}
  async delWill(): Promise<void> {}
  streamWill(): Readable {
    return Readable.from([])
  }

  #of(clientId: string): Map<string, 0 | 1> {
    const known = this.#filters.get(clientId) ?? new Map<string, 0 | 1>()
    this.#filters.set(clientId, known)
    return known
  }

  #write(apply: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#commit.write(apply, (error) => (error === undefined ? resolve() : reject(error)))
    })
  }
}
