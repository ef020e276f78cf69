import { z } from 'zod'

const common = {
  timeoutMs: z
    .int()
    .min(10)
    .max(60_000)
    .default(1000)
    .meta({ description: 'How long a unit may take to answer, for devices that state none.' }),
  pauseMs: z.int().min(0).max(10_000).default(0).meta({ description: 'Rest between an answer and the next request.' }),
  connectDelayMs: z
    .int()
    .min(0)
    .max(60_000)
    .default(0)
    .meta({ description: 'Rest between opening the connection and the first request.' }),
  retries: z.int().min(0).max(10).default(0).meta({
    description:
      'How often a request without an answer, or with a damaged one, is sent again at once. Not to a unit that is away.',
  }),
  timeoutsMax: z.int().min(1).max(100).default(3).meta({
    description:
      'Time-outs in a row after which a unit counts as away, and after which a link where nobody answers is opened anew.',
  }),
  retryDelayMsMin: z.int().min(10).max(600_000).default(500).meta({
    description: 'First delay before a closed link, or a unit that is away, is tried again. Doubles with each failure.',
  }),
  retryDelayMsMax: z.int().min(10).max(3_600_000).default(30_000).meta({ description: 'Ceiling of that delay.' }),
}

const host = z.string().min(1).max(253)
const socket = {
  host: host.meta({ description: 'Host name, IPv4 or IPv6 address.' }),
  backupHost: host.optional().meta({ description: 'Host that is tried where the other cannot be reached.' }),
  port: z.int().min(1).max(65_535).default(502).meta({ description: 'TCP port.' }),
  connectTimeoutMs: z
    .int()
    .min(50)
    .max(60_000)
    .default(3000)
    .meta({ description: 'How long opening the connection may take.' }),
}
const line = {
  lateAnswerMs: z.int().min(5).max(60_000).default(200).meta({
    description:
      'After a time-out nothing is sent until the line was silent this long, since a late answer could be taken for that of the next request. Longer than any unit is late.',
  }),
}
const serial = {
  path: z
    .string()
    .regex(/^\/dev\/[\w./:+-]{1,200}$/, 'is no device path, expected /dev/ttyUSB0 or /dev/serial/by-id/…')
    .meta({ description: 'Serial port; a path under /dev/serial/by-id stays the same whatever is plugged in.' }),
  baudRate: z.int().min(300).max(4_000_000).default(9600).meta({ description: 'Bits per second.' }),
  parity: z.enum(['none', 'even', 'odd']).default('even').meta({ description: 'Parity bit.' }),
  dataBits: z
    .union([z.literal(7), z.literal(8)])
    .default(8)
    .meta({ description: 'Data bits; RTU needs 8.' }),
  stopBits: z
    .union([z.literal(1), z.literal(2)])
    .default(1)
    .meta({ description: 'Stop bits.' }),
}

export const link = z.discriminatedUnion('transport', [
  z.strictObject({ transport: z.literal('tcp').meta({ description: 'Modbus TCP.' }), ...socket, ...common }),
  z.strictObject({
    transport: z.literal('rtuOverTcp').meta({ description: 'RTU frames over TCP, as plain serial servers pass on.' }),
    ...socket,
    ...line,
    ...common,
  }),
  z.strictObject({
    transport: z.literal('rtu').meta({ description: 'Modbus RTU on a serial port.' }),
    ...serial,
    ...line,
    ...common,
  }),
  z.strictObject({
    transport: z.literal('ascii').meta({ description: 'Modbus ASCII on a serial port.' }),
    ...serial,
    ...line,
    ...common,
  }),
])
export type LinkConfig = z.infer<typeof link>
export type SerialLinkConfig = Extract<LinkConfig, { path: string }>
export type SocketLinkConfig = Exclude<LinkConfig, SerialLinkConfig>

/** What only one link may hold: a serial port, or the far end of a line behind a socket. */
function lineOf(link: LinkConfig): string | undefined {
  if ('path' in link) return link.path
  return link.transport === 'rtuOverTcp' ? `${link.host}:${link.port}` : undefined
}

/** Problems of the links, each with its path. */
export function checkLinks(links: Readonly<Record<string, LinkConfig>>): string[] {
  const holders = new Map<string, string>()
  return Object.entries(links).flatMap(([linkId, link]) => {
    const problems: string[] = []
    const { retryDelayMsMin, retryDelayMsMax } = link
    if (retryDelayMsMin > retryDelayMsMax) {
      problems.push(`links/${linkId}/retryDelayMsMin: ${retryDelayMsMin} exceeds retryDelayMsMax ${retryDelayMsMax}`)
    }
    if (link.transport === 'rtu' && link.dataBits !== 8) {
      problems.push(`links/${linkId}/dataBits: ${link.dataBits} does not fit transport rtu, expected 8`)
    }
    const line = lineOf(link)
    const holder = line === undefined ? undefined : holders.get(line)
    if (holder !== undefined) {
      problems.push(
        `links/${linkId}/${'path' in link ? 'path' : 'host'}: ${line} is in use by link ${holder}; put all its units on one link`,
      )
    } else if (line !== undefined) holders.set(line, linkId)
    return problems
  })
}
