// SPDX-License-Identifier: Apache-2.0
/** What policies.test.ts connects through: clients and servers of every kind of capture, made once; policies come and go. */
import assert from 'node:assert/strict'
import {readFileSync} from 'node:fs'
import {setTimeout as sleep} from 'node:timers/promises'
import {parseAllDocuments} from 'yaml'
import {type KubeObject, type Pod, RESOURCES} from '../../src/lib/model/kube.ts'
import type {ClientRow} from '../../src/lib/model/pair-verdict.ts'
import type {ResourcePath} from '../../src/lib/ports.ts'
import type {SidecarConfig} from '../../src/lib/sandbox/sidecar/config.ts'
import {eventually, type Json, KMESHCTL, run, type Sandbox} from './harness.ts'
import {type Client, CONTAINER_PORT, type Policy, SERVICE_PORTS, type Server} from './policies-random.ts'

type Manifest = KubeObject & Readonly<Record<string, unknown>>

/** Its own policies tell when a sidecar has all that came before them. */
const MARK = 'mark'
/** Has clients and servers; `front` has only clients, `back` only servers. */
const NAMESPACES = ['front', 'back', 'both', MARK]
const LIMIT_MS = 60_000
const HEALTH_PORT = 15_021

export const CLIENTS: readonly Client[] = [
  {namespace: 'front', name: 'from-one', row: 'sidecar'},
  {namespace: 'front', name: 'from-two', row: 'sidecar'},
  {namespace: 'front', name: 'from-kmesh', row: 'kmesh'},
  {namespace: 'front', name: 'from-bypassed', row: 'bypassed'},
  {namespace: 'both', name: 'from-one', row: 'sidecar'},
  {namespace: 'both', name: 'from-two', row: 'sidecar'},
  {namespace: 'both', name: 'from-plain', row: 'plain'},
  {namespace: 'both', name: 'from-skipped', row: 'kmesh-bypass'},
]
export const SERVERS: readonly Server[] = [
  {namespace: 'both', name: 'to-plain', column: 'plain'},
  {namespace: 'both', name: 'to-envoy', column: 'sidecar'},
  {namespace: 'both', name: 'to-skipped', column: 'bypassed'},
  {namespace: 'back', name: 'to-kmesh', column: 'kmesh'},
  {namespace: 'back', name: 'to-envoy', column: 'sidecar'},
  {namespace: 'back', name: 'to-other', column: 'sidecar'},
  {namespace: 'back', name: 'to-bypassed', column: 'bypassed'},
]

/** By the end of its name; others have no label of their own. */
const LABELS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  one: {tier: 'one'},
  two: {tier: 'two'},
  kmesh: {'istio.io/dataplane-mode': 'kmesh'},
  skipped: {'istio.io/dataplane-mode': 'kmesh'},
  bypassed: {'kmesh.net/bypass': 'enabled'},
}
const INJECTED = ['one', 'two', 'skipped', 'bypassed', 'envoy', 'other']

const kindOf = (name: string): string => name.split('-')[1] ?? ''

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
  PeerAuthentication: {group: 'security.istio.io', version: 'v1', resource: 'peerauthentications'},
  DestinationRule: {group: 'networking.istio.io', version: 'v1', resource: 'destinationrules'},
}

export class PolicyWorld {
  readonly #sandbox: Sandbox
  #policies: readonly Policy[] = []
  #madeMs = 0
  /** With a sidecar's process, bypassed or not. */
  #proxied: readonly Pod[] = []

  constructor(sandbox: Sandbox) {
    this.#sandbox = sandbox
  }

  /** All pods and services; waits until they are ready, and held by whom they should be. */
  async create(): Promise<void> {
    for (const name of NAMESPACES) await this.#create({apiVersion: 'v1', kind: 'Namespace', metadata: {name}})
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
    this.#proxied = ours.filter(
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

  /** Those that are not among the new ones go; the others are made in their order. */
  async replace(policies: readonly Policy[], round: number): Promise<void> {
    const kept = new Set(policies)
    for (const policy of this.#policies) if (!kept.has(policy)) await this.#remove(policy)
    const known = new Set(this.#policies)
    await this.#nextSecond()
    for (const policy of policies) if (!known.has(policy)) await this.#make(policy)
    this.#madeMs = Date.now()
    this.#policies = policies
    await this.#mark(round)
  }

  /** The API tells ages in seconds; within one the names decide, and those that stay shall be older. */
  async #nextSecond(): Promise<void> {
    const nextMs = (Math.floor(this.#madeMs / 1000) + 1) * 1000
    const waitMs = nextMs - Date.now()
    if (waitMs > 0) await sleep(waitMs)
  }

  async #make({kind, namespace, name, spec}: Policy): Promise<void> {
    const {group, version} = PLACES[kind] as ResourcePath
    await this.#create({apiVersion: `${group}/${version}`, kind, metadata: {namespace, name}, spec})
  }

  async #remove({kind, namespace, name}: Policy): Promise<void> {
    await this.#sandbox.kube.delete({...(PLACES[kind] as ResourcePath), namespace, name})
  }

  /**
   * Changes one object of each kind that every sidecar's file shows, after all others: a file with both has them
   * all. Rules of a client's own namespace with an exact host come before every other.
   */
  async #mark(round: number): Promise<void> {
    const rules = NAMESPACES.flatMap((namespace) => {
      const rule = (host: string, trafficPolicy: object): Policy => ({
        kind: 'DestinationRule',
        namespace,
        name: host,
        spec: {host: `${host}.${MARK}.svc.cluster.local`, trafficPolicy},
      })
      return [
        rule('peer', {connectionPool: {tcp: {maxConnections: 1000}}}),
        rule('rule', {tls: {mode: 'DISABLE', sni: `round-${round}`}}),
      ]
    })
    const mode = round % 2 === 0 ? 'STRICT' : 'DISABLE'
    const policy: Policy = {
      kind: 'PeerAuthentication',
      namespace: MARK,
      name: MARK,
      spec: {mtls: {mode}},
    }
    for (const one of [policy, ...rules]) {
      if (round > 0) await this.#remove(one)
      await this.#make(one)
    }
    const send = round % 2 === 0 ? 'mtls' : 'none'
    await eventually('the sidecars to have the policies', async () => {
      const files = this.#proxied.map((one) => this.#config(one))
      return files.every((file) => isMarked(file, `round-${round}`, send)) ? true : undefined
    })
  }

  #config({metadata}: Pod): SidecarConfig {
    const file = `/run/kmeshctl/${this.#sandbox.name}/sidecars/${metadata.uid}/config.json`
    return JSON.parse(readFileSync(file, 'utf8')) as SidecarConfig
  }

  /**
   * A sidecar reads its file when it hears of the change, which is in its queue before anything that is asked
   * of it later: after an answer from these places every sidecar follows its file.
   */
  healthPlaces(): {readonly host: string; readonly port: number}[] {
    return this.#proxied.map(({status}) => ({host: status?.podIP ?? '', port: HEALTH_PORT}))
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

function isMarked({services}: SidecarConfig, sni: string, send: string): boolean {
  const named = (name: string) =>
    services.filter((one) => one.namespace === MARK && one.name === name && one.port === SERVICE_PORTS[0])
  return (
    named('rule').every((one) => one.sni === sni) &&
    named('peer').every(({endpoints}) => endpoints.length > 0 && endpoints.every((one) => one.send === send))
  )
}
