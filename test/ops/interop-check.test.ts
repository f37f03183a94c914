// SPDX-License-Identifier: Apache-2.0
// Goal: interop check finds the pairs of a cluster, judges every endpoint, says what it may not read and leaves nothing out.
// Method: fake API server and daemons; a small cluster, reports by hand.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {DeniedError, KubeStatusError} from '../../src/lib/errors.ts'
import {parseSubject} from '../../src/lib/model/check-subject.ts'
import type {EndpointSlice, KubeObject, Pod, Service} from '../../src/lib/model/kube.ts'
import {type CheckRequest, hasFindings, interopCheck} from '../../src/lib/ops/interop-check.ts'
import type {Kube, ResourcePath} from '../../src/lib/ports.ts'
import {CAPTURED, entryOf, podOf, SIDECAR} from '../model/plan-fixtures.ts'
import {FakeClock, type FakeDaemon, fakeDialer, OUR_VERSION} from './enroll-fakes.ts'

const ISTIO = {'security.istio.io/tlsMode': 'istio'}
const VERSION = {...OUR_VERSION, sidecarPolicy: 'bypass'} as const

/** Answers lists and gets by resource; `denied` and missing kinds as an API server does. */
function kubeOf(
  objects: Readonly<Record<string, readonly KubeObject[]>>,
  denied: readonly string[] = [],
): Kube {
  const find = (path: ResourcePath): readonly KubeObject[] => {
    if (denied.includes(path.resource))
      throw new DeniedError(403, 'Forbidden', `${path.resource} is forbidden`)
    const found = objects[path.resource]
    if (found === undefined)
      throw new KubeStatusError(404, 'NotFound', 'the server could not find the resource')
    return found
  }
  const list = async (path: ResourcePath) => ({metadata: {}, items: find(path)})
  const get = async (path: ResourcePath) => {
    const [found] = find(path)
    if (found === undefined) throw new KubeStatusError(404, 'NotFound', 'not found')
    return found
  }
  return {server: 'https://fake', list, get} as unknown as Kube
}

function inDeployment(
  name: string,
  deployment: string,
  namespace: string,
  more: Record<string, string> = {},
): Pod {
  const labels = {app: deployment, 'pod-template-hash': '1', ...more}
  const ownerReferences = [
    {apiVersion: 'apps/v1', kind: 'ReplicaSet', name: `${deployment}-1`, uid: 'r', controller: true},
  ]
  const sidecar = more['security.istio.io/tlsMode'] === 'istio' ? SIDECAR : {}
  return podOf(name, {namespace, annotations: sidecar, metadata: {labels, ownerReferences}})
}

const service: Service = {
  metadata: {namespace: 'shop', name: 'cart'},
  spec: {
    clusterIP: '10.96.0.1',
    ports: [
      {name: 'http', port: 80, targetPort: 8080},
      {name: 'dns', port: 53, protocol: 'UDP'},
    ],
  },
}
const empty: Service = {
  metadata: {namespace: 'shop', name: 'empty'},
  spec: {clusterIP: '10.96.0.2', ports: [{port: 81}]},
}

function slice(addressType: 'IPv4' | 'IPv6', names: readonly string[]): EndpointSlice {
  return {
    metadata: {
      namespace: 'shop',
      name: `cart-${addressType}`,
      labels: {'kubernetes.io/service-name': 'cart'},
    },
    addressType,
    ports: [{name: 'http', port: 8080}],
    endpoints: names.map((name, index) => ({
      addresses: [addressType === 'IPv4' ? `10.0.0.${index}` : `2001:db8::${index}`],
      conditions: {ready: true},
      targetRef: {kind: 'Pod', name},
    })),
  }
}

/** A client with Envoy, a captured one, and a service whose two pods have Envoy; Kmesh bypasses the second. */
const pods: readonly Pod[] = [
  inDeployment('web-1', 'web', 'front', ISTIO),
  inDeployment('web-2', 'web', 'front', ISTIO),
  inDeployment('job-1', 'job', 'front'),
  inDeployment('cart-1', 'cart', 'shop', ISTIO),
  {...inDeployment('cart-2', 'cart', 'shop', ISTIO)},
]
const daemon: FakeDaemon = {
  version: VERSION,
  entries: () => [
    entryOf('uid-job-1', true, {namespace: 'front'}),
    entryOf('uid-cart-2', true),
    ...['web-1', 'web-2', 'cart-1'].map((name) => entryOf(`uid-${name}`, false)),
  ],
}

const cluster = (more: Readonly<Record<string, readonly KubeObject[]>> = {}) => ({
  pods,
  services: [service, empty],
  namespaces: [],
  endpointslices: [slice('IPv4', ['cart-1', 'cart-2']), slice('IPv6', ['cart-1', 'cart-2'])],
  ...more,
})

