// SPDX-License-Identifier: Apache-2.0
/** Random policies of Istio over clients and servers, and random pairs of them; the same for the same seed. */
import type {SeededRandom} from '../model/random.ts'
import {
  type Client,
  CONTAINER_PORT,
  expectedUnknown,
  FOREIGN,
  type Pair,
  type Policy,
  ROOT,
  SERVICE_PORTS,
  type Server,
  type Target,
  targetsOf,
  textOf,
} from './policies-pairs.ts'

/** Of ten policies that stay: they are older then than the ones of the next round. */
const STAYING = 3

export class Generator {
  readonly #random: SeededRandom
  readonly #clients: readonly Client[]
  readonly #servers: readonly Server[]

  constructor(random: SeededRandom, clients: readonly Client[], servers: readonly Server[]) {
    this.#random = random
    this.#clients = clients
    this.#servers = servers
  }

  /** In the order of their names: who is made first is the older one also within one second. */
  policies(old: readonly Policy[], round: number): Policy[] {
    const stay = old.filter(() => this.#random.below(10) < STAYING)
    const specs = [...this.#peerSpecs(), ...this.#ruleSpecs()]
    const made = specs.map((one) => ({one, order: this.#random.word()}))
    const news = made
      .sort((a, b) => a.order - b.order)
      .map(({one}, index) => ({...one, name: this.#name(round, index)}))
    return [...stay, ...news]
  }

  /** Later rounds may have names that sort before those of policies that stay. */
  #name(round: number, index: number): string {
    const letter = String.fromCharCode(97 + ((round * 7) % 26))
    return `${letter}${round}-${String(index).padStart(3, '0')}`
  }

  #peerSpecs(): Omit<Policy, 'name'>[] {
    const kind = 'PeerAuthentication'
    const places = [ROOT, ...new Set([...this.#clients, ...this.#servers].map(({namespace}) => namespace))]
    const wide = places.flatMap((namespace) =>
      this.#times([0, 1, 1, 2], () => ({kind, namespace, spec: {...this.#noSelector(), ...this.#mtls()}})),
    )
    const narrow = this.#servers.flatMap(({namespace, name}) =>
      this.#times([0, 0, 1, 1, 2], () => {
        const matchLabels = this.#random.pick([{app: name}, {app: name}, {kind: 'server'}, {app: 'nobody'}])
        const place = this.#random.below(10) === 0 ? ROOT : namespace
        return {kind, namespace: place, spec: {selector: {matchLabels}, ...this.#mtls(), ...this.#ports()}}
      }),
    )
    return [...wide, ...narrow] as Omit<Policy, 'name'>[]
  }

  #noSelector(): object {
    return this.#random.below(3) === 0 ? {selector: {}} : {}
  }

  #mode(): string {
    return this.#random.pick(['STRICT', 'STRICT', 'STRICT', 'PERMISSIVE', 'DISABLE', 'UNSET'])
  }

  #mtls(): object {
    return this.#random.below(6) === 0 ? {} : {mtls: {mode: this.#mode()}}
  }

  /** Of the container; the service's port is there to mislead. */
  #ports(): object {
    if (this.#random.below(2) === 0) return {}
    const port = this.#random.pick([CONTAINER_PORT, CONTAINER_PORT, SERVICE_PORTS[0], 9090])
    return {portLevelMtls: {[port]: {mode: this.#mode()}}}
  }

  #ruleSpecs(): Omit<Policy, 'name'>[] {
    const targets = this.#servers.flatMap((server) => targetsOf(server).filter(({port}) => port !== 90))
    const places = [...new Set(this.#clients.map(({namespace}) => namespace)), ROOT]
    return targets.flatMap((target) =>
      this.#times([0, 1, 1, 2], () => {
        const namespace = this.#random.pick([...places, target.server.namespace])
        const {host, isExact} = this.#host(target, namespace)
        const trafficPolicy = this.#trafficPolicy(isExact)
        const spec = {host, ...trafficPolicy, ...this.#exportTo(), ...this.#workloadSelector()}
        return {kind: 'DestinationRule' as const, namespace, spec}
      }),
    )
  }

  #host({service, server}: Target, namespace: string): {host: string; isExact: boolean} {
    const place = server.namespace
    const kind = this.#random.below(10)
    if (kind < 5) return {host: `${service}.${place}.svc.cluster.local`, isExact: true}
    if (kind < 7) return {host: service, isExact: namespace === place}
    if (kind === 7) return {host: `${service}.${place}`, isExact: false}
    const wild = [`*.${place}.svc.cluster.local`, '*.svc.cluster.local', '*.local', '*']
    return {host: this.#random.pick(wild), isExact: false}
  }

  #trafficPolicy(isExact: boolean): object {
    const kind = this.#random.below(10)
    if (kind === 0) return {}
    if (kind === 1) return {trafficPolicy: {}}
    if (kind === 2) return {trafficPolicy: {connectionPool: {tcp: {maxConnections: 1000}}}}
    const top = this.#random.below(5) === 0 ? {} : {tls: this.#tls(isExact)}
    if (kind < 7) return {trafficPolicy: top}
    const number = this.#random.pick([...SERVICE_PORTS, CONTAINER_PORT])
    const own = this.#random.below(2) === 0 ? {} : {tls: this.#tls(isExact)}
    return {trafficPolicy: {...top, portLevelSettings: [{port: {number}, ...own}]}}
  }

  /** TLS that is not Istio's only for one service: what may be unknown is found by its name then. */
  #tls(isExact: boolean): object {
    const modes = ['DISABLE', 'DISABLE', 'ISTIO_MUTUAL', 'ISTIO_MUTUAL', ...(isExact ? FOREIGN : [])]
    return {mode: this.#random.pick(modes)}
  }

  #exportTo(): object {
    const places = this.#random.pick([[], [], [], [], ['*'], ['.'], ['front'], ['back', 'both']])
    return places.length === 0 ? {} : {exportTo: places}
  }

  #workloadSelector(): object {
    const tier = this.#random.pick(['', '', '', '', 'one', 'two'])
    return tier === '' ? {} : {workloadSelector: {matchLabels: {tier}}}
  }

  #times<T>(counts: readonly number[], make: () => T): T[] {
    return Array.from({length: this.#random.pick(counts)}, make)
  }

  /**
   * Different ones, most of them between sidecars: their policies count.
   *
   * @param mostUnknown - of them, for which there may be no prediction
   */
  pairs(count: number, policies: readonly Policy[], mostUnknown: number): Pair[] {
    const found = new Map<string, Pair>()
    let unknown = 0
    while (found.size < count) {
      const pair = this.#pair()
      const key = textOf(pair)
      const mayBeUnknown = expectedUnknown(pair, policies).length > 0
      if (found.has(key) || (mayBeUnknown && unknown === mostUnknown)) continue
      if (mayBeUnknown) unknown += 1
      found.set(key, pair)
    }
    return [...found.values()]
  }

  #pair(): Pair {
    const often = <T>(all: readonly T[], test: (one: T) => boolean, ofSix: number): T =>
      this.#random.pick(this.#random.below(6) < ofSix ? all.filter(test) : all)
    const client = often(this.#clients, ({row}) => row === 'sidecar', 4)
    const server = often(this.#servers, ({column}) => column === 'sidecar', 3)
    return {client, target: this.#random.pick(targetsOf(server)), family: this.#random.pick([4, 6])}
  }
}
