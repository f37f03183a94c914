// SPDX-License-Identifier: Apache-2.0
/** The sandbox's own certificate authority: EC P-256, keys in memory only. */
import 'reflect-metadata'
import {webcrypto} from 'node:crypto'
import {isIP} from 'node:net'
import * as x509 from '@peculiar/x509'

/** A certificate and its private key, both PEM. The key is a secret. */
export interface KeyPair {
  readonly certificatePem: string
  readonly keyPem: string
}

export interface Authority {
  /** The authority's own certificate, PEM: what clients and servers trust. */
  readonly certificatePem: string
  /** A certificate for a TLS server that is reached by these host names and IP addresses. */
  issueServer(names: readonly string[]): Promise<KeyPair>
  /** A client certificate: the user's name is `commonName`, its groups are `organizations`. */
  issueClient(commonName: string, organizations: readonly string[]): Promise<KeyPair>
  /** A certificate of a workload, for both sides of mutual TLS; its only name is the URI, `spiffe://...`. */
  issueWorkload(uri: string): Promise<KeyPair>
}

const KEY_ALGORITHM = {name: 'ECDSA', namedCurve: 'P-256'} as const
const SIGNING_ALGORITHM = {name: 'ECDSA', hash: 'SHA-256'} as const
const DAY_MS = 24 * 60 * 60 * 1000
const VALID_DAYS = 365

/**
 * Makes a fresh authority. Certificates are valid from a day before `nowMs` (clocks differ a little) for a year.
 * @param nowMs milliseconds since the epoch
 */
export async function createAuthority(commonName: string, nowMs: number): Promise<Authority> {
  const crypto = webcrypto as unknown as Crypto
  const keys = await newKeys()
  const validity = {notBefore: new Date(nowMs - DAY_MS), notAfter: new Date(nowMs + VALID_DAYS * DAY_MS)}
  const root = await x509.X509CertificateGenerator.createSelfSigned(
    {
      name: distinguishedName(commonName, []),
      keys,
      ...validity,
      serialNumber: newSerial(),
      signingAlgorithm: SIGNING_ALGORITHM,
      extensions: [
        new x509.BasicConstraintsExtension(true, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, crypto),
      ],
    },
    crypto,
  )

  async function issue(subject: x509.JsonName, extensions: x509.Extension[]): Promise<KeyPair> {
    const leafKeys = await newKeys()
    const certificate = await x509.X509CertificateGenerator.create(
      {
        subject,
        issuer: root.subjectName.toJSON(),
        publicKey: leafKeys.publicKey,
        signingKey: keys.privateKey,
        ...validity,
        serialNumber: newSerial(),
        signingAlgorithm: SIGNING_ALGORITHM,
        extensions: [
          new x509.BasicConstraintsExtension(false, undefined, true),
          new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
          await x509.AuthorityKeyIdentifierExtension.create(keys.publicKey, false, crypto),
          ...extensions,
        ],
      },
      crypto,
    )
    return {certificatePem: certificate.toString('pem'), keyPem: await privateKeyPem(leafKeys.privateKey)}
  }

  return {
    certificatePem: root.toString('pem'),
    issueServer: (names) =>
      issue(distinguishedName(names[0] ?? 'kube-apiserver', []), [
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
        new x509.SubjectAlternativeNameExtension(
          names.map((name) => ({type: isIP(name) === 0 ? ('dns' as const) : ('ip' as const), value: name})),
        ),
      ]),
    issueClient: (name, organizations) =>
      issue(distinguishedName(name, organizations), [
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth]),
      ]),
    issueWorkload: (uri) =>
      issue(
        [],
        [
          new x509.ExtendedKeyUsageExtension([
            x509.ExtendedKeyUsage.serverAuth,
            x509.ExtendedKeyUsage.clientAuth,
          ]),
          // Critical, because the subject is empty (RFC 5280, 4.2.1.6).
          new x509.SubjectAlternativeNameExtension([{type: 'url', value: uri}], true),
        ],
      ),
  }
}

async function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  const keys = await webcrypto.subtle.generateKey(KEY_ALGORITHM, true, ['sign', 'verify'])
  return keys as webcrypto.CryptoKeyPair
}

/** 16 random bytes; the first one small, so that the number is positive and needs no padding. */
function newSerial(): string {
  const bytes = webcrypto.getRandomValues(new Uint8Array(16))
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40
  return Buffer.from(bytes).toString('hex')
}

function distinguishedName(commonName: string, organizations: readonly string[]): x509.JsonName {
  return [...organizations.map((organization) => ({O: [organization]})), {CN: [commonName]}]
}

async function privateKeyPem(key: CryptoKey): Promise<string> {
  const der = await webcrypto.subtle.exportKey('pkcs8', key as unknown as webcrypto.CryptoKey)
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return `-----BEGIN PRIVATE KEY-----\n${lines.join('\n')}\n-----END PRIVATE KEY-----\n`
}
