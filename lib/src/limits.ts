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
