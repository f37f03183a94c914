// SPDX-License-Identifier: Apache-2.0
// Goal: what the maps should hold for a service or a pod, by contracts section 8 and design section 4.
// Method: small objects in, expected entries by hand.
import assert from 'node:assert/strict'
import {describe, test} from 'node:test'
import {desiredPod, desiredService, type KnownPod} from '../../src/lib/agent/desired.ts'
import type {EndpointSlice, Pod, Service} from '../../src/lib/model/kube.ts'
import {pod, service, slice} from './fakes.ts'

const SETTINGS = {clusterDomain: 'cluster.local', unknownPodFamily: 4} as const

function desired(object: Service, slices: readonly EndpointSlice[], pods: readonly Pod[] = []) {
  const known = new Map(
    pods.map((one): [string, KnownPod] => [
      `${one.metadata.namespace}/${one.metadata.name}`,
      {uid: one.metadata.uid, backends: desiredPod(one)},
    ]),
  )
  return desiredService(object, slices, (key) => known.get(key), SETTINGS)
}

function namesOf(result: ReturnType<typeof desired>): string[][] {
  return result.families.map((family) =>
    family.endpoints.map((endpoint) => `${endpoint.name} ${endpoint.address}`),
  )
}

describe('pods', () => {
  test('the first address has the plain name, the other family its own', () => {
    assert.deepEqual(desiredPod(pod('shop/web', ['fd00::7', '10.0.0.7'])), [
      {name: 'Kubernetes//Pod/shop/web', address: 'fd00::7', family: 6, frontend: true},
      {name: 'Kubernetes//Pod/shop/web#ipv4', address: '10.0.0.7', family: 4, frontend: true},
    ])
  })

  test('host-network pods lead no address to themselves', () => {
    assert.equal(
      desiredPod(pod('kube-system/p', ['192.0.2.1'], {spec: {hostNetwork: true}}))[0]?.frontend,
      false,
    )
  })

  test('finished pods and pods without address hold nothing', () => {
    assert.deepEqual(desiredPod(pod('shop/job', ['10.0.0.9'], {phase: 'Succeeded'})), [])
    assert.deepEqual(desiredPod(pod('shop/new', [])), [])
  })

  test('a text that is no address is left out', () => {
    assert.deepEqual(
      desiredPod(pod('shop/odd', ['not-an-ip', '10.0.0.1'])).map((one) => one.address),
      ['10.0.0.1'],
    )
  })
})

