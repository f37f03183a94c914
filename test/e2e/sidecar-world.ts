// SPDX-License-Identifier: Apache-2.0
/** Clients and servers with and without sidecars, in namespaces of their own, and who handled a connection of theirs. */
import assert from 'node:assert/strict'
import {readFileSync} from 'node:fs'
import {parseAllDocuments} from 'yaml'
import {type KubeObject, type Pod, RESOURCES, type Service} from '../../src/lib/model/kube.ts'
import type {ResourcePath} from '../../src/lib/ports.ts'
import type {ConnectionLine} from '../../src/lib/sandbox/sidecar/connection-log.ts'
import {
  addressesOf,
  connectOften,
  eventually,
  type Json,
  KMESHCTL,
  run,
  type Sandbox,
  sandboxStatus,
} from './harness.ts'

const CONNECTIONS = 2
const LIMIT_MS = 40_000

export type Handler = 'kube' | 'kmesh' | 'envoy'

/** Who took a connection of the client, what the server's side received it with, and whether it was answered. */
export interface Handled {
  readonly client: Handler
  readonly server: 'application' | 'envoy'
  /** As the server's sidecar received it; null where none did. */
  readonly tls: string | null
}

export interface PodName {
  readonly namespace: string
  readonly name: string
}

export class SidecarWorld {
  readonly sandbox: Sandbox
  readonly #logs = new Map<string, string>()

  constructor(sandbox: Sandbox) {
    this.sandbox = sandbox
  }

  async namespace(name: string, labels: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.sandbox.kube.create(RESOURCES.namespaces, {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: {name, labels},
    } as KubeObject)
  }

