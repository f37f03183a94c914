// SPDX-License-Identifier: Apache-2.0
// Goal: the init container's rules are Istio's, and real connections go through both stand-in sidecars over both families.
// Method: pods on a real sandbox node; configurations are written by hand in place of the control plane's.
import assert from 'node:assert/strict'
import {readFileSync} from 'node:fs'
import {join} from 'node:path'
import {after, before, suite, test} from 'node:test'
import type {Container} from '../../../src/lib/model/kube.ts'
import {type Kubelet, startKubelet} from '../../../src/lib/sandbox/nodes/kubelet.ts'
import {type Authority, createAuthority} from '../../../src/lib/sandbox/pki.ts'
import type {SidecarConfig, SidecarService} from '../../../src/lib/sandbox/sidecar/config.ts'
import {openWay, sidecarConfigFile, writeConfig} from '../../../src/lib/sandbox/sidecar/config-files.ts'
import type {ConnectionLine} from '../../../src/lib/sandbox/sidecar/connection-log.ts'
import {ECHO, eventually, type Ground, layNodes} from '../nodes/node-fixture.ts'

const SIDECAR = join(import.meta.dirname, '../../../src/lib/sandbox/sidecar/main.ts')
const ARGS = [
  'istio-iptables',
  '-p',
  '15001',
  '-z',
  '15006',
  '-u',
  '1337',
  '-m',
  'REDIRECT',
  '-i',
  '*',
  '-x',
  '',
  '-b',
  '*',
  '-d',
  '15090,15021,15020',
]
const DUAL = [{name: 'ISTIO_DUAL_STACK', value: 'true'}]
const IMAGE = 'docker.io/istio/proxyv2:1.28.0'
const ECHO_CONTAINER: Container = {name: 'echo', image: 'sandbox/echo'}
const SLEEP: Container = {name: 'main', command: ['sleep', '600']}

function init(args: readonly string[] = ARGS, env = DUAL): Container {
  return {name: 'istio-init', image: IMAGE, args, env, securityContext: {runAsUser: 0, runAsGroup: 0}}
}

const PROXY: Container = {
  name: 'istio-proxy',
  image: IMAGE,
  args: ['proxy', 'sidecar'],
  securityContext: {runAsUser: 1337, runAsGroup: 1337},
  readinessProbe: {httpGet: {path: '/healthz/ready', port: 15_021}, periodSeconds: 1},
}

