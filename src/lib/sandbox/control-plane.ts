// SPDX-License-Identifier: Apache-2.0
/** The sandbox's Kubernetes API: on 127.0.0.1 of the host and of every node. */
import type {Clock, Log, Netns} from '../ports.ts'
import {createApiServer} from './api/server.ts'
import {kubeconfigText} from './kubeconfig.ts'
import {DAEMON_USER} from './nodes/daemon-pod.ts'
import {nodeDialer} from './nodes/dial-node.ts'
import type {KubeletTls} from './nodes/kubelet-server.ts'
import {createAuthority} from './pki.ts'
import {authorizeBy} from './rbac.ts'
import type {NodeRecord} from './state.ts'

/** Where the API listens inside each node. */
const NODE_API_PORT = 6443
const API_CLIENT = 'kube-apiserver-kubelet-client'

export interface ControlPlaneOptions {
  /** Names cluster, user and context of the kubeconfigs. */
  readonly name: string
  readonly nodes: readonly NodeRecord[]
  readonly serviceCidrs: readonly string[]
  readonly netns: Netns
  readonly clock: Clock
  readonly log: Log
  /** Text of the manifests that say who may do what. */
  readonly roles: string
}

export interface ControlPlane {
  /** URL on the host. */
  readonly server: string
  /** Kubeconfig text of a master, for the host. Holds a key. */
  readonly adminKubeconfig: string
  /** Kubeconfig text of the agents, for inside the nodes. Holds a key. */
  readonly daemonKubeconfig: string
  tlsOf(node: NodeRecord): Promise<KubeletTls>
}

export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const {clock, log, netns, nodes} = options
  const authority = await createAuthority(`kmeshctl sandbox ${options.name}`, clock.nowMs())
  const apiClient = await authority.issueClient(API_CLIENT, [])
  const api = createApiServer({
    authorityPem: authority.certificatePem,
    serving: await authority.issueServer(['127.0.0.1', '::1', 'localhost', 'kubernetes']),
    clock,
    log,
    serviceCidrs: options.serviceCidrs,
    authorize: authorizeBy(options.roles),
    dialNode: nodeDialer(nodes, netns, authority.certificatePem, apiClient),
  })
  const port = await api.listen({host: '127.0.0.1', port: 0})
  for (const node of nodes) {
    await api.listen({fd: netns.listen(node.networkNamespace, '127.0.0.1', NODE_API_PORT)})
  }
  const kubeconfig = async (server: string, user: string, groups: readonly string[]): Promise<string> =>
    kubeconfigText({
      name: `sandbox-${options.name}`,
      server,
      authorityPem: authority.certificatePem,
      client: await authority.issueClient(user, groups),
    })
  const server = `https://127.0.0.1:${port}`
  return {
    server,
    adminKubeconfig: await kubeconfig(server, 'sandbox-admin', ['system:masters']),
    daemonKubeconfig: await kubeconfig(`https://127.0.0.1:${NODE_API_PORT}`, DAEMON_USER, [
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
