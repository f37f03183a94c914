// SPDX-License-Identifier: Apache-2.0
import {stringify} from 'yaml'
import type {KeyPair} from './pki.ts'

export interface KubeconfigOptions {
  /** Names cluster, user and context. */
  readonly name: string
  /** `https://host:port`; an IPv6 host in brackets. */
  readonly server: string
  readonly authorityPem: string
  readonly client: KeyPair
  readonly namespace?: string
}

/** Text of a kubeconfig with one context and the client's key inside: write it with mode 0600. */
export function kubeconfigText(options: KubeconfigOptions): string {
  const {name, namespace} = options
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': name,
    clusters: [
      {
        name,
        cluster: {server: options.server, 'certificate-authority-data': base64(options.authorityPem)},
      },
    ],
    users: [
      {
        name,
        user: {
          'client-certificate-data': base64(options.client.certificatePem),
          'client-key-data': base64(options.client.keyPem),
        },
      },
    ],
    contexts: [{name, context: {cluster: name, user: name, ...(namespace ? {namespace} : {})}}],
  })
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}