suite('redirection of sidecars', () => {
  let ground: Ground
  let kubelet: Kubelet
  let authority: Authority
  before(async () => {
    ground = await layNodes('sidecar')
    const node = {...ground.nodes[0]!, sidecarProgram: [process.execPath, SIDECAR]}
    kubelet = startKubelet(node, ground.api.informers)
    openWay(node.paths)
    authority = await createAuthority('cluster.local', Date.now())
  })
  after(() => ground.down())

  const worker = (pod: string) => kubelet.pod('shop', pod)!
  const addressOf = (pod: string, family: string): string =>
    worker(pod).facts.addresses.find((one) => one.family === family)?.address ?? ''
  const rules = async (pod: string, program: string, table = 'nat'): Promise<string[]> =>
    (await ground.runIn(worker(pod).namespacePath, program, '-t', table))
      .split('\n')
      .filter((line) => line.startsWith('-A'))
  const isReady = (pod: string) => () => ground.api.condition(pod, 'Ready') === 'True'
  const lines = (pod: string): ConnectionLine[] =>
    readFileSync(worker(pod).outputFile('istio-proxy') ?? '', 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as ConnectionLine)
  const connect = (pod: string, host: string, port: number): Promise<string> =>
    ground
      .runIn(worker(pod).namespacePath, process.execPath, ECHO, 'connect', host, String(port))
      .catch((error: {output?: string; stdout?: string; message: string}) => `failed ${error.message}`)

  /** By hand, what the control plane would write. */
  async function configure(pod: string, more: Partial<SidecarConfig>): Promise<void> {
    const identity = `spiffe://cluster.local/ns/shop/sa/${pod}`
    writeConfig(sidecarConfigFile(ground.nodes[0]!.paths, worker(pod).facts.uid), {
      identity,
      ...(await authority.issueWorkload(identity)),
      authorityPem: authority.certificatePem,
      receive: {mode: 'PERMISSIVE', ports: {}},
      services: [],
      ...more,
    })
  }

  function service(send: 'mtls' | 'none', addresses: readonly string[]): SidecarService {
    return {
      name: 'srv',
      namespace: 'shop',
      port: 80,
      headless: false,
      addresses,
      sni: 'srv',
      insecureSkipVerify: false,
      endpoints: ['IPv4', 'IPv6'].map((family) => ({
        address: addressOf('server', family),
        port: 8080,
        send,
        peers: send === 'mtls' ? ['spiffe://cluster.local/ns/shop/sa/server'] : [],
      })),
    }
  }

  test("the rules of a dual-stack pod are Istio's, in their order", async () => {
    ground.api.create('server', {initContainers: [init()], containers: [ECHO_CONTAINER, PROXY]})
    ground.api.create('client', {
      initContainers: [init(), {...PROXY, restartPolicy: 'Always', startupProbe: PROXY.readinessProbe!}],
      containers: [SLEEP],
    })
    for (const pod of ['server', 'client']) {
      await eventually(
        'it has rules',
        () => ground.api.status(pod).initContainerStatuses?.[0]?.state?.terminated?.exitCode === 0,
      )
    }
    const expected = (loopback: string, source: string) => [
      '-A PREROUTING -p tcp -j ISTIO_INBOUND',
      '-A OUTPUT -j ISTIO_OUTPUT',
      ...[15008, 15090, 15021, 15020].map(
        (port) => `-A ISTIO_INBOUND -p tcp -m tcp --dport ${port} -j RETURN`,
      ),
      '-A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT',
      '-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006',
      `-A ISTIO_OUTPUT -s ${source} -o lo -j RETURN`,
      `-A ISTIO_OUTPUT ! -d ${loopback} -o lo -p tcp -m tcp ! --dport 15008 -m owner --uid-owner 1337 -j ISTIO_IN_REDIRECT`,
      '-A ISTIO_OUTPUT -o lo -m owner ! --uid-owner 1337 -j RETURN',
      '-A ISTIO_OUTPUT -m owner --uid-owner 1337 -j RETURN',
      `-A ISTIO_OUTPUT ! -d ${loopback} -o lo -p tcp -m tcp ! --dport 15008 -m owner --gid-owner 1337 -j ISTIO_IN_REDIRECT`,
      '-A ISTIO_OUTPUT -o lo -m owner ! --gid-owner 1337 -j RETURN',
      '-A ISTIO_OUTPUT -m owner --gid-owner 1337 -j RETURN',
      `-A ISTIO_OUTPUT -d ${loopback} -j RETURN`,
      '-A ISTIO_OUTPUT -j ISTIO_REDIRECT',
      '-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001',
    ]
    assert.deepEqual(await rules('server', 'iptables-nft-save'), expected('127.0.0.1/32', '127.0.0.6/32'))
    assert.deepEqual(await rules('server', 'ip6tables-nft-save'), expected('::1/128', '::6/128'))
  })

  test('a connection to a service goes through both, over both families', async () => {
    await configure('server', {})
    await configure('client', {services: [service('mtls', ['10.255.0.1', 'fd00:5e::1'])]})
    await eventually('the server is ready', isReady('server'))
    await eventually('the client is ready', isReady('client'))
    for (const [family, address] of [
      ['IPv4', '10.255.0.1'],
      ['IPv6', 'fd00:5e::1'],
    ] as const) {
      const answer = await connect('client', address, 80)
      assert.match(answer, /"pod":"server"/, answer)
      assert.match(answer, family === 'IPv4' ? /"seenAs":"127\.0\.0\.6"/ : /"seenAs":"::6"/)
      await eventually('both wrote', () => lines('client').length > 0 && lines('server').length > 0)
      const [out, received] = [lines('client').at(-1)!, lines('server').at(-1)!]
      assert.deepEqual(
        [out.direction, out.tls, out.peer, out.result],
        ['outbound', 'mtls', 'spiffe://cluster.local/ns/shop/sa/server', 'ok'],
      )
      assert.deepEqual(
        [received.direction, received.tls, received.peer, received.result],
        ['inbound', 'mtls', 'spiffe://cluster.local/ns/shop/sa/client', 'ok'],
      )
      assert.equal(out.service, 'shop/srv:80')
      const server = addressOf('server', family)
      assert.equal(received.destination, family === 'IPv4' ? `${server}:8080` : `[${server}]:8080`)
      assert.equal(out.endpoint, received.destination)
    }
  })

  test('STRICT refuses plain text, PERMISSIVE takes both, DISABLE gives the bytes of TLS to the application', async () => {
    const service4 = (send: 'mtls' | 'none') => ({services: [service(send, ['10.255.0.1'])]})
    for (const [mode, send, works] of [
      ['STRICT', 'none', false],
      ['STRICT', 'mtls', true],
      ['PERMISSIVE', 'none', true],
      ['PERMISSIVE', 'mtls', true],
      ['DISABLE', 'none', true],
      ['DISABLE', 'mtls', false],
    ] as const) {
      const before = lines('client').length
      await configure('server', {receive: {mode, ports: {}}})
      await configure('client', service4(send))
      await new Promise((resolve) => setTimeout(resolve, 100))
      const answer = await connect('client', '10.255.0.1', 80)
      assert.equal(answer.includes('"pod":"server"'), works, `${mode} ${send}: ${answer}`)
      await eventually('the client wrote', () => lines('client').length > before)
      assert.equal(lines('client').at(-1)?.tls, send)
    }
    assert.ok(lines('server').some(({result}) => result === 'refused: plain text, and the mode is STRICT'))
  })

  test('a mode of one port counts for that port alone', async () => {
    await configure('server', {receive: {mode: 'STRICT', ports: {8080: 'PERMISSIVE'}}})
    await configure('client', {})
    await new Promise((resolve) => setTimeout(resolve, 100))
    const address = addressOf('server', 'IPv4')
    assert.match(await connect('client', address, 8080), /"pod":"server"/)
    assert.match(await connect('client', address, 9090), /closed before|ECONNRESET|failed/)
  })

  test('who has a certificate of somebody else is refused', async () => {
    const other = await createAuthority('other', Date.now())
    await configure('server', {receive: {mode: 'STRICT', ports: {}}})
    const identity = 'spiffe://cluster.local/ns/shop/sa/client'
    await configure('client', {
      services: [service('mtls', ['10.255.0.1'])],
      ...(await other.issueWorkload(identity)),
    })
    await new Promise((resolve) => setTimeout(resolve, 100))
    assert.doesNotMatch(await connect('client', '10.255.0.1', 80), /"pod":"server"/)
    await eventually('the server wrote', () =>
      lines('server').some(({result}) => result.startsWith('refused: TLS')),
    )
  })

  test('without dual stack an IPv4 pod has no IPv6 rules; legacy, TPROXY and nftables are really there', async () => {
    for (const [pod, args] of [
      ['single', ARGS],
      ['legacy', [...ARGS, '--force-iptables-binary', 'legacy']],
      ['tproxy', ARGS.map((word) => (word === 'REDIRECT' ? 'TPROXY' : word))],
      ['native', [...ARGS, '--native-nftables']],
    ] as const) {
      ground.api.create(pod, {initContainers: [init(args, [])], containers: [SLEEP]})
      await eventually(
        `${pod} has rules`,
        () => ground.api.status(pod).initContainerStatuses?.[0]?.state?.terminated?.exitCode === 0,
      )
    }
    assert.equal((await rules('single', 'ip6tables-nft-save')).length, 0)
    assert.equal((await rules('single', 'iptables-nft-save')).length, 18)
    assert.equal((await rules('legacy', 'iptables-legacy-save')).length, 18)
    assert.equal((await rules('legacy', 'iptables-nft-save')).length, 0)
    assert.ok(
      (await rules('tproxy', 'iptables-nft-save', 'mangle')).some((line) =>
        line.includes('-j TPROXY --on-port 15006'),
      ),
    )
    assert.match(
      await ground.runIn(worker('native').namespacePath, 'nft', 'list', 'ruleset'),
      /chain istio-inbound/,
    )
  })
})