function check(
  kube: Kube,
  more: Partial<CheckRequest> = {},
  daemons: Readonly<Record<string, FakeDaemon>> = {n1: daemon},
) {
  const {dialer, targets} = fakeDialer(daemons)
  return interopCheck(
    {kube, dialer, clock: new FakeClock(), signal: new AbortController().signal},
    {
      client: undefined,
      server: undefined,
      namespace: 'front',
      show: 'all',
      findDaemons: async () => targets,
      concurrency: 2,
      ...more,
    },
  )
}

test('groups of clients, one endpoint of two fails, worst first; services without endpoints are named', async () => {
  const report = await check(kubeOf(cluster()))
  assert.deepEqual(
    report.items.map(({client, server, verdict, share}) => [
      client.workloads,
      client.pods,
      server.name,
      server.port,
      verdict,
      share,
    ]),
    [
      [['deployment/web'], 2, 'cart', 80, 'depends', {works: 1, fails: 1, unknown: 0}],
      [['deployment/job'], 1, 'cart', 80, 'works', {works: 2, fails: 0, unknown: 0}],
    ],
  )
  assert.deepEqual(
    report.items[0]?.cells.map(({row, column, sent, result, reason, endpoints, examples}) => [
      row,
      column,
      sent,
      result,
      reason,
      endpoints,
      examples,
    ]),
    [
      ['sidecar', 'bypassed', 'mtls', 'fails', 'NobodyDecrypts', 1, ['cart-2']],
      ['sidecar', 'sidecar', 'mtls', 'works', 'MutualTls', 1, ['cart-1']],
    ],
  )
  assert.deepEqual(report.summary, {
    requested: 2,
    ok: 2,
    failed: 0,
    skipped: 1,
    verdicts: {works: 1, unknown: 0, depends: 1, fails: 0},
    listed: 2,
  })
  assert.deepEqual(
    report.warnings.map(({code, message}) => [code, message]),
    [['NoEndpoints', 'no ready endpoint, not judged: shop/empty:81']],
  )
})

test('--fail-on counts what is as bad or worse', async () => {
  const report = await check(kubeOf(cluster()))
  const found = (['unknown', 'depends', 'fails', 'never'] as const).map((failOn) =>
    hasFindings(report, failOn),
  )
  assert.deepEqual(found, [true, true, false, false])
})

test('findings only: what works is counted, not listed', async () => {
  const report = await check(kubeOf(cluster()), {show: 'findings'})
  assert.deepEqual(
    report.items.map(({verdict}) => verdict),
    ['depends'],
  )
  assert.deepEqual([report.summary.requested, report.summary['listed']], [2, 1])
})

test('a pod as server: its services and its own address, other endpoints left out', async () => {
  const withPort = pods.map((pod) =>
    pod.metadata.name === 'cart-2'
      ? {
          ...pod,
          spec: {...pod.spec, containers: [{name: 'c', ports: [{containerPort: 8080}]}]},
          status: {...pod.status, podIP: '10.0.0.1'},
        }
      : pod,
  ) as readonly Pod[]
  const report = await check(kubeOf(cluster({pods: withPort})), {
    client: parseSubject('deploy/web', 'front'),
    server: parseSubject('shop/pod/cart-2', 'front'),
  })
  assert.deepEqual(
    report.items.map(({server, verdict, share}) => [
      server.name,
      server.port,
      server.direct,
      verdict,
      share.fails + share.works,
    ]),
    [
      ['cart', 80, false, 'fails', 1],
      ['cart-2', 8080, true, 'works', 1],
    ],
  )
})

test('policies that may not be read make unknown what depends on them, and only that', async () => {
  const report = await check(kubeOf(cluster({destinationrules: []}), ['peerauthentications']))
  assert.deepEqual(
    report.items.map(({client, verdict, cells}) => [
      client.workloads[0],
      verdict,
      cells.map(({reason}) => reason),
    ]),
    [
      ['deployment/job', 'unknown', ['PolicyUnreadable', 'Direct']],
      ['deployment/web', 'unknown', ['PolicyUnreadable', 'PolicyUnreadable']],
    ],
  )
  assert.deepEqual(
    report.warnings.map(({code}) => code),
    ['PolicyUnreadable', 'NoEndpoints'],
  )
})

test('an Istio that serves its kinds as v1beta1 only: its policies count', async () => {
  const strict = {metadata: {namespace: 'istio-system', name: 'all'}, spec: {mtls: {mode: 'STRICT'}}}
  const kube = kubeOf(cluster({peerauthentications: [strict]}))
  const asked: string[] = []
  const old: Kube = {
    ...kube,
    list: async (path, options) => {
      if (path.group.endsWith('.istio.io')) asked.push(`${path.resource} ${path.version}`)
      if (path.group.endsWith('.istio.io') && path.version === 'v1')
        throw new KubeStatusError(404, 'NotFound', 'the server could not find the resource')
      return kube.list(path, options)
    },
  }
  const report = await check(old, {client: parseSubject('job-1', 'front')})
  assert.deepEqual(
    [report.items[0]?.verdict, report.items[0]?.cells[0]?.mtls?.policy],
    ['depends', 'istio-system/all'],
  )
  assert.deepEqual(asked.toSorted(), [
    'destinationrules v1',
    'destinationrules v1beta1',
    'peerauthentications v1',
    'peerauthentications v1beta1',
  ])
})

