// SPDX-License-Identifier: Apache-2.0
/** A node whose data plane an earlier version made, with a pod in it, and what the next version finds there. */
import {execFileSync} from 'node:child_process'
import {closeSync, readdirSync} from 'node:fs'
import {join} from 'node:path'
import {createBpf} from '../../src/lib/adapters/bpf.ts'
import {createNetns} from '../../src/lib/adapters/netns.ts'
import {createPinTree} from '../../src/lib/adapters/pin-tree.ts'
import {IdTable} from '../../src/lib/agent/ids.ts'
import {type DataPlane, type LoadParts, loadDataPlane} from '../../src/lib/agent/loader.ts'
import {MapWriter} from '../../src/lib/agent/map-writer.ts'
import {LINKS, mapPin, pinFolder} from '../../src/lib/agent/pin-names.ts'
import {Reconciler} from '../../src/lib/agent/reconcile.ts'
import {MAPS} from '../../src/lib/model/maps.ts'
import type {Bpf, BpfMap} from '../../src/lib/ports.ts'
import {KernelFixture, OBJECT_FILE} from '../adapters/kernel-fixture.ts'
import {MeshMaps} from '../adapters/mesh-maps.ts'
import {acceptAll, connect, peerOf, resetOnClose, setNonBlocking, socketAddress} from '../adapters/sockets.ts'
import {fakeClock} from '../fakes/clock.ts'
import {memoryLog, service, slice} from './fakes.ts'

const SERVICE_ID = 100
export const VIP = '10.96.0.10'
/** Where connections go by the maps of before, and by the cluster. */
export const OLD_PEERS = ['127.1.0.1:8080', '127.1.0.2:8080']
export const NEW_PEERS = ['127.2.0.1:8080', '127.2.0.2:8080']

export class MigrationWorld implements Disposable {
  readonly fixture = new KernelFixture()
  readonly bpf = createBpf()
  readonly pins = createPinTree()
  readonly clock = fakeClock()
  readonly log = memoryLog()
  readonly netns = createNetns()
  readonly namespace: string
  readonly cookie: bigint
  readonly #listener: number

  constructor() {
    this.namespace = this.fixture.addNamespace('pod')
    this.cookie = this.netns.cookie(this.namespace)
    this.#listener = this.netns.listen(this.namespace, '0.0.0.0', 8080)
    setNonBlocking(this.#listener)
    this.fixture.joinCgroup()
  }

  readonly pin = (name: string): string => mapPin(this.fixture.bpffs, name)

  /** As an agent of that version leaves it: programs, maps, the pod, level warn. */
  loadOld(objectFile: string): void {
    const {bpffs, cgroup} = this.fixture
    this.bpf.load({
      objectFile,
      mapPins: Object.fromEntries(MAPS.map(({name}) => [name, this.pin(name)])),
      mapSizes: {},
      attachments: Object.entries(LINKS).map(([program, link]) => ({
        program,
        linkPin: join(pinFolder(bpffs), link),
        cgroupPath: cgroup,
      })),
    })
    const mesh = new MeshMaps(padding(this.bpf), this.pin)
    mesh.putBackend(1, '127.1.0.1')
    mesh.putBackend(2, '127.1.0.2')
    mesh.putEndpoint(SERVICE_ID, 0, 1, 1)
    mesh.putEndpoint(SERVICE_ID, 0, 2, 2)
    mesh.putService(SERVICE_ID, {counts: [2]})
    mesh.putFrontend(VIP, SERVICE_ID)
    mesh.setManaged(this.cookie, true)
    mesh.putLevel('warn')
  }

  start(
    objectFile = OBJECT_FILE,
    parts: Partial<LoadParts> = {},
    mapSizes: Readonly<Record<string, number>> = {},
  ): DataPlane {
    const {bpf, pins, clock, log, fixture} = this
    const options = {bpfFsPath: fixture.bpffs, cgroup2Path: fixture.cgroup, takeOver: false, version: 'v2'}
    return loadDataPlane({bpf, pins, clock, log, ...parts}, {...options, objectFile, mapSizes})
  }

  /** What the agent does between its first lists and `onSynced`. */
  async follow(plane: DataPlane): Promise<void> {
    const {clock, log} = this
    const reconciler = new Reconciler({
      writer: await MapWriter.open(plane.routing),
      ids: new IdTable(),
      clock,
      log,
      clusterDomain: 'cluster.local',
      onSynced: () => plane.migration?.complete(),
    })
    reconciler.cluster.setService(service('shop/web', [VIP], [{port: 80, targetPort: 8080}]))
    const addresses = NEW_PEERS.map((peer) => peer.split(':')[0] ?? '')
    reconciler.cluster.setSlice(slice('shop/web-a', 'web', addresses), undefined)
    reconciler.start()
    for (let turn = 0; turn < 1000 && !reconciler.synced; turn += 1) {
      await new Promise((resolve) => setImmediate(resolve))
    }
    reconciler.stop()
  }

  /** One connection of the pod: the peer it got, or `errno N`. */
  connectOnce(): string {
    const fd = this.netns.socket(this.namespace, 4)
    try {
      resetOnClose(fd)
      const errno = connect(fd, socketAddress(VIP, 80))
      return errno === 0 ? peerOf(fd) : `errno ${errno}`
    } finally {
      closeSync(fd)
      acceptAll(this.#listener)
    }
  }

  acceptAll(): void {
    acceptAll(this.#listener)
  }

  open(name: string): BpfMap {
    return this.bpf.openPinned(this.pin(name))
  }

  /** Kernel ids of all maps that are pinned where the programs' maps belong. */
  mapIds(): Record<string, number> {
    return Object.fromEntries(
      MAPS.map(({name}) => {
        using map = this.open(name)
        return [name, map.info.id]
      }),
    )
  }

  /** Link id and program id of both links. */
  links(): {readonly link: number; readonly program: number}[] {
    return Object.values(LINKS).map((link) => {
      const path = join(pinFolder(this.fixture.bpffs), link)
      const text = execFileSync('bpftool', ['-j', 'link', 'show', 'pinned', path], {encoding: 'utf8'})
      const {id, prog_id} = JSON.parse(text) as {id: number; prog_id: number}
      return {link: id, program: prog_id}
    })
  }

  linkIds(): number[] {
    return this.links().map(({link}) => link)
  }

  folders(): string[] {
    return readdirSync(pinFolder(this.fixture.bpffs)).sort()
  }

  [Symbol.dispose](): void {
    closeSync(this.#listener)
    this.fixture[Symbol.dispose]()
  }
}

export function closePlane(plane: DataPlane): void {
  for (const map of plane.maps.values()) map[Symbol.dispose]()
  plane.logEvents[Symbol.dispose]()
}

/** Keys and values of today's layout, with zeros up to the length of the map's. */
function padding(bpf: Bpf): Bpf {
  const pad = (bytes: Uint8Array, length: number): Uint8Array => {
    const padded = new Uint8Array(length)
    padded.set(bytes)
    return padded
  }
  const openPinned = (path: string): BpfMap => {
    const map = bpf.openPinned(path)
    const {keyBytes, valueBytes} = map.info
    return {
      update: (key: Uint8Array, value: Uint8Array) => map.update(pad(key, keyBytes), pad(value, valueBytes)),
      [Symbol.dispose]: () => map[Symbol.dispose](),
    } as BpfMap
  }
  return {openPinned} as Bpf
}
