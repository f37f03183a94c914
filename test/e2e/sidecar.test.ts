// SPDX-License-Identifier: Apache-2.0
// Goal: injected pods really speak through their sidecars: mutual TLS between them, plain text to others, policies obeyed.
// Method: a sandbox without daemons; manifests through `sandbox inject` and kubectl; the sidecars' logs say who handled what.
import assert from 'node:assert/strict'
import {readFileSync} from 'node:fs'
import {join} from 'node:path'
import {after, before, suite, test} from 'node:test'
import {type KubeObject, type Pod, RESOURCES, type Service} from '../../src/lib/model/kube.ts'
import type {ResourcePath} from '../../src/lib/ports.ts'
import type {ConnectionLine} from '../../src/lib/sandbox/sidecar/connection-log.ts'
import {
  eventually,
  type Json,
  KMESHCTL,
  run,
  SANDBOX_ONLY,
  type Sandbox,
  sandboxStatus,
  sandboxUp,
} from './harness.ts'

const ECHO = join(import.meta.dirname, '../../dist/echo.js')
const POLICIES: ResourcePath = {
  group: 'security.istio.io',
  version: 'v1',
  resource: 'peerauthentications',
  namespace: 'back',
}
const RULES: ResourcePath = {
  group: 'networking.istio.io',
  version: 'v1',
  resource: 'destinationrules',
  namespace: 'front',
}

/** Two namespaces: `client`, `native` and `plain` in one, `server` behind a service in the other. */
const NAMESPACES = ['front', 'back']
  .map((name) => `apiVersion: v1\nkind: Namespace\nmetadata: {name: ${name}}\n`)
  .join('---\n')
const pod = (namespace: string, name: string, container: string): string => `apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: ${namespace}, labels: {app: ${name}}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - ${container}
`
const CLIENT = '{name: main, image: sandbox/host, command: [sleep, infinity]}'
const SERVER =
  '{name: echo, image: sandbox/echo, readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}}'
const SERVICE = `apiVersion: v1
kind: Service
metadata: {name: server, namespace: back}
spec:
  selector: {app: server}
  ipFamilyPolicy: PreferDualStack
  ports: [{name: http, port: 80, targetPort: 8080}]
`