  /** A pod that only sleeps; waits until it is ready. */
  async client(
    {namespace, name}: PodName,
    injected: boolean,
    labels = {},
    flags: string[] = [],
  ): Promise<void> {
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {namespace, name, labels: {app: name, ...labels}},
      spec: {
        terminationGracePeriodSeconds: 0,
        containers: [{name: 'main', image: 'sandbox/host', command: ['sleep', 'infinity']}],
      },
    }
    await this.create([pod], injected, flags)
    await this.ready(namespace, name)
  }

  /** A Deployment of one echo pod and its service on port 80; waits until it is ready. */
  async server(namespace: string, injected: boolean, labels = {}, flags: string[] = []): Promise<void> {
    const app = {app: 'server', ...labels}
    const container = {
      name: 'echo',
      image: 'sandbox/echo',
      ports: [{name: 'http', containerPort: 8080}],
      readinessProbe: {httpGet: {path: '/', port: 8080}, periodSeconds: 1},
    }
    const deployment = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: {namespace, name: 'server'},
      spec: {
        replicas: 1,
        selector: {matchLabels: {app: 'server'}},
        template: {
          metadata: {labels: app},
          spec: {terminationGracePeriodSeconds: 0, containers: [container]},
        },
      },
    }
    const service = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: {namespace, name: 'server'},
      spec: {
        selector: {app: 'server'},
        ipFamilyPolicy: 'PreferDualStack',
        ports: [{name: 'http', port: 80, targetPort: 8080}],
      },
    }
    await this.create([deployment], injected, flags)
    await this.create([service], false)
    await this.ready(namespace, 'server')
  }

  /** As `kmeshctl sandbox inject` writes them, where asked for. */
  async create(objects: readonly object[], injected: boolean, flags: readonly string[] = []): Promise<void> {
    for (const object of objects) {
      const text = JSON.stringify(object)
      const whole = injected ? await this.inject(text, flags) : text
      for (const document of parseAllDocuments(whole)) {
        const manifest = document.toJS() as KubeObject
        const resource = PLACES[manifest.kind ?? '']
        assert.ok(resource, `${manifest.kind}`)
        await this.sandbox.kube.create({...resource, namespace: manifest.metadata.namespace ?? ''}, manifest)
      }
    }
  }

  async inject(text: string, flags: readonly string[]): Promise<string> {
    const args = ['sandbox', 'inject', '--dual-stack', ...flags]
    const result = await run(KMESHCTL, args, {env: this.sandbox.env, input: text})
    assert.equal(result.code, 0, result.stderr)
    assert.match(result.stdout, /istio-proxy/)
    return result.stdout
  }

  /** Every pod of the namespace whose name begins so. */
  async pods(namespace: string, prefix: string): Promise<readonly Pod[]> {
    const {items} = await this.sandbox.kube.list<Pod>({...RESOURCES.pods, namespace})
    return items.filter(({metadata}) => metadata.name?.startsWith(prefix))
  }

  async ready(namespace: string, prefix: string): Promise<void> {
    await eventually(
      `${namespace}/${prefix} to be ready`,
      async () => {
        const pods = await this.pods(namespace, prefix)
        const isReady = ({status}: Pod) =>
          status?.conditions?.some(({type, status: value}) => type === 'Ready' && value === 'True') === true
        return pods.length > 0 && pods.every(isReady) ? true : undefined
      },
      LIMIT_MS,
    )
    await this.findLogs()
  }

  /** Addresses of the service `server`, IPv4 first. */
  async addresses(namespace: string): Promise<readonly string[]> {
    const service = await this.sandbox.kube.get<Service>({...RESOURCES.services, namespace, name: 'server'})
    return [...(service.spec?.clusterIPs ?? [])].sort(
      (a, b) => Number(a.includes(':')) - Number(b.includes(':')),
    )
  }

  /** Connects from the pod to the service of the namespace, and tells who handled it; every connection must be answered. */
  async handled(client: PodName, server: string, address: string): Promise<Handled> {
    const [pod] = await this.pods(server, 'server')
    assert.ok(pod)
    const own = `${client.namespace}/${client.name}`
    const other = `${server}/${pod.metadata.name}`
    const before = {client: this.lines(own).length, server: this.lines(other).length}
    const {name, namespace} = client
    const sums = await connectOften(this.sandbox, name, address, {count: CONNECTIONS, namespace})
    assert.deepEqual(sums.messages, {}, `${own} to ${server} at ${address}`)
    const news = (key: string, from: number) => this.lines(key).slice(from)
    const goneOut = async () =>
      news(own, before.client).filter(({direction}) => direction === 'outbound').length === CONNECTIONS
    const isRedirected = Object.keys(sums.peers).every((peer) =>
      addressesOf([pod]).includes(peer.split(' ')[0] ?? ''),
    )
    const isEnvoy = !isRedirected && this.#logs.has(own) && (await soon(goneOut))
    const received = () => news(other, before.server).filter(({direction}) => direction === 'inbound')
    const isReceived = this.#logs.has(other) && (await soon(async () => received().length >= CONNECTIONS))
    return {
      client: isRedirected ? 'kmesh' : isEnvoy ? 'envoy' : 'kube',
      server: isReceived ? 'envoy' : 'application',
      tls: isReceived ? [...new Set(received().map(({tls}) => tls))].join() : null,
    }
  }

  /** What the pod's sidecar has logged so far; nothing where it has none. */
  lines(pod: string): readonly ConnectionLine[] {
    const file = this.#logs.get(pod)
    if (file === undefined) return []
    return readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('{"direction"'))
      .map((line) => JSON.parse(line) as ConnectionLine)
  }

  async findLogs(): Promise<void> {
    const {pods} = await sandboxStatus(this.sandbox)
    for (const pod of pods as Json[]) {
      const proxy = pod.containers.find(({name}: Json) => name === 'istio-proxy')
      if (proxy !== undefined) this.#logs.set(`${pod.namespace}/${pod.name}`, proxy.outputFile)
    }
  }
}

const PLACES: Readonly<Record<string, ResourcePath>> = {
  Pod: RESOURCES.pods,
  Deployment: RESOURCES.deployments,
  Service: RESOURCES.services,
}

/** A sidecar writes a line when it knows how the connection ended. */
async function soon(probe: () => Promise<boolean>): Promise<boolean> {
  const found = await eventually('lines', async () => ((await probe()) ? true : undefined), 1500).catch(
    () => false,
  )
  return found
}
