// SPDX-License-Identifier: Apache-2.0
/**
 * The sandbox's Kubernetes API with many nodes, each with a daemon pod that is Ready. One kubelet stands for all:
 * the sandbox's own port-forward, behind a plain stream in place of a second TLS connection.
 */
import {createServer, type IncomingMessage} from 'node:http'
import {Socket} from 'node:net'
import {duplexPair} from 'node:stream'
import {Client} from 'undici'
import {WebSocketServer} from 'ws'
import {createClock} from '../../src/lib/adapters/clock.ts'
import {createApiServer} from '../../src/lib/sandbox/api/server.ts'
import {kubeconfigText} from '../../src/lib/sandbox/kubeconfig.ts'
import {serveForward} from '../../src/lib/sandbox/nodes/port-forward.ts'
import type {Sockets} from '../../src/lib/sandbox/nodes/sockets.ts'
import {createAuthority, type KeyPair} from '../../src/lib/sandbox/pki.ts'

/** What a kubelet does with a port-forward: a port of this host, or a refusal. */
export type Forward = number | 'refused' | 'reset' | 'gone'

export interface FleetCluster {
  /** Kubeconfig texts: of a master, and of somebody who may forward to all pods but `forbidden`. */
  readonly masterKubeconfig: string
  readonly operatorKubeconfig: string
}

export interface FleetClusterOptions {
  readonly nodes: readonly {readonly name: string; readonly labels: Readonly<Record<string, string>>}[]
  readonly forbidden: readonly string[]
  /** Asked for each port-forward, by node. */
  readonly forward: (node: string) => Forward
  readonly onClose: () => void
}

const MESH = 'kmesh-system'
const OPERATOR = 'operator'
const silent = {trace: quiet, debug: quiet, info: quiet, warn: quiet, error: quiet}
function quiet(): void {}

export async function startFleetCluster(options: FleetClusterOptions): Promise<FleetCluster> {
  const authority = await createAuthority('fleet', Date.now())
  const kubelet = startKubelet(options)
  const api = createApiServer({
    authorityPem: authority.certificatePem,
    serving: await authority.issueServer(['127.0.0.1', 'localhost']),
    clock: createClock(),
    log: silent,
    serviceCidrs: ['10.96.0.0/16'],
    dialNode: async () => kubelet(),
  })
  const server = `https://127.0.0.1:${await api.listen({host: '127.0.0.1', port: 0})}`
  const kubeconfig = (client: KeyPair): string =>
    kubeconfigText({name: 'fleet', server, authorityPem: authority.certificatePem, client})
  const master = await authority.issueClient('master', ['system:masters'])
  const operator = await authority.issueClient(OPERATOR, [])
  await createObjects(server, authority.certificatePem, master, options)
  return {masterKubeconfig: kubeconfig(master), operatorKubeconfig: kubeconfig(operator)}
}

/** Connections to it, as streams. */
function startKubelet({forward, onClose}: FleetClusterOptions): () => ReturnType<typeof duplexPair>[0] {
  const sockets: Sockets = {
    connect: (place) => new Socket().connect({host: '127.0.0.1', port: Number(place)}),
    listen: () => Promise.reject(new Error('nobody listens here')),
  }
  const webSockets = new WebSocketServer({noServer: true, handleProtocols: () => 'v4.channel.k8s.io'})
  const server = createServer()
  server.on('upgrade', (request: IncomingMessage, socket, head) => {
    socket.on('error', quiet).once('close', onClose)
    const url = new URL(request.url ?? '/', 'http://kubelet')
    const pod = url.pathname.split('/').at(-1) ?? ''
    const way = forward(pod.replace(/^kmesh-/, ''))
    if (way === 'reset') return void socket.destroy()
    if (way === 'gone') {
      const text = `no pod ${MESH}/${pod}`
      socket.end(
        `HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: ${text.length}\r\n\r\n${text}`,
      )
      return
    }
    webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      // Nobody listens on port 1.
      serveForward(webSocket, [15_200], {namespacePath: String(way === 'refused' ? 1 : way), sockets})
    })
  })
  return () => {
    const [ours, theirs] = duplexPair()
    server.emit('connection', theirs)
    return ours
  }
}

async function createObjects(
  server: string,
  ca: string,
  {certificatePem: cert, keyPem: key}: KeyPair,
  {nodes, forbidden}: FleetClusterOptions,
): Promise<void> {
  const client = new Client(server, {connect: {ca, cert, key}})
  const send = async (method: 'POST' | 'PATCH', path: string, object: object): Promise<void> => {
    const type = method === 'POST' ? 'application/json' : 'application/merge-patch+json'
    const headers = {'content-type': type}
    const {statusCode, body} = await client.request({method, path, headers, body: JSON.stringify(object)})
    const text = await body.text()
    if (statusCode > 299) throw new Error(`${method} ${path}: ${statusCode} ${text}`)
  }
  const pods = `/api/v1/namespaces/${MESH}/pods`
  await send('POST', '/api/v1/namespaces', {apiVersion: 'v1', kind: 'Namespace', metadata: {name: MESH}})
  for (const {name, labels} of nodes) {
    await send('POST', '/api/v1/nodes', {apiVersion: 'v1', kind: 'Node', metadata: {name, labels}})
    const metadata = {name: `kmesh-${name}`, labels: {app: 'kmesh'}}
    const spec = {nodeName: name, hostNetwork: true, containers: [{name: 'kmesh', image: 'kmesh'}]}
    await send('POST', pods, {apiVersion: 'v1', kind: 'Pod', metadata, spec})
    const status = {phase: 'Running', conditions: [{type: 'Ready', status: 'True'}]}
    await send('PATCH', `${pods}/${metadata.name}/status`, {status})
  }
  for (const role of rolesOf(nodes.map(({name}) => name).filter((name) => !forbidden.includes(name)))) {
    const {kind} = role as {kind: string}
    await send('POST', `/apis/rbac.authorization.k8s.io/v1/${kind.toLowerCase()}s`, role)
  }
  await client.close()
}

function rolesOf(allowed: readonly string[]): object[] {
  const apiVersion = 'rbac.authorization.k8s.io/v1'
  const metadata = {name: OPERATOR}
  return [
    {
      apiVersion,
      kind: 'ClusterRole',
      metadata,
      rules: [
        {apiGroups: [''], resources: ['nodes', 'pods', 'namespaces'], verbs: ['get', 'list', 'watch']},
        {
          apiGroups: [''],
          resources: ['pods/portforward'],
          verbs: ['get', 'create'],
          resourceNames: allowed.map((name) => `kmesh-${name}`),
        },
      ],
    },
    {
      apiVersion,
      kind: 'ClusterRoleBinding',
      metadata,
      subjects: [{kind: 'User', name: OPERATOR, apiGroup: 'rbac.authorization.k8s.io'}],
      roleRef: {apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: OPERATOR},
    },
  ]
}
