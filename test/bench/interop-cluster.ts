// SPDX-License-Identifier: Apache-2.0
/**
 * A Kubernetes API of 100,000 pods for one reader, in a process of its own (fork it; it sends its URL): lists in pages
 * with `limit` and `continue`, cut out of bytes that are made before, so that what is measured is the reader. Objects
 * have what those of a real cluster have: managed fields, containers with probes and volumes, status.
 */
import {createServer, type ServerResponse} from 'node:http'
import type {AddressInfo} from 'node:net'
import {PROTOBUF} from '../../src/lib/model/protobuf-bytes.ts'
import {protobufItem, protobufList} from '../../src/lib/sandbox/api/protobuf-write.ts'
import {NAMESPACES, PODS, SERVICES} from './interop-figures.ts'

const NODES = 1000
const PODS_PER_SERVICE = PODS / SERVICES
const SERVICES_PER_NAMESPACE = SERVICES / NAMESPACES
/** Every tenth namespace takes mTLS only. */
const STRICT_EVERY = 10

interface List {
  readonly kind: string
  readonly count: number
  /** JSON of an item. */
  readonly make: (index: number) => string
}

/** By what stands before `?` or the end. */
const LISTS: Readonly<Record<string, List>> = {
  '/api/v1/namespaces': {kind: 'Namespace', count: NAMESPACES, make: namespaceText},
  '/api/v1/pods': {kind: 'Pod', count: PODS, make: podText},
  '/api/v1/services': {kind: 'Service', count: SERVICES, make: serviceText},
  '/apis/discovery.k8s.io/v1/endpointslices': {kind: 'EndpointSlice', count: SERVICES, make: sliceText},
  '/apis/security.istio.io/v1/peerauthentications': {
    kind: 'PeerAuthentication',
    count: NAMESPACES / STRICT_EVERY,
    make: policyText,
  },
  '/apis/networking.istio.io/v1/destinationrules': {kind: 'DestinationRule', count: 0, make: policyText},
  '/api/v1/namespaces/kmesh-system/pods': {kind: 'Pod', count: 0, make: podText},
}

const managedFields = (manager: string, fields: readonly string[]): object => ({
  manager,
  operation: 'Update',
  apiVersion: 'v1',
  time: '2026-01-01T00:00:00Z',
  fieldsType: 'FieldsV1',
  fieldsV1: Object.fromEntries(fields.map((field) => [`f:${field}`, {'.': {}, 'f:name': {}, 'f:value': {}}])),
})

