/** Opens the hub with a listener that throws; exits with 3 as the host exits with 1. */
import { AzureHub } from '@weir/lib/hub-azure'

process.on('uncaughtException', () => process.exit(3))
const hub = new AzureHub()
hub.onInput(() => {
  throw new Error('disk full')
})
await hub.open()
setTimeout(() => process.exit(4), 10_000)
