// SPDX-License-Identifier: Apache-2.0
// Goal: injection adds what Istio's webhook adds and touches nothing else. Method: manifests by hand, read back.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {parse, parseAllDocuments} from 'yaml'
import {injectText} from '../../../src/lib/sandbox/sidecar/inject-yaml.ts'

const OPTIONS = {
  native: false,
  dualStack: false,
  tproxy: false,
  revision: 'default',
  iptables: 'nft',
} as const
const inject = (text: string, more: object = {}) => injectText(text, 'x.yaml', {...OPTIONS, ...more})
// biome-ignore lint/suspicious/noExplicitAny: read as loosely as a script reads it
const read = (text: string): any => parse(text)

const DEPLOYMENT = `# shop
apiVersion: apps/v1
kind: Deployment
metadata: {name: server, namespace: shop}
spec:
  template:
    metadata:
      labels: {app: web, version: v2} # two
    spec:
      initContainers:
      - {name: first, image: busybox}
      containers:
      - name: echo
        image: sandbox/echo
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {httpGet: {path: /ready, port: http}, timeoutSeconds: 2}
        livenessProbe: {tcpSocket: {port: 9090}}
`

test('labels, annotations and containers of a classic sidecar', () => {
  const {text, outcomes} = inject(DEPLOYMENT)
  assert.deepEqual(outcomes, [{name: 'Deployment shop/server', refusal: undefined}])
  const {metadata, spec} = read(text).spec.template
  assert.deepEqual(metadata.labels, {
    app: 'web',
    version: 'v2',
    'security.istio.io/tlsMode': 'istio',
    'service.istio.io/canonical-name': 'web',
    'service.istio.io/canonical-revision': 'v2',
  })
  assert.equal(metadata.annotations['istio.io/rev'], 'default')
  assert.equal(metadata.annotations['kubectl.kubernetes.io/default-container'], 'echo')
  const status = JSON.parse(metadata.annotations['sidecar.istio.io/status'])
  assert.deepEqual(Object.keys(status), [
    'initContainers',
    'containers',
    'volumes',
    'imagePullSecrets',
    'revision',
  ])
  assert.deepEqual([status.initContainers, status.containers], [['istio-init'], ['istio-proxy']])
  const names = (list: {name: string}[]) => list.map(({name}) => name)
  assert.deepEqual(names(spec.initContainers), ['istio-init', 'first'])
  assert.deepEqual(names(spec.containers), ['echo', 'istio-proxy'])
  assert.equal(spec.containers[1].securityContext.runAsUser, 1337)
  assert.equal(spec.containers[1].securityContext.runAsGroup, 1337)
  assert.deepEqual(spec.initContainers[0].args.slice(0, 9), [
    'istio-iptables',
    '-p',
    '15001',
    '-z',
    '15006',
    '-u',
    '1337',
    '-m',
    'REDIRECT',
  ])
})

test('a native sidecar stands behind istio-init and is always restarted', () => {
  const {spec, metadata} = read(inject(DEPLOYMENT, {native: true}).text).spec.template
  assert.deepEqual(
    spec.initContainers.map(({name, restartPolicy}: {name: string; restartPolicy?: string}) => [
      name,
      restartPolicy,
    ]),
    [
      ['istio-init', undefined],
      ['istio-proxy', 'Always'],
      ['first', undefined],
    ],
  )
  assert.equal(spec.containers.length, 1)
  assert.equal(JSON.parse(metadata.annotations['sidecar.istio.io/status']).containers, null)
})

test('probes of the application ask the proxy, which knows what to ask', () => {
  const {spec} = read(inject(DEPLOYMENT).text).spec.template
  const [echo, proxy] = spec.containers
  assert.deepEqual(echo.readinessProbe, {
    httpGet: {path: '/app-health/echo/readyz', port: 15020},
    timeoutSeconds: 2,
  })
  assert.deepEqual(echo.livenessProbe, {httpGet: {path: '/app-health/echo/livez', port: 15020}})
  const {value} = proxy.env.find(({name}: {name: string}) => name === 'ISTIO_KUBE_APP_PROBERS')
  assert.deepEqual(JSON.parse(value), {
    '/app-health/echo/readyz': {httpGet: {path: '/ready', port: 8080}, timeoutSeconds: 2},
    '/app-health/echo/livez': {tcpSocket: {port: 9090}},
  })
})

