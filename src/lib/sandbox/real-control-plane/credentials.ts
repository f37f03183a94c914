// SPDX-License-Identifier: Apache-2.0
/** Certificates and keys of the control plane's programs, as files of mode 0600. */
import {generateKeyPairSync} from 'node:crypto'
import {mkdirSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {kubeconfigText} from '../kubeconfig.ts'
import type {Authority, KeyPair} from '../pki.ts'

interface PairFiles {
  readonly certificate: string
  readonly key: string
}

/** Absolute paths. */
export interface CredentialFiles {
  readonly authority: string
  readonly serving: PairFiles
  /** What the API server shows to the kubelets. */
  readonly kubeletClient: PairFiles
  /** Key pair that signs tokens of service accounts. */
  readonly accounts: {readonly publicKey: string; readonly privateKey: string}
  /** Kubeconfig of a master, for controller manager and scheduler. */
  readonly kubeconfig: string
}

export interface CredentialOptions {
  /** Made if missing, mode 0700. */
  readonly directory: string
  readonly authority: Authority
  /** Host names and addresses that the API server is reached by. */
  readonly servingNames: readonly string[]
  /** Common name of the certificate that is shown to kubelets. */
  readonly kubeletClientName: string
  /** URL of the API server for the programs beside it. */
  readonly server: string
}

/** Replaces files of an earlier start. */
export async function writeCredentials(options: CredentialOptions): Promise<CredentialFiles> {
  const {directory, authority} = options
  mkdirSync(directory, {recursive: true, mode: 0o700})
  const write = (name: string, text: string): string => {
    const file = join(directory, name)
    writeFileSync(file, text, {mode: 0o600})
    return file
  }
  const writePair = (name: string, pair: KeyPair): PairFiles => ({
    certificate: write(`${name}.crt`, pair.certificatePem),
    key: write(`${name}.key`, pair.keyPem),
  })
  const accounts = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: {type: 'spki', format: 'pem'},
    privateKeyEncoding: {type: 'pkcs8', format: 'pem'},
  })
  const client = await authority.issueClient('sandbox-controllers', ['system:masters'])
  const kubeconfig = kubeconfigText({
    name: 'control-plane',
    server: options.server,
    authorityPem: authority.certificatePem,
    client,
  })
  return {
    authority: write('ca.crt', authority.certificatePem),
    serving: writePair('serving', await authority.issueServer(options.servingNames)),
    kubeletClient: writePair('kubelet-client', await authority.issueClient(options.kubeletClientName, [])),
    accounts: {
      publicKey: write('accounts.pub', accounts.publicKey),
      privateKey: write('accounts.key', accounts.privateKey),
    },
    kubeconfig: write('kubeconfig', kubeconfig),
  }
}
