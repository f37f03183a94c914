// SPDX-License-Identifier: Apache-2.0
// Goal: the rules that a client meets that eBPF does not redirect: random endpoint, own source address, a pod
// that reaches itself, refusal without endpoints, endings; and that they follow changes.
// Method: the text by hand; then the same on real namespaces with the echo program behind.
import assert from 'node:assert/strict'
import {after, before, suite, test} from 'node:test'
import type {Endpoint, EndpointSlice, Service} from '../../../src/lib/model/kube.ts'
import type {InformerHandler, Informers} from '../../../src/lib/ports.ts'
import {type Kubelet, startKubelet} from '../../../src/lib/sandbox/nodes/kubelet.ts'
import {type ServiceProxy, startServiceProxy} from '../../../src/lib/sandbox/nodes/service-proxy.ts'
import {serviceRules} from '../../../src/lib/sandbox/nodes/service-rules.ts'
import {ECHO, eventually, type Ground, layNodes, QUIET} from './node-fixture.ts'

const READY = {ready: true, serving: true, terminating: false}
const ENDING = {ready: false, serving: true, terminating: true}
const STARTING = {ready: false, serving: false, terminating: false}

function service(clusterIPs: readonly string[]): Service {
  const ports = [{name: 'http', port: 80, targetPort: 8080, protocol: 'TCP'}]
  return {metadata: {namespace: 'shop', name: 'web'}, spec: {clusterIPs, ports}}
}

function slice(addressType: 'IPv4' | 'IPv6', endpoints: readonly Endpoint[]): EndpointSlice {
  return {
    metadata: {namespace: 'shop', name: `web-${addressType}`, labels: {'kubernetes.io/service-name': 'web'}},
    addressType,
    endpoints,
    ports: [{name: 'http', port: 8080, protocol: 'TCP'}],
  }
}

const input = {family: 'IPv4' as const, serviceCidr: '10.200.0.0/16', nodeAddress: '172.20.0.1'}

test('one rule for each ready endpoint, each with its share of what is left', () => {
  const endpoints = [
    {addresses: ['10.130.1.2'], conditions: READY},
    {addresses: ['10.130.2.2'], conditions: READY},
    {addresses: ['10.130.2.3'], conditions: STARTING},
    {addresses: ['10.130.2.4'], conditions: ENDING},
  ]
  const text = serviceRules({
    ...input,
    services: [service(['10.200.0.5', 'fd00::5'])],
    slices: [slice('IPv4', endpoints)],
  })
  assert.equal(
    text,
    `*nat
:KMX-SERVICES - [0:0]
:KMX-HAIRPIN - [0:0]
-A KMX-SERVICES -d 10.200.0.5 -p tcp -m tcp --dport 80 -m statistic --mode random --probability 0.5000000000 -j DNAT --to-destination 10.130.1.2:8080
-A KMX-SERVICES -d 10.200.0.5 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.130.2.2:8080
-A KMX-HAIRPIN -s 10.130.1.2/32 -d 10.130.1.2/32 -j SNAT --to-source 172.20.0.1
-A KMX-HAIRPIN -s 10.130.2.2/32 -d 10.130.2.2/32 -j SNAT --to-source 172.20.0.1
COMMIT
`,
  )
})

test('without a ready endpoint those that end but still serve take the connections', () => {
  const endpoints = [
    {addresses: ['10.130.2.3'], conditions: STARTING},
    {addresses: ['10.130.2.4'], conditions: ENDING},
  ]
  const text = serviceRules({
    ...input,
    services: [service(['10.200.0.5'])],
    slices: [slice('IPv4', endpoints)],
  })
  assert.match(text, /--dport 80 -j DNAT --to-destination 10\.130\.2\.4:8080\n/)
  assert.doesNotMatch(text, /10\.130\.2\.3/)
})

test('what is no address of the family makes no rule', () => {
  const hostile = '10.130.1.2 -j ACCEPT\n-A INPUT -j DROP'
  const text = serviceRules({
    ...input,
    services: [service([hostile]), service(['None']), service(['fd00::5']), service(['10.200.0.6'])],
    slices: [slice('IPv4', [{addresses: [hostile], conditions: READY}])],
  })
  assert.equal(text, '*nat\n:KMX-SERVICES - [0:0]\n:KMX-HAIRPIN - [0:0]\nCOMMIT\n')
})

test('an IPv6 endpoint stands in brackets', () => {
  const text = serviceRules({
    ...input,
    family: 'IPv6',
    nodeAddress: 'fd00::1',
    services: [service(['10.200.0.5', 'fd00:1::5'])],
    slices: [slice('IPv6', [{addresses: ['fd00:2::2'], conditions: READY}])],
  })
  assert.match(text, /-d fd00:1::5 .*--to-destination \[fd00:2::2\]:8080/)
  assert.match(text, /-s fd00:2::2\/128 -d fd00:2::2\/128 -j SNAT --to-source fd00::1/)
})