describe('services', () => {
  test('one family: name, address, ports from the slice, ready endpoints only', () => {
    const web = service('shop/web', ['10.96.0.1'], [{port: 80, targetPort: 'http', name: 'http'}])
    const ready = slice(
      'shop/web-a',
      'web',
      ['web-1=10.0.0.1', '!web-2=10.0.0.2'],
      [{name: 'http', port: 8081}],
    )
    assert.deepEqual(desired(web, [ready], [pod('shop/web-1', ['10.0.0.1'])]), {
      families: [
        {
          name: 'shop/web.shop.svc.cluster.local',
          family: 4,
          vips: ['10.96.0.1'],
          ports: [{servicePort: 80, targetPort: 8081}],
          endpoints: [{name: 'Kubernetes//Pod/shop/web-1', address: '10.0.0.1', family: 4, frontend: true}],
        },
      ],
      warnings: [],
    })
  })

  test('two families: addresses and endpoints of one family never meet the other', () => {
    const web = service('shop/web', ['10.96.0.1', 'fd00::1'])
    const pods = [pod('shop/web-1', ['10.0.0.1', 'fd01::1'])]
    const slices = [
      slice('shop/a', 'web', ['web-1=10.0.0.1']),
      slice('shop/b', 'web', ['web-1=fd01::1'], [{port: 8080}], 'IPv6'),
    ]
    const result = desired(web, slices, pods)
    assert.deepEqual(
      result.families.map(({name, vips}) => [name, ...vips]),
      [
        ['shop/web.shop.svc.cluster.local', '10.96.0.1'],
        ['shop/web.shop.svc.cluster.local#ipv6', 'fd00::1'],
      ],
    )
    assert.deepEqual(namesOf(result), [
      ['Kubernetes//Pod/shop/web-1 10.0.0.1'],
      ['Kubernetes//Pod/shop/web-1#ipv6 fd01::1'],
    ])
  })

  test("the primary family of a service is its own, that of a pod the pod's", () => {
    const web = service('shop/web', ['fd00::1'], [{port: 80}], {ipFamilies: ['IPv6']})
    const slices = [slice('shop/b', 'web', ['web-1=fd01::1'], [{port: 8080}], 'IPv6')]
    const result = desired(web, slices, [pod('shop/web-1', ['10.0.0.1', 'fd01::1'])])
    assert.equal(result.families[0]?.name, 'shop/web.shop.svc.cluster.local')
    assert.deepEqual(namesOf(result), [['Kubernetes//Pod/shop/web-1#ipv6 fd01::1']])
  })

  test('headless: endpoints but no address; ExternalName: nothing', () => {
    const headless = desired(service('shop/db', ['None']), [slice('shop/a', 'db', ['db-0=10.0.0.3'])])
    assert.deepEqual(headless.families[0]?.vips, [])
    assert.deepEqual(namesOf(headless), [['Kubernetes//Pod/shop/db-0 10.0.0.3']])
    assert.deepEqual(desired(service('shop/x', [], [], {type: 'ExternalName'}), []).families, [])
  })

  test('endpoints without a pod have a name by service and address', () => {
    const result = desired(service('shop/ext', ['10.96.0.9']), [slice('shop/a', 'ext', ['203.0.113.5'])])
    assert.deepEqual(namesOf(result), [
      ['Kubernetes/discovery.k8s.io/EndpointSlice/shop/ext/203.0.113.5 203.0.113.5'],
    ])
  })

  test('terminating endpoints are out, of unknown readiness in', () => {
    const one = slice('shop/a', 'web', ['a=10.0.0.1', 'b=10.0.0.2'])
    const endpoints = [
      {...one.endpoints![0]!, conditions: {ready: true, terminating: true}},
      {...one.endpoints![1]!, conditions: {}},
    ]
    assert.deepEqual(namesOf(desired(service('shop/web', ['10.96.0.1']), [{...one, endpoints}])), [
      ['Kubernetes//Pod/shop/b 10.0.0.2'],
    ])
  })

  test('a slice that still speaks of the pod before is not believed', () => {
    const fresh = pod('shop/db-0', ['10.0.0.8'], {uid: 'uid-second'})
    const result = desired(
      service('shop/db', ['10.96.0.1']),
      [slice('shop/a', 'db', ['db-0=10.0.0.3'])],
      [fresh],
    )
    assert.deepEqual(namesOf(result), [[]])
  })

  test('only TCP, and ten ports', () => {
    const ports = Array.from({length: 12}, (_, index) => ({
      port: 100 + index,
      targetPort: 200 + index,
      name: `p${index}`,
    }))
    const result = desired(
      service('shop/many', ['10.96.0.1'], [{port: 53, protocol: 'UDP', name: 'dns'}, ...ports]),
      [],
    )
    assert.deepEqual(
      result.families[0]?.ports.map((pair) => pair.servicePort),
      [100, 101, 102, 103, 104, 105, 106, 107, 108, 109],
    )
    assert.deepEqual(result.warnings, ['has 12 TCP ports, the first 10 are used, not 110, 111'])
  })

  test('slices that disagree on the target port: most endpoints win, the others are left out and named', () => {
    const web = service('shop/web', ['10.96.0.1'], [{port: 80, targetPort: 'http', name: 'http'}])
    const result = desired(web, [
      slice('shop/a', 'web', ['a=10.0.0.1'], [{name: 'http', port: 9000}]),
      slice('shop/b', 'web', ['b=10.0.0.2', 'c=10.0.0.3'], [{name: 'http', port: 8000}]),
    ])
    assert.deepEqual(result.families[0]?.ports, [{servicePort: 80, targetPort: 8000}])
    assert.deepEqual(namesOf(result), [
      ['Kubernetes//Pod/shop/b 10.0.0.2', 'Kubernetes//Pod/shop/c 10.0.0.3'],
    ])
    assert.deepEqual(result.warnings, [
      'has IPv4 endpoints with different target ports (8000 / 9000): the first are used, 1 endpoints are not',
    ])
  })

  test('without endpoints the target port is the number of the spec, else the port', () => {
    const web = service(
      'shop/web',
      ['10.96.0.1'],
      [
        {port: 80, targetPort: 8080, name: 'a'},
        {port: 81, targetPort: 'x', name: 'b'},
      ],
    )
    assert.deepEqual(desired(web, []).families[0]?.ports, [
      {servicePort: 80, targetPort: 8080},
      {servicePort: 81, targetPort: 81},
    ])
  })
})
