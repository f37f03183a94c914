// SPDX-License-Identifier: Apache-2.0
/**
 * Damages entries of one node's pinned maps by hand, over bpf(2) on the pins in the node's own bpffs; each
 * damage knows the code that `path` must name. The agent writes what it stored again only when the cluster changes.
 */
import {decode, encode} from '../../src/lib/model/codec.ts'
import {
  BACKEND,
  ENDPOINT,
  FRONTEND,
  type ReadableRow,
  SERVICE,
  type ServiceValue,
} from '../../src/lib/model/maps.ts'
import type {Bpf, BpfMap} from '../../src/lib/ports.ts'
import type {SeededRandom} from '../model/random.ts'

export interface NodeMaps {
  readonly bpf: Bpf
  /** Path of a map's pin on this node. */
  readonly pin: (map: string) => string
}

export interface Damaged {
  readonly name: string
  /** Code of the finding. */
  readonly code: string
  /** Puts everything back. */
  undo(): void
}

class Table<K, V> implements Disposable {
  private readonly row: ReadableRow<K, V>
  private readonly map: BpfMap

  constructor(maps: NodeMaps, row: ReadableRow<K, V>) {
    this.row = row
    this.map = maps.bpf.openPinned(maps.pin(row.name))
  }

  get(key: K): V | undefined {
    const bytes = this.map.lookup(encode(this.row.key, key))
    return bytes === undefined ? undefined : decode(this.row.value, bytes)
  }

  /** Undefined removes. */
  set(key: K, value: V | undefined): void {
    if (value === undefined) this.map.delete(encode(this.row.key, key))
    else this.map.update(encode(this.row.key, key), encode(this.row.value, value))
  }

  [Symbol.dispose](): void {
    this.map[Symbol.dispose]()
  }
}

/** Changes one entry; what it gives puts the old one back. */
function change<K, V>(
  maps: NodeMaps,
  row: ReadableRow<K, V>,
  key: K,
  to: (old: V | undefined) => V | undefined,
): () => void {
  using table = new Table(maps, row)
  const old = table.get(key)
  table.set(key, to(old))
  return () => {
    using again = new Table(maps, row)
    again.set(key, old)
  }
}

function look<K, V>(maps: NodeMaps, row: ReadableRow<K, V>, key: K): V | undefined {
  using table = new Table(maps, row)
  return table.get(key)
}

/** Entries of one service address that has endpoints. */
interface Site {
  readonly maps: NodeMaps
  readonly address: string
  readonly serviceId: number
  readonly uids: readonly number[]
  /** Id of a service that this one is not. */
  readonly otherId: number
  /** Address of the family that no pod has. */
  readonly unused: string
}

type Damage = readonly [name: string, code: string, make: (site: Site) => () => void]

function ofService(to: (old: ServiceValue) => ServiceValue | undefined): (site: Site) => () => void {
  return ({maps, serviceId}) =>
    change(maps, SERVICE, {serviceId}, (old) => (old === undefined ? undefined : to(old)))
}

const counted = (value: ServiceValue, by: (count: number) => number): ServiceValue => ({
  ...value,
  endpointCount: value.endpointCount.map((count, priority) => (priority === 0 ? by(count) : count)),
})
const frontend = (to: (site: Site) => number | undefined) => (site: Site) =>
  change(site.maps, FRONTEND, {address: site.address}, () => {
    const upstreamId = to(site)
    return upstreamId === undefined ? undefined : {upstreamId}
  })
const backend =
  (to: (site: Site) => string | undefined) =>
  (site: Site): (() => void) => {
    const backendUid = site.uids.at(-1) ?? 0
    return change(site.maps, BACKEND, {backendUid}, (old) => {
      const address = to(site)
      return old === undefined || address === undefined ? undefined : {...old, address}
    })
  }
const endpoint = (index: (site: Site) => number) => (site: Site) =>
  change(site.maps, ENDPOINT, {serviceId: site.serviceId, priority: 0, index: index(site)}, () => undefined)

const DAMAGES: readonly Damage[] = [
  ['frontend removed', 'FrontendMissing', frontend(() => undefined)],
  ['frontend of an id that nobody has', 'FrontendLeadsNowhere', frontend(() => 0xdead)],
  ['frontend of another service', 'FrontendElsewhere', frontend(({otherId}) => otherId)],
  ['service removed', 'FrontendLeadsNowhere', ofService(() => undefined)],
  ['count too large', 'EndpointMissing', ofService((value) => counted(value, (count) => count + 2))],
  ['count too small', 'EndpointBeyondCount', ofService((value) => counted(value, (count) => count - 1))],
  ['count of none', 'NoKernelEndpoints', ofService((value) => counted(value, () => 0))],
  [
    'wrong target port',
    'TargetPortDiffers',
    ofService((value) => ({...value, ports: value.ports.map((pair) => ({...pair, targetPort: 7777}))})),
  ],
  ['port removed', 'ServicePortMissing', ofService((value) => ({...value, ports: []}))],
  ['backend removed', 'BackendMissing', backend(() => undefined)],
  ['backend of an address that is gone', 'BackendStale', backend(({unused}) => unused)],
  ['first endpoint removed', 'EndpointMissing', endpoint(() => 1)],
  ['last endpoint removed', 'EndpointMissing', endpoint(({uids}) => uids.length)],
]

export interface DamageRequest {
  readonly maps: NodeMaps
  readonly address: string
  readonly otherAddress: string
  readonly unused: string
}

/** Undefined where the address is that of no service with endpoints. */
export function damage(request: DamageRequest, random: SeededRandom): Damaged | undefined {
  const {maps, address, otherAddress, unused} = request
  const serviceId = look(maps, FRONTEND, {address})?.upstreamId ?? 0
  const service = look(maps, SERVICE, {serviceId})
  const count = service?.endpointCount[0] ?? 0
  if (service === undefined || count === 0) return undefined
  const otherId = look(maps, FRONTEND, {address: otherAddress})?.upstreamId ?? 0
  const uids = Array.from(
    {length: count},
    (_, index) => look(maps, ENDPOINT, {serviceId, priority: 0, index: index + 1})?.backendUid ?? 0,
  )
  const [name, code, make] = random.pick(DAMAGES)
  return {name, code, undo: make({maps, address, serviceId, uids, otherId, unused})}
}

/** An entry for an address that nobody has: it leads to the service of `otherAddress`. */
export function strayFrontend(maps: NodeMaps, address: string, otherAddress: string): Damaged {
  const found = look(maps, FRONTEND, {address: otherAddress})
  const undo = change(maps, FRONTEND, {address}, () => found)
  return {name: 'frontend of an address that nobody has', code: 'FrontendStale', undo}
}

/** The pod's backend has another address. */
export function strayBackend(maps: NodeMaps, address: string, unused: string): Damaged {
  const backendUid = look(maps, FRONTEND, {address})?.upstreamId ?? 0
  const undo = change(maps, BACKEND, {backendUid}, (old) =>
    old === undefined ? undefined : {...old, address: unused},
  )
  return {name: 'backend of a pod with another address', code: 'BackendAddressDiffers', undo}
}

export function removedFrontend(maps: NodeMaps, address: string): Damaged {
  return {
    name: 'frontend removed',
    code: 'FrontendMissing',
    undo: change(maps, FRONTEND, {address}, () => undefined),
  }
}