suite('sidecars', {skip: SANDBOX_ONLY}, () => {
  let sandbox: Sandbox
  let addresses: readonly string[]
  before(async () => {
    sandbox = await sandboxUp('e2e-sidecar', '--ip-family', 'dual', '--empty', '--no-daemon', '--istio')
    await apply(NAMESPACES)
    await apply(SERVICE)
    await apply(pod('front', 'plain', CLIENT))
    await apply(await inject(pod('front', 'client', CLIENT)))
    await apply(await inject(pod('front', 'native', CLIENT), '--native'))
    await apply(await inject(pod('back', 'server', SERVER)))
    await eventually(
      'all pods are ready',
      async () => {
        const {items} = await sandbox.kube.list<Pod>(RESOURCES.pods)
        const isReady = (one: Pod) =>
          one.status?.conditions?.some(({type, status}) => type === 'Ready' && status === 'True')
        return items.length === 4 && items.every(isReady) ? true : undefined
      },
      40_000,
    )
    const service = await sandbox.kube.get<Service>({
      ...RESOURCES.services,
      namespace: 'back',
      name: 'server',
    })
    addresses = service.spec?.clusterIPs ?? []
  })
  after(async () => {
    await sandbox?.down()
  })

  async function inject(text: string, ...flags: string[]): Promise<string> {
    const result = await run(KMESHCTL, ['sandbox', 'inject', '--dual-stack', ...flags], {input: text})
    assert.equal(result.code, 0, result.stderr)
    return result.stdout
  }

  async function apply(text: string): Promise<void> {
    const result = await run('kubectl', ['apply', '-f', '-'], {env: sandbox.env, input: text})
    assert.equal(result.code, 0, result.stderr)
  }

  async function lines(namespace: string, name: string): Promise<ConnectionLine[]> {
    const {pods} = await sandboxStatus(sandbox)
    const found = (pods as Json[]).find((one) => one.namespace === namespace && one.name === name)
    const {outputFile} = found.containers.find((one: Json) => one.name === 'istio-proxy')
    return readFileSync(outputFile, 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as ConnectionLine)
  }

  /** One connection and what each of the two sidecars newly said. */
  async function connect(client: string, address: string) {
    const isProxied = client !== 'plain'
    const before = {
      client: isProxied ? (await lines('front', client)).length : 0,
      server: (await lines('back', 'server')).length,
    }
    const words = [
      'sandbox',
      'exec',
      '--name',
      sandbox.name,
      '-n',
      'front',
      client,
      '--',
      process.execPath,
      ECHO,
      'connect',
      address,
      '80',
    ]
    const {stdout} = await run(KMESHCTL, words, {env: sandbox.env})
    const outbound = isProxied ? (await lines('front', client)).slice(before.client) : []
    const inbound = (await lines('back', 'server')).slice(before.server)
    return {answer: JSON.parse(stdout) as Json, outbound, inbound}
  }

  async function withObject(
    path: ResourcePath,
    kind: string,
    spec: object,
    use: () => Promise<void>,
  ): Promise<void> {
    const object = {
      apiVersion: `${path.group}/${path.version}`,
      kind,
      metadata: {name: 'here', namespace: path.namespace},
      spec,
    }
    await sandbox.kube.create(path, object as KubeObject)
    try {
      await new Promise((resolve) => setTimeout(resolve, 500))
      await use()
    } finally {
      await sandbox.kube.delete({...path, name: 'here'})
      await new Promise((resolve) => setTimeout(resolve, 500))
    }
  }

  const CLIENT_NAME = 'spiffe://cluster.local/ns/front/sa/default'
  const SERVER_NAME = 'spiffe://cluster.local/ns/back/sa/default'

  for (const client of ['client', 'native']) {
    test(`${client}: mutual TLS between the sidecars, over both families`, async () => {
      assert.equal(addresses.length, 2)
      for (const address of addresses) {
        const {answer, outbound, inbound} = await connect(client, address)
        assert.equal(answer.pod, 'server', JSON.stringify(answer))
        assert.deepEqual(
          outbound.map(({service, tls, peer, result}) => [service, tls, peer, result]),
          [['back/server:80', 'mtls', SERVER_NAME, 'ok']],
        )
        assert.deepEqual(
          inbound.map(({tls, peer, result}) => [tls, peer, result]),
          [['mtls', CLIENT_NAME, 'ok']],
        )
        assert.equal(outbound[0]?.endpoint, inbound[0]?.destination)
      }
    })
  }

  test('PERMISSIVE takes a client without a sidecar, STRICT refuses it and not the others', async () => {
    for (const address of addresses) {
      const {answer, inbound} = await connect('plain', address)
      assert.equal(answer.pod, 'server', JSON.stringify(answer))
      assert.deepEqual(
        inbound.map(({tls, result}) => [tls, result]),
        [['none', 'ok']],
      )
    }
    await withObject(POLICIES, 'PeerAuthentication', {mtls: {mode: 'STRICT'}}, async () => {
      for (const address of addresses) {
        const {answer, inbound} = await connect('plain', address)
        assert.equal(answer.pod, undefined)
        assert.deepEqual(
          inbound.map(({result}) => result),
          ['refused: plain text, and the mode is STRICT'],
        )
        assert.equal((await connect('client', address)).answer.pod, 'server')
      }
    })
  })

  test('a DestinationRule that turns TLS off is obeyed, and fails against STRICT', async () => {
    const spec = {host: 'server.back.svc.cluster.local', trafficPolicy: {tls: {mode: 'DISABLE'}}}
    await withObject(RULES, 'DestinationRule', spec, async () => {
      const {answer, outbound, inbound} = await connect('client', addresses[0] ?? '')
      assert.equal(answer.pod, 'server')
      assert.deepEqual([outbound[0]?.tls, inbound[0]?.tls], ['none', 'none'])
      await withObject(POLICIES, 'PeerAuthentication', {mtls: {mode: 'STRICT'}}, async () => {
        assert.equal((await connect('client', addresses[0] ?? '')).answer.pod, undefined)
      })
    })
  })

  test('kubectl shows both containers, and the API what Istio writes', async () => {
    const {stdout} = await run('kubectl', ['get', 'pods', '-n', 'front', '--no-headers'], {env: sandbox.env})
    assert.match(stdout, /^client +2\/2 +Running/m)
    assert.match(stdout, /^native +2\/2 +Running/m)
    const native = await sandbox.kube.get<Pod>({...RESOURCES.pods, namespace: 'front', name: 'native'})
    assert.equal(native.metadata.labels?.['security.istio.io/tlsMode'], 'istio')
    const status = JSON.parse(native.metadata.annotations?.['sidecar.istio.io/status'] ?? '{}')
    assert.deepEqual([status.initContainers, status.containers], [['istio-init', 'istio-proxy'], null])
  })
})
