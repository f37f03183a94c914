// SPDX-License-Identifier: Apache-2.0
/** Who reaches the control plane how; the same for the sandbox's own API and a real one. */
import {kubeconfigText} from './kubeconfig.ts'
import {DAEMON_USER} from './nodes/daemon-pod.ts'
import type {KubeletTls} from './nodes/kubelet-server.ts'
import type {Authority} from './pki.ts'
import type {NodeRecord} from './state.ts'

/** Where the API listens on 127.0.0.1 inside each node. */
export const NODE_API_PORT = 6443
/** Common name of the certificate that the API server shows to kubelets. */
export const API_CLIENT = 'kube-apiserver-kubelet-client'
/** Names that the API server's certificate has in any case. */
export const LOCAL_NAMES = ['127.0.0.1', '::1', 'localhost', 'kubernetes'] as const

export interface Access {
  /** URL on the host. */
  readonly server: string
  /** Kubeconfig text of a master, for the host. Holds a key. */
  readonly adminKubeconfig: string
  /** Kubeconfig text of the agents, for inside the nodes. Holds a key. */
  readonly daemonKubeconfig: string
  tlsOf(node: NodeRecord): Promise<KubeletTls>
}

export interface ControlPlane extends Access {
  /** Which of the sandbox's own controllers it needs beside it. */
  readonly needs: {readonly scheduler: boolean; readonly workloads: boolean}
}

/**
 * @param port of the API on 127.0.0.1 of the host
 * @param nodePort the same inside the nodes
 */
export async function accessTo(
  authority: Authority,
  name: string,
  port: number,
  nodePort: number = NODE_API_PORT,
): Promise<Access> {
  const kubeconfig = async (server: string, user: string, groups: readonly string[]): Promise<string> =>
    kubeconfigText({
      name: `sandbox-${name}`,
      server,
      authorityPem: authority.certificatePem,
      client: await authority.issueClient(user, groups),
    })
  const server = `https://127.0.0.1:${port}`
  return {
    server,
    adminKubeconfig: await kubeconfig(server, 'sandbox-admin', ['system:masters']),
    daemonKubeconfig: await kubeconfig(`https://127.0.0.1:${nodePort}`, DAEMON_USER, [
      'system:serviceaccounts',
      'system:serviceaccounts:kmesh-system',
    ]),
    tlsOf: async (node) => ({
      ...(await authority.issueServer([node.name, ...node.addresses])),
      authorityPem: authority.certificatePem,
      clientName: API_CLIENT,
    }),
  }
}