test('settings of the mesh are read', async () => {
  const mesh = {metadata: {name: 'istio'}, data: {mesh: 'rootNamespace: mesh-root\nenableAutoMtls: true\n'}}
  const strict = {metadata: {namespace: 'mesh-root', name: 'all'}, spec: {mtls: {mode: 'STRICT'}}}
  const report = await check(kubeOf(cluster({configmaps: [mesh], peerauthentications: [strict]})), {
    client: parseSubject('job-1', 'front'),
  })
  const [item] = report.items
  assert.deepEqual(
    [item?.verdict, item?.cells[0]?.reason, item?.cells[0]?.mtls?.policy],
    ['depends', 'StrictRefusesPlainText', 'mesh-root/all'],
  )
})

test('defaults are said to be taken where namespaces ask for a revision of Istio', async () => {
  const objects = cluster({configmaps: []})
  const revised = {metadata: {name: 'back', labels: {'istio.io/rev': '1-24'}}}
  const codes = async (namespaces: readonly KubeObject[]): Promise<string[]> =>
    (await check(kubeOf({...objects, namespaces}))).warnings.map(({code}) => code)
  assert.deepEqual(await codes(objects['namespaces'] ?? []), ['NoEndpoints'])
  assert.deepEqual(await codes([...(objects['namespaces'] ?? []), revised]), ['MeshDefaults', 'NoEndpoints'])
})

test('settings of the mesh that may not be read, or are no YAML, are not taken for the defaults', async () => {
  const broken = {metadata: {name: 'istio'}, data: {mesh: 'a: [1'}}
  for (const kube of [
    kubeOf(cluster({configmaps: []}), ['configmaps']),
    kubeOf(cluster({configmaps: [broken]})),
  ]) {
    const report = await check(kube, {client: parseSubject('job-1', 'front')})
    assert.deepEqual(
      report.items.map(({verdict, cells}) => [verdict, cells[0]?.reason]),
      [['unknown', 'PolicyUnreadable']],
    )
    assert.deepEqual(report.warnings.filter(({code}) => code === 'PolicyUnreadable').length, 1)
  }
})

test('a daemon that does not answer makes its pods unknown', async () => {
  const report = await check(kubeOf(cluster()), {}, {n1: {fails: true}})
  assert.deepEqual(
    report.items.map(({verdict}) => verdict),
    ['unknown', 'unknown'],
  )
  assert.deepEqual(
    report.errors.map(({node, exitCode}) => [node, exitCode]),
    [['n1', 0]],
  )
})

test('who is not there is named', async () => {
  await assert.rejects(check(kubeOf(cluster()), {client: parseSubject('gone', 'front')}), {
    code: 'NotFound',
    message: 'client: pod front/gone has no running pod',
  })
  await assert.rejects(check(kubeOf(cluster()), {server: parseSubject('shop/svc/gone', 'front')}), {
    code: 'NotFound',
  })
})

const SUBJECTS: readonly (readonly [string, string, string, string])[] = [
  ['web-1', 'pod', 'front', 'web-1'],
  ['po/web-1', 'pod', 'front', 'web-1'],
  ['shop/pod/web-1', 'pod', 'shop', 'web-1'],
  ['deploy/web', 'workload', 'front', 'deployment/web'],
  ['shop/sts/db', 'workload', 'shop', 'statefulset/db'],
  ['svc/cart', 'service', 'front', 'cart'],
  ['ns/shop', 'namespace', 'shop', ''],
]
for (const [text, kind, namespace, name] of SUBJECTS) {
  test(`subject ${text}`, () => assert.deepEqual(parseSubject(text, 'front'), {kind, namespace, name}))
}
for (const text of ['', 'a/b', 'shop/x/y', '/pod/x', 'a/pod/b/c', 'pod/']) {
  test(`no subject: '${text}'`, () => assert.throws(() => parseSubject(text, 'front'), {exitCode: 2}))
}
test('CAPTURED is no proof where the daemon tells otherwise', async () => {
  const annotated = pods.map((pod) =>
    pod.metadata.name === 'cart-1'
      ? {...pod, metadata: {...pod.metadata, annotations: {...SIDECAR, ...CAPTURED}}}
      : pod,
  )
  const report = await check(kubeOf(cluster({pods: annotated})), {client: parseSubject('web-1', 'front')})
  assert.deepEqual(
    report.items.map(({verdict}) => verdict),
    ['depends'],
  )
})
