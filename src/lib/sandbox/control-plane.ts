// SPDX-License-Identifier: Apache-2.0
/** The sandbox's Kubernetes API: on 127.0.0.1 of the host and of every node. */
import type {Clock, Log, Netns} from '../ports.ts'
import {createApiServer} from './api/server.ts'
import {API_CLIENT, accessTo, type ControlPlane, LOCAL_NAMES, NODE_API_PORT} from './control-plane-access.ts'
import {nodeDialer} from './nodes/dial-node.ts'
import type {Sockets} from './nodes/sockets.ts'
import {createAuthority} from './pki.ts'
import type {NodeRecord} from './state.ts'

export interface ControlPlaneOptions {
  /** Names cluster, user and context of the kubeconfigs. */
  readonly name: string
  readonly nodes: readonly NodeRecord[]
  readonly serviceCidrs: readonly string[]
  /** Undefined where nodes have no network of their own: then they reach the API as the host does. */
  readonly netns: Netns | undefined
  readonly sockets: Sockets
  readonly clock: Clock
  readonly log: Log
}

export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const {clock, log, netns, sockets, nodes} = options
  const authority = await createAuthority(`kmeshctl sandbox ${options.name}`, clock.nowMs())
  const apiClient = await authority.issueClient(API_CLIENT, [])
  const api = createApiServer({
    authorityPem: authority.certificatePem,
    serving: await authority.issueServer(LOCAL_NAMES),
    clock,
    log,
    serviceCidrs: options.serviceCidrs,
    dialNode: nodeDialer(nodes, sockets, authority.certificatePem, apiClient),
  })
  const port = await api.listen({host: '127.0.0.1', port: 0})
  if (netns !== undefined) {
    for (const node of nodes) {
      await api.listen({fd: netns.listen(node.networkNamespace, '127.0.0.1', NODE_API_PORT)})
    }
  }
  return {
    ...(await accessTo(authority, options.name, port, netns === undefined ? port : NODE_API_PORT)),
    needs: {scheduler: true, workloads: true},
  }
}
