import type { Clock } from '@weir/lib/clock'
import { messageBytesMax } from '@weir/lib/limits'
import { billedBlocks, meteredBytes } from '@weir/lib/meter'
import type { CloudMessage } from './cloud-message.ts'

/** "Azure IoT Hub quotas and throttling": device-to-cloud sends per second, and messages (4 KiB blocks) per day. */
const tiers = {
  S1: { sendsPerSecondPerUnit: 12, sendsPerSecondMin: 100, blocksPerDayPerUnit: 400_000 },
  S2: { sendsPerSecondPerUnit: 120, sendsPerSecondMin: 0, blocksPerDayPerUnit: 6_000_000 },
  S3: { sendsPerSecondPerUnit: 6000, sendsPerSecondMin: 0, blocksPerDayPerUnit: 300_000_000 },
} as const
const dayMs = 24 * 60 * 60 * 1000
/** The most a throttled sender waits before it asks again while the day's quota is used up. */
const quotaRetryMs = 60_000

export type Tier = keyof typeof tiers
export const tierNames = Object.keys(tiers) as Tier[]

/**
 * What IoT Hub of a tier and a number of units takes from its devices. The rate is a bucket that holds one second's
 * sends; the quota begins anew at midnight UTC. Messages above 256 KiB are refused one by one.
 */
export class DeviceToCloudLimits {
  readonly #clock: Clock
  readonly #sendsPerSecond: number
  readonly #blocksPerDay: number
  #sends: number
  #filledMs: number
  #day = -1
  #blocksToday = 0

  constructor(tier: Tier, units: number, clock: Clock) {
    const { sendsPerSecondPerUnit, sendsPerSecondMin, blocksPerDayPerUnit } = tiers[tier]
    this.#clock = clock
    this.#sendsPerSecond = Math.max(sendsPerSecondMin, sendsPerSecondPerUnit * units)
    this.#blocksPerDay = blocksPerDayPerUnit * units
    this.#sends = this.#sendsPerSecond
    this.#filledMs = clock.monotonicMs()
  }

  /** false where IoT Hub would refuse the message for its size. */
  takesSize(message: CloudMessage): boolean {
    return sizeOf(message) <= messageBytesMax
  }

  /** 0 where the messages are within rate and quota, and then they are counted; else when to try again. */
  take(messages: readonly CloudMessage[]): number {
    this.#refill()
    const blocks = messages.reduce((sum, message) => sum + billedBlocks(sizeOf(message)), 0)
    if (this.#blocksToday + blocks > this.#blocksPerDay) return Math.min(quotaRetryMs, this.#untilMidnightMs())
    // A batch larger than the bucket passes when the bucket is full, and leaves a debt.
    const needed = Math.min(messages.length, this.#sendsPerSecond)
    if (this.#sends < needed) return Math.max(1, Math.ceil(((needed - this.#sends) / this.#sendsPerSecond) * 1000))
    this.#sends -= messages.length
    this.#blocksToday += blocks
    return 0
  }

  #refill(): void {
    const nowMs = this.#clock.monotonicMs()
    const earned = ((nowMs - this.#filledMs) / 1000) * this.#sendsPerSecond
    this.#sends = Math.min(this.#sendsPerSecond, this.#sends + earned)
    this.#filledMs = nowMs
    const day = Math.floor(this.#clock.nowMs() / dayMs)
    if (day === this.#day) return
    this.#day = day
    this.#blocksToday = 0
  }

  #untilMidnightMs(): number {
    return dayMs - (this.#clock.nowMs() % dayMs)
  }
}

function sizeOf({ body, properties, systemProperties }: CloudMessage): number {
  return meteredBytes(body.length, properties, systemProperties)
}