/** Services and slices that the test sets. */
class FakeLists {
  readonly #values = new Map<string, readonly unknown[]>()
  readonly #handlers: InformerHandler<never>[] = []
  readonly informers = {
    start: (path: {resource: string}, options: {handler: InformerHandler<never>}) => {
      this.#handlers.push(options.handler)
      const values = () => (this.#values.get(path.resource) ?? []).values()
      return {synced: true, problem: undefined, get: () => undefined, values, close: () => {}}
    },
  } as unknown as Informers

  set(resource: 'services' | 'endpointslices', objects: readonly unknown[]): void {
    this.#values.set(resource, objects)
    for (const handler of this.#handlers) handler.onChange({} as never, undefined)
  }
}

suite('service rules in the kernel', () => {
  let ground: Ground
  let proxy: ServiceProxy
  const kubelets: Kubelet[] = []
  const lists = new FakeLists()
  const names = ['web-1', 'web-2'] as const

  before(async () => {
    ground = await layNodes('rules')
    const [first, second] = ground.nodes
    // One API for both: each node starts the pods that are created while it listens.
    for (const [index, node] of [first!, second!].entries()) {
      kubelets.push(startKubelet(node, ground.api.informers))
      ground.api.create(names[index]!, {
        containers: [
          {name: 'main', image: 'sandbox/echo', readinessProbe: {httpGet: {port: 8080}, periodSeconds: 1}},
        ],
      })
    }
    proxy = await startServiceProxy({
      nodes: ground.nodes,
      plan: first!.plan,
      informers: lists.informers,
      commands: first!.commands,
      clock: first!.clock,
      log: QUIET,
    })
    // Without br_netfilter, which is on by default in a new namespace where the module is loaded.
    for (const namespace of [
      first!.namespacePath,
      second!.namespacePath,
      first!.namespacePath.replace('node-1', 'fabric'),
    ]) {
      const key = '/proc/sys/net/bridge/bridge-nf-call-iptables'
      await ground.runIn(namespace, 'sh', '-c', `[ ! -e ${key} ] || echo 0 > ${key}`)
    }
    await eventually('both pods are Ready', () =>
      names.every((name) => ground.api.condition(name, 'Ready') === 'True'),
    )
    lists.set('services', [service(clusterIPs())])
  })
  after(async () => {
    proxy.close()
    await ground.down()
  })

  const clusterIPs = (): string[] =>
    ground.nodes[0]!.plan.serviceCidrs.map((cidr) =>
      cidr.replace(/0\.0\/16|:\/112/, (end) => (end.startsWith(':') ? ':5' : '0.5')),
    )
  const podAddress = (name: string, isV6: boolean): string =>
    ground.api.status(name).podIPs?.find(({ip}) => ip.includes(':') === isV6)?.ip ?? ''
  const setEndpoints = (conditions: Readonly<Record<string, Endpoint['conditions']>>): void =>
    lists.set(
      'endpointslices',
      [false, true].map((isV6) =>
        slice(
          isV6 ? 'IPv6' : 'IPv4',
          Object.entries(conditions).map(([name, state]) => ({
            addresses: [podAddress(name, isV6)],
            ...(state === undefined ? {} : {conditions: state}),
          })),
        ),
      ),
    )
  // biome-ignore lint/suspicious/noExplicitAny: what the echo client prints
  const ask = async (from: number, address: string, ...options: string[]): Promise<any> => {
    const inside = kubelets[from]!.pod('shop', names[from]!)!.namespacePath
    const script = [process.execPath, ECHO, 'connect', address, '80', ...options]
    return JSON.parse(await ground.runIn(inside, 'sh', '-c', '"$@" || true', 'sh', ...script))
  }
  const settle = (): Promise<void> => ground.nodes[0]!.clock.sleep(200)

  for (const [index, family] of ['IPv4', 'IPv6'].entries()) {
    test(`${family}: every endpoint is reached, the peer is the service, the source the client's own`, async () => {
      setEndpoints({'web-1': READY, 'web-2': READY})
      await settle()
      const address = clusterIPs()[index] ?? ''
      const sums = await ask(0, address, '--count', '30', '--quiet')
      assert.equal(sums.errors, 0, JSON.stringify(sums.messages))
      assert.deepEqual(Object.keys(sums.pods).sort(), ['web-1', 'web-2'])
      assert.deepEqual(sums.peers, {[`${address} 80`]: 30})
      setEndpoints({'web-2': READY})
      await settle()
      const one = await ask(0, address)
      assert.deepEqual([one.pod, one.seenAs], ['web-2', podAddress('web-1', index === 1)])
    })

    test(`${family}: a pod reaches itself through its service`, async () => {
      setEndpoints({'web-1': READY})
      await settle()
      const one = await ask(0, clusterIPs()[index] ?? '')
      assert.deepEqual([one.pod, one.error], ['web-1', undefined])
    })

    test(`${family}: without endpoints a connection is refused at once`, async () => {
      setEndpoints({'web-1': STARTING})
      await settle()
      const started = performance.now()
      assert.match((await ask(0, clusterIPs()[index] ?? '')).error, /ECONNREFUSED/)
      assert.ok(performance.now() - started < 2000)
    })

    test(`${family}: the node itself is a client too`, async () => {
      setEndpoints({'web-2': READY})
      await settle()
      const node = ground.nodes[0]!
      const address = clusterIPs()[index] ?? ''
      const one = JSON.parse(
        await ground.runIn(node.namespacePath, process.execPath, ECHO, 'connect', address, '80'),
      )
      assert.deepEqual([one.pod, one.seenAs], ['web-2', node.addresses[index]?.address])
    })
  }
})
