/** Limits that the platform sets or that every module shares. One place, so that no module invents its own. */

/** IoT Hub and edgeHub take messages of up to 256 KiB: body plus property names and values. */
export const messageBytesMax = 256 * 1024
/** IoT Hub bills each message by blocks of 4 KiB begun. */
export const billingBlockBytes = 4096
/** A section of a twin (desired or reported), as JSON. */
export const twinSectionBytesMax = 32 * 1024
/** Twin property values that are strings, in bytes; names; nesting. */
export const twinStringBytesMax = 4096
export const twinNameBytesMax = 1024
export const twinDepthMax = 10
/** A direct method's payload and answer; its longest response time. */
export const methodPayloadBytesMax = 128 * 1024
export const methodResponseTimeoutMsMax = 300_000
/** Ids of devices and signals; a twin key can hold no dot. */
export const idPattern = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/
/** Rows stamped before this are from a clock that was never set. */
export const believableTimestampMsMin = Date.UTC(2024, 0, 1)
/** Rows stamped after this are nonsense. */
export const believableTimestampMsMax = Date.UTC(2100, 0, 1)
/** Time from SIGTERM to exit. */
export const drainTimeoutMs = 4_000
/** Wait for the hub at start before the last good configuration is used without it. */
export const hubWaitMs = 10_000
/** Pauses between attempts to open the hub double from the first to the longest. */
export const hubRetryMsFirst = 250
export const hubRetryMsMax = 15_000
/** Attempts that the hub may refuse, one after the other, before the module gives up and is restarted. */
export const hubRefusalsMax = 5
/** Bytes of messages that may wait for the hub on the disk, whose folder takes up to about twice that. */
export const queueBytesMax = 64 * 1024 * 1024
/** Bytes of messages that a spilling queue holds in memory while the hub takes messages. */
export const queueMemoryBytesMax = 4 * 1024 * 1024
/** The longest time that a message waits for the disk: what a power cut can cost. */
export const fsyncIntervalMs = 5_000
/** Messages sent and not yet acknowledged by the hub. */
export const inflightMax = 32
/** Problems of a refused configuration that are reported, and the length of each. */
export const reportedProblemsMax = 10
export const reportedProblemCharsMax = 300
/** Jobs kept at once, running and finished; how long a finished one is kept; bytes of a page of its result. */
export const jobsMax = 16
export const jobKeepMs = 10 * 60_000
export const jobPageBytes = 60 * 1024
/** Time between two log lines about the same reason. */
export const rejectLogIntervalMs = 60_000
/** Reasons counted apart; further ones are counted as `other`. */
export const rejectReasonsMax = 100
/** Age at which a connection is replaced by one with a fresh token; the SDK's tokens live for an hour. */
export const tokenRenewalS = 2400
/** Port of the metrics, as IoT Edge's metrics collector expects it. */
export const metricsPortDefault = 9600
/** How often messages that were given up are named upstream. */
export const givenUpIntervalMs = 60_000
