import type { Clock } from '@weir/lib/clock'
import { WeirError } from '@weir/lib/errors'
import { asciiFraming, rtuFraming } from './line-framing.ts'
import { LineTransport } from './line-transport.ts'
import type { LinkConfig, SerialLinkConfig, SocketLinkConfig } from './link-config.ts'
import { type OpenTransport, openSocket, openTcp, type TcpSettings } from './transport.ts'

/** RTU frames over a socket, as a gateway passes them on that knows nothing of Modbus. */
function openRtuOverTcp(settings: TcpSettings & { lateAnswerMs: number }, clock: Clock): OpenTransport {
  return async (onClosed, signal) => {
    const socket = await openSocket(settings, clock, signal)
    const { lateAnswerMs } = settings
    return new LineTransport(socket, {
      framing: rtuFraming,
      clock,
      lateAnswerMs,
      onClosed,
      shut: () => socket.destroy(),
    })
  }
}

function openSerial(settings: SerialLinkConfig, clock: Clock): OpenTransport {
  const { transport, path, baudRate, parity, dataBits, stopBits, lateAnswerMs } = settings
  return async (onClosed) => {
    // Its native part is loaded only where a serial port is used.
    const { SerialPort } = await import('serialport')
    const port = new SerialPort({ path, baudRate, parity, dataBits, stopBits, autoOpen: false })
    await new Promise<void>((resolve, reject) => {
      port.open((error) => {
        if (error === null) resolve()
        else reject(new WeirError('DEVICE_AWAY', `cannot open ${path}: ${error.message}`))
      })
    })
    const framing = transport === 'ascii' ? asciiFraming : rtuFraming
    const shut = (): void => {
      if (port.isOpen) port.close(() => {})
    }
    return new LineTransport(port, { framing, clock, lateAnswerMs, onClosed, shut })
  }
}

/** Tries each in turn, beginning with the one that was open last. */
export function openFirst(all: readonly OpenTransport[]): OpenTransport {
  let last = 0
  return async (onClosed, signal) => {
    let fault: unknown
    for (let tries = 0; tries < all.length; tries++) {
      const index = (last + tries) % all.length
      try {
        const transport = await all[index]?.(onClosed, signal)
        if (transport === undefined) continue
        last = index
        return transport
      } catch (error) {
        fault ??= error
      }
    }
    throw fault
  }
}

function openSocketLink(settings: SocketLinkConfig, clock: Clock): OpenTransport {
  const openHost = (host: string): OpenTransport =>
    settings.transport === 'tcp' ? openTcp({ ...settings, host }, clock) : openRtuOverTcp({ ...settings, host }, clock)
  const { host, backupHost } = settings
  return openFirst([openHost(host), ...(backupHost === undefined ? [] : [openHost(backupHost)])])
}

/** How the connection of a link is opened. */
export function openLink(settings: LinkConfig, clock: Clock): OpenTransport {
  return 'path' in settings ? openSerial(settings, clock) : openSocketLink(settings, clock)
}
