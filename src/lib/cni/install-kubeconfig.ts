// SPDX-License-Identifier: Apache-2.0
import {KmeshError} from '../errors.ts'
import type {KubeAccess} from '../ports.ts'

/**
 * A kubeconfig, as JSON, that needs no other file. Secret.
 * @throws KmeshError where there is nothing that could be written into it
 */
export function kubeconfigText(access: KubeAccess): string {
  const {token, certificate, key} = access
  if (token === undefined && (certificate === undefined || key === undefined)) {
    throw new KmeshError('the agent has neither a token nor a certificate to give')
  }
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{name: 'local', cluster: clusterOf(access)}],
    users: [
      {
        name: 'kmesh-cni',
        user: {token, 'client-certificate-data': base64(certificate), 'client-key-data': base64(key)},
      },
    ],
    contexts: [{name: 'kmesh-cni', context: {cluster: 'local', user: 'kmesh-cni'}}],
    'current-context': 'kmesh-cni',
  }
  return `${JSON.stringify(config, null, 2)}\n`
}

function clusterOf({server, ca, serverName, skipsVerification}: KubeAccess): object {
  return {
    server,
    'certificate-authority-data': base64(ca),
    'tls-server-name': serverName,
    'insecure-skip-tls-verify': skipsVerification || undefined,
  }
}

function base64(text: string | undefined): string | undefined {
  return text === undefined ? undefined : Buffer.from(text).toString('base64')
}
