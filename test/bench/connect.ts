// SPDX-License-Identifier: Apache-2.0
/**
 * What the connect hook costs: connect(2) to a service address with the programs
 * and filled maps, against connect(2) to an endpoint without any program.
 * Sockets of both kinds are made beforehand (a socket keeps the cgroup in which
 * it was made) and connected in turn, so that load from elsewhere meets both.
 * One client calls one service out of the middle of many; a client that calls
 * another of thousands every time pays for cold caches besides.
 */
import {closeSync} from 'node:fs'
import {createBpf} from '../../src/lib/adapters/bpf.ts'
import {createNetns} from '../../src/lib/adapters/netns.ts'
import {type Codec, encode} from '../../src/lib/model/codec.ts'
import {BACKEND, ENDPOINT, FRONTEND, type ReadableRow, SERVICE} from '../../src/lib/model/maps.ts'
import type {Bpf, Netns} from '../../src/lib/ports.ts'
import {KernelFixture} from '../adapters/kernel-fixture.ts'
import {MeshMaps} from '../adapters/mesh-maps.ts'
import {acceptAll, connect, resetOnClose, setNonBlocking, socketAddress} from '../adapters/sockets.ts'

export interface BenchRow {
  readonly name: string
  readonly value: number
  readonly unit: 'ratio'
  readonly budget: number
}

const SERVICE_COUNTS = [10, 1000, 5000]
const ENDPOINTS_PER_SERVICE = 5
const BUDGET = 1.1
const WARM_UP_ROUNDS = 5
const ROUNDS = 40
const SOCKETS_PER_ROUND = 100
const SERVICE_PORT = 80
const ENDPOINT_PORT = 8080

/** One row for each number of services; needs root. Takes some seconds. */
export async function rows(): Promise<BenchRow[]> {
  const measured: BenchRow[] = []
  for (const services of SERVICE_COUNTS) {
    const value = measure(services)
    measured.push({name: `connect to a service, ${services} services`, value, unit: 'ratio', budget: BUDGET})
  }
  return measured
}

function measure(services: number): number {
  using fixture = new KernelFixture()
  const [bpf, netns] = [createBpf(), createNetns()]
  const namespace = fixture.addNamespace('pod')
  const plainCgroup = fixture.addCgroup('plain')
  bpf.load(fixture.request())
  fill(bpf, (name) => fixture.pin(`map/${name}`), services)
  new MeshMaps(bpf, (name) => fixture.pin(`map/${name}`)).setManaged(netns.cookie(namespace), true)
  const listener = netns.listen(namespace, '0.0.0.0', ENDPOINT_PORT)
  setNonBlocking(listener)
  const times: {plain: number[]; redirected: number[]} = {plain: [], redirected: []}
  fixture.joinCgroup(plainCgroup)
  try {
    for (let round = 0; round < WARM_UP_ROUNDS + ROUNDS; round++) {
      fixture.moveTo(plainCgroup)
      const plain = sockets(netns, namespace)
      fixture.moveTo(fixture.cgroup)
      const redirected = sockets(netns, namespace)
      const result = round < WARM_UP_ROUNDS ? {plain: [], redirected: []} : times
      connectInTurn(plain, redirected, services, result)
      acceptAll(listener)
    }
  } finally {
    closeSync(listener)
  }
  return median(times.redirected) / median(times.plain)
}

function sockets(netns: Netns, namespace: string): number[] {
  return netns.within(namespace, () =>
    Array.from({length: SOCKETS_PER_ROUND}, () => {
      const fd = netns.socket(namespace, 4)
      resetOnClose(fd)
      return fd
    }),
  )
}

function connectInTurn(
  plain: readonly number[],
  redirected: readonly number[],
  services: number,
  times: {plain: number[]; redirected: number[]},
): void {
  const service = Math.floor(services / 2)
  for (const [at, fd] of plain.entries()) {
    const endpoint = service * ENDPOINTS_PER_SERVICE + (at % ENDPOINTS_PER_SERVICE)
    const direct = () => times.plain.push(timedConnect(fd, endpointAddress(endpoint), ENDPOINT_PORT))
    const viaService = () =>
      times.redirected.push(timedConnect(redirected[at] as number, serviceAddress(service), SERVICE_PORT))
    // Who goes first changes, as the second finds warmer caches.
    for (const run of at % 2 === 0 ? [direct, viaService] : [viaService, direct]) run()
  }
  for (const fd of [...plain, ...redirected]) closeSync(fd)
}

/** Milliseconds of connect(2) alone. @throws Error when it fails: then nothing was measured */
function timedConnect(fd: number, address: string, port: number): number {
  const name = socketAddress(address, port)
  const start = performance.now()
  const errno = connect(fd, name)
  const end = performance.now()
  if (errno !== 0) throw new Error(`connect to ${address}:${port}: errno ${errno}`)
  return end - start
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right)
  return sorted[Math.floor(sorted.length / 2)] as number
}

function serviceAddress(service: number): string {
  return `10.96.${service >> 8}.${service & 255}`
}

/** Any address of 127.0.0.0/8 reaches the listener on 0.0.0.0. */
function endpointAddress(endpoint: number): string {
  return `127.1.${endpoint >> 8}.${endpoint & 255}`
}

/** Service s has id s + 1, its endpoints the uids from 100,001 on. */
function fill(bpf: Bpf, pin: (name: string) => string, services: number): void {
  const serviceIds = Array.from({length: services}, (_, at) => at)
  const endpointIds = Array.from({length: services * ENDPOINTS_PER_SERVICE}, (_, at) => at)
  const uid = (endpoint: number): number => 100_001 + endpoint
  put(bpf, pin, FRONTEND, serviceIds, (at) => [{address: serviceAddress(at)}, {upstreamId: at + 1}])
  put(bpf, pin, SERVICE, serviceIds, (at) => [
    {serviceId: at + 1},
    {
      endpointCount: [ENDPOINTS_PER_SERVICE],
      lbPolicy: 'random',
      ports: [{servicePort: SERVICE_PORT, targetPort: ENDPOINT_PORT}],
      waypointAddress: null,
      waypointPort: 0,
    },
  ])
  put(bpf, pin, ENDPOINT, endpointIds, (at) => [
    {
      serviceId: Math.floor(at / ENDPOINTS_PER_SERVICE) + 1,
      priority: 0,
      index: (at % ENDPOINTS_PER_SERVICE) + 1,
    },
    {backendUid: uid(at)},
  ])
  put(bpf, pin, BACKEND, endpointIds, (at) => [
    {backendUid: uid(at)},
    {
      address: endpointAddress(at),
      services: [Math.floor(at / ENDPOINTS_PER_SERVICE) + 1],
      waypointAddress: null,
      waypointPort: 0,
    },
  ])
}

function put<K, V>(
  bpf: Bpf,
  pin: (name: string) => string,
  row: ReadableRow<K, V>,
  items: readonly number[],
  entry: (item: number) => [K, V],
): void {
  const entries = items.map(entry)
  using map = bpf.openPinned(pin(row.name))
  const joined = <T>(codec: Codec<T>, values: readonly T[]): Uint8Array =>
    new Uint8Array(Buffer.concat(values.map((value) => encode(codec, value))))
  map.updateBatch({
    count: entries.length,
    keys: joined(
      row.key,
      entries.map(([key]) => key),
    ),
    values: joined(
      row.value,
      entries.map(([, value]) => value),
    ),
  })
}