test('options and annotations become arguments', () => {
  const text = DEPLOYMENT.replace(
    '      labels:',
    '      annotations: {traffic.sidecar.istio.io/excludeInboundPorts: "9090", traffic.sidecar.istio.io/excludeOutboundIPRanges: 10.0.0.0/8}\n      labels:',
  )
  const [init] = read(inject(text, {tproxy: true, dualStack: true, iptables: 'legacy'}).text).spec.template
    .spec.initContainers
  assert.equal(init.args.at(init.args.indexOf('-m') + 1), 'TPROXY')
  assert.equal(init.args.at(init.args.indexOf('-d') + 1), '15090,15021,15020,9090')
  assert.equal(init.args.at(init.args.indexOf('-x') + 1), '10.0.0.0/8')
  assert.deepEqual(init.env, [
    {name: 'ISTIO_DUAL_STACK', value: 'true'},
    {name: 'FORCE_IPTABLES_BINARY', value: 'legacy'},
  ])
})

const pod = (metadata: string, spec = 'containers: [{name: a}]') =>
  `apiVersion: v1\nkind: Pod\nmetadata: {name: p, ${metadata}}\nspec: {${spec}}\n`

for (const [what, text, why] of [
  [
    'a label that says false',
    pod("labels: {sidecar.istio.io/inject: 'false'}"),
    'sidecar.istio.io/inject: false',
  ],
  [
    'an annotation that says false',
    pod("annotations: {sidecar.istio.io/inject: 'false'}"),
    'sidecar.istio.io/inject: false',
  ],
  [
    'a label hides the annotation',
    pod("labels: {sidecar.istio.io/inject: ''}, annotations: {sidecar.istio.io/inject: 'false'}"),
    undefined,
  ],
  ['any other value is none', pod("labels: {sidecar.istio.io/inject: 'no'}"), undefined],
  ['host network', pod('labels: {}', 'hostNetwork: true, containers: [{name: a}]'), 'hostNetwork'],
  ['a system namespace', pod('namespace: kube-system'), 'namespace kube-system'],
  ["istio's own namespace is none of them", pod('namespace: istio-system'), undefined],
  ['a pod that has one', pod("annotations: {sidecar.istio.io/status: '{}'}"), 'it has a sidecar'],
] as const) {
  test(`opting out: ${what}`, () => {
    const result = inject(text)
    assert.equal(result.outcomes[0]?.refusal, why)
    if (why === undefined) assert.match(result.text, /istio-proxy/)
    else assert.equal(result.text, text, 'not a byte is changed')
  })
}

test('what has no pod stays as it is, comments and all', () => {
  const service = '# front\napiVersion: v1\nkind: Service\nmetadata: {name: s} # here\n'
  assert.equal(inject(service).text, service)
  const both = inject(`${service}---\n${DEPLOYMENT}`).text
  assert.ok(both.startsWith(`${service}---\n`), both.slice(0, 200))
  for (const line of DEPLOYMENT.split('\n').filter((one) => !/Probe|version: v2/.test(one))) {
    assert.ok(both.includes(line), line)
  }
  assert.doesNotMatch(both, /&a\d/)
})

test('lists are looked into, and null metadata is filled', () => {
  const text =
    'apiVersion: v1\nkind: List\nitems:\n- kind: Pod\n  metadata: {name: a, labels: , annotations: }\n  spec: {containers: [{name: a}]}\n'
  const [item] = read(inject(text).text).items
  assert.equal(item.metadata.labels['security.istio.io/tlsMode'], 'istio')
  assert.equal(item.spec.containers[1].name, 'istio-proxy')
})

test('an injected text is not injected again', () => {
  const once = inject(DEPLOYMENT).text
  assert.equal(inject(once).text, once)
  assert.equal(parseAllDocuments(once).length, 1)
})

test('broken YAML is refused', () => {
  assert.throws(() => inject('a: ['), /x\.yaml: /)
})
