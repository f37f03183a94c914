// SPDX-License-Identifier: Apache-2.0
/**
 * What the pods of a containerd test see: the repository's API as the cluster, and one service of both families
 * whose address leads to different servers: by the node's own rules to `rules`, by Kmesh to `kmesh`.
 */
import {execFileSync} from 'node:child_process'
import {readFileSync} from 'node:fs'
import {createServer, type Server} from 'node:http'
import {join} from 'node:path'
import {createNetns} from '../../src/lib/adapters/netns.ts'
import {type KubeObject, RESOURCES} from '../../src/lib/model/kube.ts'
import {kubeconfigText} from '../../src/lib/sandbox/kubeconfig.ts'
import {collectionOf} from '../../src/lib/sandbox/manifests.ts'
import {DAEMON_USER} from '../../src/lib/sandbox/nodes/daemon-pod.ts'
import {roleObjects} from '../../src/lib/sandbox/roles.ts'
import {type ApiFixture, addNodes, startApi} from '../sandbox/api/api-fixture.ts'
import {type Machine, put} from './machine.ts'

export const NODE = 'node-1'
export const SERVICE = {IPv4: '10.96.0.80', IPv6: 'fd00:10:96::80'} as const
const API_PORT = 6443
const PORT = 8080
const SERVERS = {
  kmesh: {IPv4: '10.99.0.1', IPv6: 'fd00:99::1'},
  rules: {IPv4: '10.99.0.2', IPv6: 'fd00:99::2'},
} as const
const FAMILIES = ['IPv4', 'IPv6'] as const

export interface World {
  readonly api: ApiFixture
  /** Of the agent, for inside. */
  readonly kubeconfig: string
  /** A pod of the node, as a kubelet finds it: bound, not started. */
  createPod(
    name: string,
    labels: Readonly<Record<string, string>>,
  ): Promise<{namespace: string; name: string; uid: string}>
  close(): Promise<void>
}

export async function createWorld(machine: Machine): Promise<World> {
  const servers = await serveInside(machine)
  const api = await startApi()
  const netns = createNetns()
  await api.api.listen({fd: netns.listen(machine.namespacePath, '127.0.0.1', API_PORT)})
  const groups = ['system:serviceaccounts', 'system:serviceaccounts:kmesh-system']
  const kubeconfig = put(
    machine,
    'kubeconfig',
    kubeconfigText({
      name: 'test',
      server: `https://127.0.0.1:${API_PORT}`,
      authorityPem: api.authority.certificatePem,
      client: await api.authority.issueClient(DAEMON_USER, groups),
    }),
  )
  const roles = readFileSync(join(import.meta.dirname, '../../deploy/rbac.yaml'), 'utf8')
  for (const object of [...roleObjects(roles), ...clusterObjects()]) {
    await api.kube.create(collectionOf(object), object)
  }
  await addNodes(api.kube, NODE)
  return {
    api,
    kubeconfig,
    createPod: async (name, labels) => {
      const created = await api.kube.create({...RESOURCES.pods, namespace: 'shop'}, {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: {name, namespace: 'shop', labels},
        spec: {nodeName: NODE, containers: [{name: 'main', image: 'busybox'}]},
      } as KubeObject)
      return {namespace: 'shop', name, uid: created.metadata.uid ?? ''}
    },
    close: async () => {
      for (const server of servers) server.close()
      await api.close()
    },
  }
}

/** Both servers, and what a kube-proxy would have written for the service. */
async function serveInside(machine: Machine): Promise<Server[]> {
  const ip = (...args: string[]) => execFileSync('ip', ['-n', machine.name, ...args])
  const settings = ['ipv4/ip_forward=1', 'ipv6/conf/all/forwarding=1', 'ipv6/conf/default/accept_dad=0']
  for (const setting of settings) {
    const [key, value] = setting.split('=')
    await machine.run('/bin/sh', '-c', `echo ${value} > /proc/sys/net/${key}`)
  }
  const servers: Server[] = []
  for (const family of FAMILIES) {
    for (const [name, addresses] of Object.entries(SERVERS)) {
      const length = family === 'IPv4' ? '32' : '128'
      ip(
        'addr',
        'add',
        `${addresses[family]}/${length}`,
        'dev',
        'lo',
        ...(family === 'IPv6' ? ['nodad'] : []),
      )
      const server = createServer((_request, response) => response.end(name))
      server.listen({fd: createNetns().listen(machine.namespacePath, addresses[family], PORT)})
      servers.push(server)
    }
    const {IPv4, IPv6} = SERVERS.rules
    const target = family === 'IPv4' ? `${IPv4}:${PORT}` : `[${IPv6}]:${PORT}`
    const rule = [
      '-d',
      SERVICE[family],
      '-p',
      'tcp',
      '--dport',
      '80',
      '-j',
      'DNAT',
      '--to-destination',
      target,
    ]
    await machine.run(family === 'IPv4' ? 'iptables' : 'ip6tables', '-t', 'nat', '-A', 'PREROUTING', ...rule)
  }
  return servers
}

function clusterObjects(): KubeObject[] {
  const slices = FAMILIES.map((family) => ({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: `server-${family.toLowerCase()}`,
      namespace: 'shop',
      labels: {'kubernetes.io/service-name': 'server'},
    },
    addressType: family,
    endpoints: [{addresses: [SERVERS.kmesh[family]], conditions: {ready: true}, nodeName: NODE}],
    ports: [{name: '', port: PORT, protocol: 'TCP'}],
  }))
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {name: 'server', namespace: 'shop'},
    spec: {
      clusterIP: SERVICE.IPv4,
      clusterIPs: [SERVICE.IPv4, SERVICE.IPv6],
      ipFamilies: [...FAMILIES],
      ipFamilyPolicy: 'RequireDualStack',
      ports: [{port: 80, targetPort: PORT, protocol: 'TCP'}],
    },
  }
  return [{apiVersion: 'v1', kind: 'Namespace', metadata: {name: 'shop'}}, service, ...slices]
}
