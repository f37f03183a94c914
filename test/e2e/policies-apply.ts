// SPDX-License-Identifier: Apache-2.0
/** Puts policies into a sandbox and tells when every sidecar has them: nothing sleeps for luck. */
import {readFileSync} from 'node:fs'
import {setTimeout as sleep} from 'node:timers/promises'
import {type KubeObject, type Pod, RESOURCES} from '../../src/lib/model/kube.ts'
import type {ResourcePath} from '../../src/lib/ports.ts'
import type {SidecarConfig} from '../../src/lib/sandbox/sidecar/config.ts'
import type {Send} from '../../src/lib/sandbox/sidecar/send-tls.ts'
import {eventually, type Sandbox} from './harness.ts'
import {CLIENTS, MARK, type Policy, ROOT, SERVERS, SERVICE_PORTS} from './policies-pairs.ts'

const PLACES: Readonly<Record<Policy['kind'], ResourcePath>> = {
  PeerAuthentication: {group: 'security.istio.io', version: 'v1', resource: 'peerauthentications'},
  DestinationRule: {group: 'networking.istio.io', version: 'v1', resource: 'destinationrules'},
}
const MESH: ResourcePath = {...RESOURCES.configmaps, namespace: ROOT, name: 'istio'}
/** Namespaces that have a sidecar. */
const CALLING = [...new Set([...CLIENTS, ...SERVERS].map(({namespace}) => namespace))]
const HEALTH_PORT = 15_021

export class PolicyWriter {
  readonly #sandbox: Sandbox
  /** With a sidecar's process, bypassed or not. */
  readonly #proxied: readonly Pod[]
  #policies: readonly Policy[] = []
  #madeMs = 0
  #autoMtls = true

  constructor(sandbox: Sandbox, proxied: readonly Pod[]) {
    this.#sandbox = sandbox
    this.#proxied = proxied
  }

  /**
   * Policies that are not among the new ones go; the others are made in their order. Every sidecar's file has all
   * of it then.
   *
   * @param autoMtls - only even rounds may switch it off
   */
  async replace(policies: readonly Policy[], round: number, autoMtls: boolean): Promise<void> {
    if (!this.#autoMtls) await this.#setAutoMtls(true, round - 1)
    const kept = new Set(policies)
    for (const policy of this.#policies) if (!kept.has(policy)) await this.#remove(policy)
    const known = new Set(this.#policies)
    await this.#nextSecond()
    for (const policy of policies) if (!known.has(policy)) await this.#make(policy)
    this.#madeMs = Date.now()
    this.#policies = policies
    await this.#mark(round)
    if (!autoMtls) await this.#setAutoMtls(false, round)
  }

  async #setAutoMtls(isOn: boolean, round: number): Promise<void> {
    await this.#sandbox.kube.mergePatch(MESH, {data: {mesh: `enableAutoMtls: ${isOn}`}})
    this.#autoMtls = isOn
    await this.#marked(round)
  }

  /** The API tells ages in seconds; within one the names decide, and those that stay shall be older. */
  async #nextSecond(): Promise<void> {
    const nextMs = (Math.floor(this.#madeMs / 1000) + 1) * 1000
    const waitMs = nextMs - Date.now()
    if (waitMs > 0) await sleep(waitMs)
  }

  async #make({kind, namespace, name, spec}: Policy): Promise<void> {
    const place = PLACES[kind]
    const apiVersion = `${place.group}/${place.version}`
    const object = {apiVersion, kind, metadata: {namespace, name}, spec}
    await this.#sandbox.kube.create<KubeObject>({...place, namespace}, object)
  }

  async #remove({kind, namespace, name}: Policy): Promise<void> {
    await this.#sandbox.kube.delete({...PLACES[kind], namespace, name})
  }

  /**
   * Changes one object of each kind that every sidecar's file shows, after all others: a file with both has them
   * all. Rules of a client's own namespace with an exact host come before every other.
   */
  async #mark(round: number): Promise<void> {
    const rules = CALLING.flatMap((namespace) => {
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
    const policy: Policy = {
      kind: 'PeerAuthentication',
      namespace: MARK,
      name: MARK,
      spec: {mtls: {mode: isEven(round) ? 'STRICT' : 'DISABLE'}},
    }
    for (const one of [policy, ...rules]) {
      if (round > 0) await this.#remove(one)
      await this.#make(one)
    }
    await this.#marked(round)
  }

  async #marked(round: number): Promise<void> {
    const send = isEven(round) && this.#autoMtls ? 'mtls' : 'none'
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
}

const isEven = (round: number): boolean => round % 2 === 0

function isMarked({services}: SidecarConfig, sni: string, send: Send): boolean {
  const named = (name: string) =>
    services.filter((one) => one.namespace === MARK && one.name === name && one.port === SERVICE_PORTS[0])
  const sends = new Set(named('peer').flatMap(({endpoints}) => endpoints.map((one) => one.send)))
  return (
    named('rule')
      .map((one) => one.sni)
      .join() === sni &&
    sends.size === 1 &&
    sends.has(send)
  )
}
