import './reflect-metadata.ts'
import { randomBytes, webcrypto } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as x509 from '@peculiar/x509'
import type { Clock } from '@weir/lib/clock'
import { errorText, WeirError } from '@weir/lib/errors'
import { writePrivateFile } from './private-files.ts'

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const dayMs = 24 * 60 * 60 * 1000
const authorityValidMs = 3650 * dayMs
/** Certificates begin a day early, so that a process whose clock is behind takes them. */
const backdatedMs = dayMs
/** X.520: upper bound of a common name. The whole name stands in the subject alternative names. */
const commonNameCharactersMax = 64
const hostName = /^(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_-]{1,63})*\.?$/
const ipv4 = /^\d{1,3}(\.\d{1,3}){3}$/
const serverAuthentication = '1.3.6.1.5.5.7.3.1'
const clientAuthentication = '1.3.6.1.5.5.7.3.2'

/** A certificate with its chain (its own first, then the authority's) and its key, PEM. */
export interface IssuedCertificate {
  readonly certificatePem: string
  readonly privateKeyPem: string
  readonly expiration: Date
}

export interface ServerCertificateRequest {
  readonly commonName: string
  readonly moduleId: string
  /** Ends earlier where the authority's own validity does. */
  readonly expiration: Date
}

export interface IdentityCertificateRequest {
  readonly moduleId: string
  /** `azureiot://<hub>/devices/<device>/modules/<module>`, as edgelet names a module. */
  readonly uri: string
  readonly expiration: Date
}

/**
 * The certificate authority of the local edge device: ECDSA P-256, made once and kept in `<folder>/authority.pem`
 * (certificate and key in one file, 0600). A new one is made when the kept one has less than a day left.
 */
export class CertificateAuthority {
  /** What the modules trust, PEM. Also written to `<folder>/trust-bundle.pem` for programs that take a file. */
  readonly trustBundlePem: string
  readonly #certificate: x509.X509Certificate
  readonly #signingKey: webcrypto.CryptoKey
  readonly #clock: Clock

  constructor(certificate: x509.X509Certificate, signingKey: webcrypto.CryptoKey, clock: Clock) {
    this.#certificate = certificate
    this.#signingKey = signingKey
    this.#clock = clock
    this.trustBundlePem = `${certificate.toString('pem')}\n`
  }

  /** @throws WeirError STATE_DAMAGED where the kept authority cannot be read. */
  static async open(folder: string, clock: Clock): Promise<CertificateAuthority> {
    const file = join(folder, 'authority.pem')
    const kept = existsSync(file) ? await readAuthority(file, clock) : undefined
    const authority = kept ?? (await makeAuthority(file, clock))
    writePrivateFile(join(folder, 'trust-bundle.pem'), authority.trustBundlePem)
    return authority
  }

  /** A server's certificate: subject alternative names are the common name, the module, localhost and 127.0.0.1. */
  issueServer(request: ServerCertificateRequest): Promise<IssuedCertificate> {
    const names = [request.commonName, request.moduleId, 'localhost', '127.0.0.1']
    return this.#issue(request.commonName, alternativeNames(names), request.expiration, [serverAuthentication])
  }

  issueIdentity(request: IdentityCertificateRequest): Promise<IssuedCertificate> {
    const names: x509.JsonGeneralNames = [{ type: 'url', value: request.uri }, ...alternativeNames([request.moduleId])]
    return this.#issue(request.moduleId, names, request.expiration, [clientAuthentication])
  }

  async #issue(
    commonName: string,
    names: x509.JsonGeneralNames,
    expiration: Date,
    usages: string[],
  ): Promise<IssuedCertificate> {
    const keys = await generateKeys()
    const notAfter = new Date(Math.min(expiration.getTime(), this.#certificate.notAfter.getTime()))
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: serialNumber(),
      subject: [{ CN: [commonName.slice(0, commonNameCharactersMax)] }],
      issuer: this.#certificate.subjectName,
      notBefore: new Date(this.#clock.nowMs() - backdatedMs),
      notAfter,
      signingAlgorithm: algorithm,
      publicKey: keys.publicKey,
      signingKey: this.#signingKey,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension(usages),
        new x509.SubjectAlternativeNameExtension(names),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
        await x509.AuthorityKeyIdentifierExtension.create(this.#certificate),
      ],
    })
    return {
      certificatePem: `${certificate.toString('pem')}\n${this.trustBundlePem}`,
      privateKeyPem: await exportKey(keys.privateKey),
      expiration: certificate.notAfter,
    }
  }
}

async function makeAuthority(file: string, clock: Clock): Promise<CertificateAuthority> {
  const keys = await generateKeys()
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: [{ CN: [`Weir local edge device ${randomBytes(4).toString('hex')}`] }],
    notBefore: new Date(clock.nowMs() - backdatedMs),
    notAfter: new Date(clock.nowMs() + authorityValidMs),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  writePrivateFile(file, `${certificate.toString('pem')}\n${await exportKey(keys.privateKey)}`)
  return new CertificateAuthority(certificate, keys.privateKey, clock)
}

/** The kept authority, or undefined where it is about to expire. */
async function readAuthority(file: string, clock: Clock): Promise<CertificateAuthority | undefined> {
  try {
    const blocks = x509.PemConverter.decodeWithHeaders(readFileSync(file, 'utf8'))
    const certificateBlock = blocks.find((block) => block.type === 'CERTIFICATE')
    const keyBlock = blocks.find((block) => block.type === 'PRIVATE KEY')
    if (certificateBlock === undefined || keyBlock === undefined) throw new Error('a certificate or its key is missing')
    const certificate = new x509.X509Certificate(certificateBlock.rawData)
    if (certificate.notAfter.getTime() - clock.nowMs() < dayMs) return undefined
    const key = await webcrypto.subtle.importKey('pkcs8', keyBlock.rawData, algorithm, true, ['sign'])
    return new CertificateAuthority(certificate, key, clock)
  } catch (error) {
    throw new WeirError(
      'STATE_DAMAGED',
      `certificate authority ${file}: cannot be read (${errorText(error)}); delete the file, and a new one is made`,
      { cause: error },
    )
  }
}

function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  return `${x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')}\n`
}

/** RFC 5280 §4.1.2.2: positive, at most 20 octets. */
function serialNumber(): string {
  const bytes = randomBytes(16)
  bytes.writeUInt8((bytes.readUInt8(0) & 0x7f) | 0x40, 0)
  return bytes.toString('hex')
}

/** Names that a certificate can hold as DNS name or address; `$edgeHub` is neither. */
function alternativeNames(names: readonly string[]): x509.JsonGeneralNames {
  return [...new Set(names)]
    .filter((name) => ipv4.test(name) || hostName.test(name))
    .map((value) => ({ type: ipv4.test(value) ? 'ip' : 'dns', value }))
}
