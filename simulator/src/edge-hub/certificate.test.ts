import { once } from 'node:events'
import { connect, type TLSSocket } from 'node:tls'
import { ManualClock, systemClock } from '@weir/lib/clock'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { CertificateKeeper, renewalMs, requestServerCertificate, type ServerCertificate } from './certificate.ts'
import { listen, mqttServer, renewCertificate } from './listeners.ts'
import { TestDevice, TestLog } from './testing.ts'

let device: TestDevice

beforeEach(async () => {
  device = await TestDevice.start([], {})
})
afterEach(() => device.stop())

function ask(commonName = 'localhost'): Promise<ServerCertificate> {
  return requestServerCertificate(device.settings, commonName, systemClock.nowMs())
}

async function dial(port: number): Promise<TLSSocket> {
  const socket = connect({ host: '127.0.0.1', port, ca: device.trustBundle, servername: 'localhost' })
  await once(socket, 'secureConnect')
  return socket
}

test('a renewed certificate serves new connections and leaves the others open', async () => {
  const server = mqttServer(await ask(), () => {})
  const port = await listen(server, 'MQTT', 0, '--port')
  const first = await dial(port)
  renewCertificate(server, await ask())
  const second = await dial(port)
  expect(first.authorized && second.authorized).toBe(true)
  expect(first.getPeerCertificate().serialNumber).not.toBe(second.getPeerCertificate().serialNumber)
  expect(first.destroyed).toBe(false)
  for (const socket of [first, second]) socket.destroy()
  server.close()
})

test('an answer other than a certificate is an error that says so', async () => {
  await expect(
    requestServerCertificate({ ...device.settings, generationId: 'wrong' }, 'localhost', systemClock.nowMs()),
  ).rejects.toThrow(/answered 404/)
})

test('it is asked for until there is one, and renewed at four fifths of its life, failures or not', async () => {
  const certificate = await ask()
  const clock = new ManualClock(Date.now())
  const log = new TestLog()
  let failures = 1
  let asked = 0
  const renewed: ServerCertificate[] = []
  const request = async () => {
    asked++
    if (failures-- > 0) throw new Error('away')
    return certificate
  }
  const keeper = new CertificateKeeper(request, (fresh) => renewed.push(fresh), clock, log)
  const started = keeper.start()
  await new Promise(setImmediate)
  clock.advance(500)
  expect(await started).toBe(certificate)
  expect(asked).toBe(2)
  failures = 1
  const leftMs = renewalMs(certificate.certificate) - clock.nowMs()
  // Timers reach 24.8 days, and each is set when the one before has run.
  const steps = Math.ceil(leftMs / 1e9)
  for (let step = 0; step < steps - 1; step++) {
    clock.advance(1e9)
    await new Promise(setImmediate)
  }
  expect(asked).toBe(2)
  clock.advance(leftMs - (steps - 1) * 1e9)
  await new Promise(setImmediate)
  expect(asked).toBe(3)
  expect(renewed).toEqual([])
  clock.advance(5000)
  await new Promise(setImmediate)
  expect(renewed).toEqual([certificate])
  keeper.stop()
})

test('it is renewed after the time that it is told, however long it is good for', async () => {
  const certificate = await ask()
  const clock = new ManualClock(Date.now())
  const renewed: ServerCertificate[] = []
  const request = async () => certificate
  const keeper = new CertificateKeeper(request, (fresh) => renewed.push(fresh), clock, new TestLog(), 4_000)
  await keeper.start()
  for (let times = 1; times <= 3; times++) {
    clock.advance(3_999)
    await new Promise(setImmediate)
    expect(renewed).toHaveLength(times - 1)
    clock.advance(1)
    await new Promise(setImmediate)
    expect(renewed).toHaveLength(times)
  }
  keeper.stop()
})