/** `@N@` and the like are filled in for each pod. */
const POD = JSON.stringify({
  metadata: {
    name: '@NAME@',
    generateName: '@APP@-7d9f8b6c5-',
    namespace: '@NS@',
    uid: '@UID@',
    resourceVersion: '1234567',
    creationTimestamp: '2026-01-01T00:00:00Z',
    labels: {app: '@APP@', 'pod-template-hash': '7d9f8b6c5', version: 'v1', '@TLS@': 'istio'},
    annotations: {
      'prometheus.io/path': '/metrics',
      'prometheus.io/port': '15020',
      'kubectl.kubernetes.io/default-container': 'app',
      '@MARK@': '@VALUE@',
    },
    ownerReferences: [
      {
        apiVersion: 'apps/v1',
        kind: 'ReplicaSet',
        name: '@APP@-7d9f8b6c5',
        uid: 'aaaaaaaa-0000-0000-0000-000000000000',
        controller: true,
        blockOwnerDeletion: true,
      },
    ],
    managedFields: [
      managedFields('kube-controller-manager', [
        'metadata',
        'spec',
        'containers',
        'env',
        'resources',
        'volumeMounts',
      ]),
      managedFields('kubelet', [
        'status',
        'conditions',
        'containerStatuses',
        'hostIP',
        'phase',
        'podIP',
        'podIPs',
        'startTime',
      ]),
    ],
  },
  spec: {
    volumes: [
      {
        name: 'kube-api-access-x',
        projected: {
          sources: [
            {serviceAccountToken: {expirationSeconds: 3607, path: 'token'}},
            {configMap: {name: 'kube-root-ca.crt', items: [{key: 'ca.crt', path: 'ca.crt'}]}},
          ],
          defaultMode: 420,
        },
      },
    ],
    containers: [
      {
        name: 'app',
        image: 'registry.example.com/shop/@APP@:1.2.3',
        ports: [{name: 'http', containerPort: 8080, protocol: 'TCP'}],
        env: Array.from({length: 8}, (_empty, at) => ({
          name: `SETTING_${at}`,
          value: `some value of setting ${at}`,
        })),
        resources: {limits: {cpu: '500m', memory: '512Mi'}, requests: {cpu: '100m', memory: '128Mi'}},
        volumeMounts: [
          {
            name: 'kube-api-access-x',
            readOnly: true,
            mountPath: '/var/run/secrets/kubernetes.io/serviceaccount',
          },
        ],
        readinessProbe: {
          httpGet: {path: '/ready', port: 8080, scheme: 'HTTP'},
          timeoutSeconds: 1,
          periodSeconds: 10,
          successThreshold: 1,
          failureThreshold: 3,
        },
        terminationMessagePath: '/dev/termination-log',
        imagePullPolicy: 'IfNotPresent',
      },
    ],
    restartPolicy: 'Always',
    serviceAccountName: 'default',
    nodeName: '@NODE@',
    schedulerName: 'default-scheduler',
    tolerations: [
      {key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300},
    ],
  },
  status: {
    phase: 'Running',
    conditions: ['Initialized', 'Ready', 'ContainersReady', 'PodScheduled'].map((type) => ({
      type,
      status: 'True',
      lastProbeTime: null,
      lastTransitionTime: '2026-01-01T00:00:10Z',
    })),
    hostIP: '192.0.2.1',
    podIP: '@IP@',
    podIPs: [{ip: '@IP@'}],
    startTime: '2026-01-01T00:00:01Z',
    containerStatuses: [
      {
        name: 'app',
        state: {running: {startedAt: '2026-01-01T00:00:05Z'}},
        ready: true,
        restartCount: 0,
        image: 'registry.example.com/shop/app:1.2.3',
        containerID: 'containerd://0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef',
        started: true,
      },
    ],
    qosClass: 'Burstable',
  },
}).split('@')

const serviceOf = (pod: number): number => Math.floor(pod / PODS_PER_SERVICE)
const namespaceOf = (service: number): string => `team-${Math.floor(service / SERVICES_PER_NAMESPACE)}`
const podName = (pod: number): string => `app-${serviceOf(pod)}-7d9f8b6c5-${String(pod).padStart(6, '0')}`
const addressOf = (pod: number): string => `10.${pod >> 16}.${(pod >> 8) & 255}.${pod & 255}`

/** Of three services one is captured by Kmesh, one has sidecars, one has nothing. */
function podText(index: number): string {
  const service = serviceOf(index)
  const kind = service % 3
  const fields: Readonly<Record<string, string>> = {
    NAME: podName(index),
    APP: `app-${service}`,
    NS: namespaceOf(service),
    UID: `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`,
    NODE: `node-${index % NODES}`,
    IP: addressOf(index),
    TLS: kind === 1 ? 'security.istio.io/tlsMode' : 'plain',
    MARK: ['kmesh.net/redirection', 'sidecar.istio.io/status', 'other'][kind] ?? '',
    VALUE: 'enabled',
  }
  return POD.map((part, at) => (at % 2 === 0 ? part : fields[part])).join('')
}

function namespaceText(index: number): string {
  const labels = index % 3 === 0 ? {'istio.io/dataplane-mode': 'kmesh'} : {'istio-injection': 'enabled'}
  return JSON.stringify({metadata: {name: `team-${index}`, labels}})
}

function serviceText(index: number): string {
  const metadata = {name: `app-${index}`, namespace: namespaceOf(index)}
  const clusterIP = `10.96.${index >> 8}.${index & 255}`
  return JSON.stringify({
    metadata,
    spec: {clusterIP, ports: [{name: 'http', port: 80, targetPort: 8080, protocol: 'TCP'}]},
  })
}

function sliceText(index: number): string {
  const labels = {'kubernetes.io/service-name': `app-${index}`}
  const endpoints = Array.from({length: PODS_PER_SERVICE}, (_empty, at) => {
    const pod = index * PODS_PER_SERVICE + at
    const targetRef = {kind: 'Pod', name: podName(pod), namespace: namespaceOf(index), uid: 'x'}
    return {
      addresses: [addressOf(pod)],
      conditions: {ready: true, serving: true, terminating: false},
      nodeName: `node-${pod % NODES}`,
      targetRef,
    }
  })
  const metadata = {name: `app-${index}-x`, namespace: namespaceOf(index), labels}
  return JSON.stringify({
    metadata,
    addressType: 'IPv4',
    ports: [{name: 'http', port: 8080, protocol: 'TCP'}],
    endpoints,
  })
}

