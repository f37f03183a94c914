// SPDX-License-Identifier: Apache-2.0
/** What policies.test.ts connects through: clients and servers of every kind of capture, made once. */
import assert from 'node:assert/strict'
import {parseAllDocuments} from 'yaml'
import {type KubeObject, type Pod, RESOURCES} from '../../src/lib/model/kube.ts'
import type {ClientRow} from '../../src/lib/model/pair-verdict.ts'
import type {ResourcePath} from '../../src/lib/ports.ts'
import {eventually, type Json, KMESHCTL, run, type Sandbox} from './harness.ts'
import {
  CLIENTS,
  CONTAINER_PORT,
  INJECTED,
  kindOf,
  LABELS,
  MARK,
  ROOT,
  SERVERS,
  SERVICE_PORTS,
} from './policies-pairs.ts'

type Manifest = KubeObject & Readonly<Record<string, unknown>>

const NAMESPACES = ['front', 'back', 'both', MARK]
const LIMIT_MS = 60_000

function pod(namespace: string, name: string, container: object, labels = {}): Manifest {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {namespace, name, labels: {app: name, ...labels, ...LABELS[kindOf(name)]}},
    spec: {terminationGracePeriodSeconds: 0, containers: [container]},
  }
}

const ECHO = {
  name: 'echo',
  image: 'sandbox/echo',
  ports: [{name: 'http', containerPort: CONTAINER_PORT}],
  readinessProbe: {httpGet: {path: '/', port: CONTAINER_PORT}, periodSeconds: 1},
}
const SLEEP = {name: 'main', image: 'sandbox/host', command: ['sleep', 'infinity']}

function service(namespace: string, name: string, app: string, headless: boolean): Manifest {
  const ports = headless ? [CONTAINER_PORT] : SERVICE_PORTS
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {namespace, name},
    spec: {
      selector: {app},
      ipFamilyPolicy: 'PreferDualStack',
      ...(headless ? {clusterIP: 'None'} : {}),
      ports: ports.map((port) => ({name: `on-${port}`, port, targetPort: CONTAINER_PORT})),
    },
  }
}

const PLACES: Readonly<Record<string, ResourcePath>> = {
  Namespace: RESOURCES.namespaces,
  Pod: RESOURCES.pods,
  Service: RESOURCES.services,
  ConfigMap: RESOURCES.configmaps,
}

export class PolicyWorld {
  readonly #sandbox: Sandbox
  /** With a sidecar's process, bypassed or not. */
  proxied: readonly Pod[] = []

  constructor(sandbox: Sandbox) {
    this.#sandbox = sandbox
  }

  /** All pods and services; waits until they are ready, and held by whom they should be. */
  async create(): Promise<void> {
    for (const name of NAMESPACES) await this.#create({apiVersion: 'v1', kind: 'Namespace', metadata: {name}})
    await this.#create({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: {namespace: ROOT, name: 'istio'},
      data: {mesh: 'enableAutoMtls: true'},
    })
    const pods = [
      ...CLIENTS.map(({namespace, name}) => pod(namespace, name, SLEEP)),
      ...SERVERS.map(({namespace, name}) => pod(namespace, name, ECHO, {kind: 'server'})),
    ]
    const withSidecar = pods.filter(({metadata}) => INJECTED.includes(kindOf(metadata.name ?? '')))
    const others = pods.filter((one) => !withSidecar.includes(one))
    const marked = pod(MARK, 'nobody', SLEEP, {'security.istio.io/tlsMode': 'istio'})
    for (const one of [...(await this.#inject(withSidecar)), ...others, marked]) await this.#create(one)
    for (const {namespace, name} of SERVERS) {
      await this.#create(service(namespace, name, name, false))
      await this.#create(service(namespace, `${name}-pods`, name, true))
    }
    for (const name of ['peer', 'rule']) await this.#create(service(MARK, name, 'nobody', false))
    await eventually('all pods to be ready', () => this.#ready(), LIMIT_MS)
    await eventually('all pods to be captured', () => this.#captured(), LIMIT_MS)
  }

  async #create(object: Manifest): Promise<void> {
    const place = PLACES[object.kind ?? '']
    assert.ok(place, `${object.kind}`)
    await this.#sandbox.kube.create({...place, namespace: object.metadata.namespace}, object)
  }

  async #inject(pods: readonly Manifest[]): Promise<Manifest[]> {
    const input = pods.map((one) => JSON.stringify(one)).join('\n---\n')
    const result = await run(KMESHCTL, ['sandbox', 'inject', '--dual-stack'], {
      env: this.#sandbox.env,
      input,
    })
    assert.equal(result.code, 0, result.stderr)
    return parseAllDocuments(result.stdout).map((document) => document.toJS() as Manifest)
  }

  async #ready(): Promise<true | undefined> {
    const {items} = await this.#sandbox.kube.list<Pod>(RESOURCES.pods)
    const ours = items.filter(({metadata}) => NAMESPACES.includes(metadata.namespace ?? ''))
    const isReady = ({status}: Pod) =>
      status?.conditions?.some(({type, status: value}) => type === 'Ready' && value === 'True') === true
    if (ours.length !== CLIENTS.length + SERVERS.length + 1 || !ours.every(isReady)) return undefined
    this.proxied = ours.filter(
      ({metadata}) => metadata.annotations?.['sidecar.istio.io/status'] !== undefined,
    )
    return true
  }

  async #captured(): Promise<true | undefined> {
    const {items} = await this.#sandbox.json('interop', 'status', '-A')
    const isHeld = (namespace: string, name: string, wanted: ClientRow | 'other') => {
      const found = (items as Json[]).find(
        (item) => item.kind === 'Pod' && item.namespace === namespace && item.name === name,
      )
      const isBypassed = found?.bypass?.active === true
      if (wanted === 'kmesh-bypass') return found?.capture === 'kmesh' && isBypassed
      if (wanted === 'bypassed') return found?.capture === 'none' && isBypassed
      return found?.capture === (wanted === 'plain' ? 'none' : wanted) && !isBypassed
    }
    const servers = SERVERS.map(({namespace, name, column}) => {
      const isCaptured = kindOf(name) === 'skipped'
      const row: ClientRow = column === 'bypassed' && isCaptured ? 'kmesh-bypass' : column
      return isHeld(namespace, name, row)
    })
    const clients = CLIENTS.map(({namespace, name, row}) => isHeld(namespace, name, row))
    return [...servers, ...clients].every(Boolean) ? true : undefined
  }

  /** Where a client connects to. */
  async addresses(): Promise<ReadonlyMap<string, readonly string[]>> {
    const found = new Map<string, readonly string[]>()
    for (const {namespace, name} of SERVERS) {
      const one = await this.#sandbox.kube.get<Json>({...RESOURCES.services, namespace, name})
      const own = await this.#sandbox.kube.get<Pod>({...RESOURCES.pods, namespace, name})
      found.set(`${namespace}/${name}`, one.spec.clusterIPs)
      found.set(
        `${namespace}/${name}-pods`,
        (own.status?.podIPs ?? []).map(({ip}) => ip),
      )
    }
    return found
  }
}
