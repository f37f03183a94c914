// SPDX-License-Identifier: Apache-2.0
/** What path.test.ts connects through: 30 services of all kinds over six applications, pods in and out of the mesh. */
import type {KubeObject} from '../../src/lib/model/kube.ts'
import {RESOURCES} from '../../src/lib/model/kube.ts'
import type {Kube} from '../../src/lib/ports.ts'

export const NODES = ['node-1', 'node-2', 'node-3'] as const
/** `meshed` is labelled; the pods of `plain` are not captured. */
export const NAMESPACES = ['meshed', 'plain'] as const
const APPS = ['a', 'b', 'c', 'd', 'e'] as const

type Manifest = KubeObject & Readonly<Record<string, unknown>>

export interface WorldService {
  readonly namespace: string
  readonly name: string
  readonly ports: readonly number[]
}

const echo = {
  name: 'echo',
  image: 'sandbox/echo',
  ports: [
    {name: 'http', containerPort: 8080, protocol: 'TCP'},
    {name: 'tcp', containerPort: 9090, protocol: 'TCP'},
  ],
  readinessProbe: {httpGet: {path: '/', port: 'http'}, periodSeconds: 1},
}

function deployment(namespace: string, app: string, replicas: number, container: object): Manifest {
  const metadata = {name: app, namespace, labels: {app}}
  const template = {
    metadata: {labels: {app}},
    spec: {terminationGracePeriodSeconds: 1, containers: [container]},
  }
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata,
    spec: {replicas, selector: {matchLabels: {app}}, template},
  }
}

function client(namespace: string, node: string, index: number): Manifest {
  const main = {name: 'main', image: 'sandbox/host', command: ['sleep', 'infinity']}
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {name: `client-${index}`, namespace, labels: {app: 'client'}},
    spec: {nodeName: node, terminationGracePeriodSeconds: 1, containers: [main]},
  } as unknown as Manifest
}

/** Kind of the service by its number: what its spec has beside a selector. */
const KINDS: readonly ((index: number) => {readonly spec: object; readonly ports: readonly number[]})[] = [
  () => ({spec: {ports: [{port: 80, targetPort: 8080}]}, ports: [80]}),
  () => ({spec: {ports: [{port: 8080}], ipFamilyPolicy: 'PreferDualStack'}, ports: [8080]}),
  (index) => ({
    spec: {ports: [{port: 1000 + index, targetPort: 'http'}], ipFamilyPolicy: 'PreferDualStack'},
    ports: [1000 + index],
  }),
  () => ({
    spec: {
      ipFamilyPolicy: 'PreferDualStack',
      ports: [
        {name: 'web', port: 80, targetPort: 'http'},
        {name: 'lines', port: 90, targetPort: 9090},
      ],
    },
    ports: [80, 90],
  }),
  () => ({
    spec: {ports: [{port: 80, targetPort: 8080}], ipFamilies: ['IPv6'], ipFamilyPolicy: 'SingleStack'},
    ports: [80],
  }),
  // Translates nothing: its clients dial 8080 at the pods.
  () => ({spec: {clusterIP: 'None', ports: [{port: 8080, targetPort: 8080}]}, ports: [8080]}),
]
const SERVICES = 30

/** 3 of them have no endpoint at all, 2 only pods that are never ready. */
function serviceOf(index: number): {readonly manifest: Manifest; readonly service: WorldService} {
  const namespace = NAMESPACES[index % 2] ?? 'plain'
  const kind = KINDS[index % KINDS.length] as (typeof KINDS)[number]
  const {spec, ports} = kind(index)
  const app = index % 10 === 7 ? 'nobody' : index % 15 === 8 ? 'never' : (APPS[index % APPS.length] ?? 'a')
  const name = `s${index}`
  const manifest = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {name, namespace},
    spec: {selector: {app}, ...spec},
  } as unknown as Manifest
  return {manifest, service: {namespace, name, ports}}
}

export const WORLD_SERVICES: readonly WorldService[] = Array.from(
  {length: SERVICES},
  (_, index) => serviceOf(index).service,
)

export const CLIENTS = NAMESPACES.flatMap((namespace) =>
  NODES.map((node, index) => ({namespace, name: `client-${index}`, node})),
)

export async function createWorld(kube: Kube): Promise<void> {
  for (const name of NAMESPACES) {
    const labels = name === 'meshed' ? {'istio.io/dataplane-mode': 'kmesh'} : {}
    await kube.create(RESOURCES.namespaces, {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: {name, labels},
    } as KubeObject)
  }
  for (const namespace of NAMESPACES) await createIn(kube, namespace)
}

async function createIn(kube: Kube, namespace: string): Promise<void> {
  const never = {...echo, readinessProbe: {exec: {command: ['false']}, periodSeconds: 60}}
  const deployments = [
    ...APPS.map((app, index) => deployment(namespace, app, 1 + (index % 2), echo)),
    deployment(namespace, 'never', 1, never),
  ]
  for (const one of deployments) await kube.create({...RESOURCES.deployments, namespace}, one)
  const clients = CLIENTS.filter((one) => one.namespace === namespace)
  for (const {node} of clients) {
    await kube.create({...RESOURCES.pods, namespace}, client(namespace, node, NODES.indexOf(node)))
  }
  const services = Array.from({length: SERVICES}, (_, index) => serviceOf(index))
  for (const {manifest, service} of services) {
    if (service.namespace === namespace) await kube.create({...RESOURCES.services, namespace}, manifest)
  }
}