function policyText(index: number): string {
  const metadata = {
    name: 'strict',
    namespace: `team-${index * STRICT_EVERY}`,
    creationTimestamp: '2026-01-01T00:00:00Z',
  }
  return JSON.stringify({metadata, spec: {mtls: {mode: 'STRICT'}}})
}

/** All items of a list one behind the other; item n stands at `starts[n]`. */
interface Items {
  readonly bytes: Buffer
  readonly starts: readonly number[]
}

interface MadeList {
  readonly count: number
  /** Each item but the last is followed by a comma. */
  readonly json: Items
  /** Undefined for kinds that a real API server has in JSON only. */
  readonly protobuf: Items | undefined
  readonly kind: string
}

function made({count, make, kind}: List): MadeList {
  const json: Buffer[] = []
  const protobuf: Buffer[] = []
  for (let index = 0; index < count; index += 1) {
    const text = make(index)
    json.push(Buffer.from(`${text}${index + 1 < count ? ',' : ''}`))
    const bytes = protobufItem(kind, JSON.parse(text) as object)
    if (bytes !== undefined) protobuf.push(bytes)
  }
  return {count, kind, json: joined(json), protobuf: protobuf.length === count ? joined(protobuf) : undefined}
}

function joined(parts: readonly Buffer[]): Items {
  const starts = [0]
  for (const [index, part] of parts.entries()) starts.push((starts[index] ?? 0) + part.length)
  return {bytes: Buffer.concat(parts), starts}
}

/** Items from `start` to before `end`, without a copy. */
function pageOf({bytes, starts}: Items, start: number, end: number): Buffer {
  return bytes.subarray(starts[start], starts[end])
}

/** Only in a process that was forked for it: whoever looks through the benchmarks imports this file too. */
if (process.send !== undefined) serve(process.send.bind(process))

function serve(send: (url: string) => void): void {
  const lists = new Map(Object.entries(LISTS).map(([path, list]) => [path, made(list)]))
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '', 'http://x')
    const list = lists.get(url.pathname)
    if (list === undefined) {
      response.writeHead(404, {'content-type': 'application/json'})
      const status = {kind: 'Status', status: 'Failure', reason: 'NotFound', code: 404, message: url.pathname}
      response.end(JSON.stringify(status))
      return
    }
    const start = Number(url.searchParams.get('continue') ?? 0)
    const end = Math.min(list.count, start + Number(url.searchParams.get('limit') ?? list.count))
    const isBinary = request.headers.accept?.startsWith(PROTOBUF) === true && !process.argv.includes('--json')
    if (isBinary && list.protobuf !== undefined) sendProtobuf(response, list, list.protobuf, start, end)
    else sendJson(response, list, start, end)
  })
  server.listen(0, '127.0.0.1', () => send(`http://127.0.0.1:${(server.address() as AddressInfo).port}`))
  process.on('disconnect', () => process.exit())
}

const RESOURCE_VERSION = '1234567'

function sendJson(response: ServerResponse, {count, json}: MadeList, start: number, end: number): void {
  response.writeHead(200, {'content-type': 'application/json'})
  const next = end < count ? `"continue":"${end}",` : ''
  response.write(
    `{"kind":"List","apiVersion":"v1","metadata":{${next}"resourceVersion":"${RESOURCE_VERSION}"},"items":[`,
  )
  const page = pageOf(json, start, end)
  response.write(end < count ? page.subarray(0, -1) : page)
  response.end(']}')
}

function sendProtobuf(
  response: ServerResponse,
  {count, kind}: MadeList,
  items: Items,
  start: number,
  end: number,
): void {
  response.writeHead(200, {'content-type': PROTOBUF})
  const metadata = {resourceVersion: RESOURCE_VERSION, ...(end < count ? {continue: String(end)} : {})}
  response.end(protobufList({kind, apiVersion: 'v1'}, metadata, [pageOf(items, start, end)]))
}
