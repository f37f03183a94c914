// SPDX-License-Identifier: Apache-2.0
// Goal: no connect fails while endpoints come and go and while the programs are replaced under it.
// Method: a thread connects all the time; this one adds and removes endpoints in the agent's order (put the last
// one into the gap, lower the count, take the last away) and loads the object anew.
import assert from 'node:assert/strict'
import {once} from 'node:events'
import {closeSync} from 'node:fs'
import {test} from 'node:test'
import {setTimeout as sleep} from 'node:timers/promises'
import {Worker} from 'node:worker_threads'
import {createBpf} from '../../src/lib/adapters/bpf.ts'
import {createNetns} from '../../src/lib/adapters/netns.ts'
import {encode} from '../../src/lib/model/codec.ts'
import {BACKEND, ENDPOINT} from '../../src/lib/model/maps.ts'
import type {ChurnData, ChurnResult} from './churn-client.ts'
import {KernelFixture, skipReason} from './kernel-fixture.ts'
import {MeshMaps} from './mesh-maps.ts'
import {acceptAll, setNonBlocking} from './sockets.ts'

const SERVICE_ID = 100
const MOST_ENDPOINTS = 6
const ROUNDS = 150
const RELOAD_EVERY = 25

test('connects go on over changing endpoints and reloads', {skip: skipReason()}, async () => {
  using fixture = new KernelFixture()
  const [bpf, netns] = [createBpf(), createNetns()]
  const namespace = fixture.addNamespace('pod')
  const listener = netns.listen(namespace, '0.0.0.0', 8080)
  setNonBlocking(listener)
  fixture.joinCgroup()
  bpf.load(fixture.request())
  const pin = (name: string): string => fixture.pin(`map/${name}`)
  const mesh = new MeshMaps(bpf, pin)
  mesh.setManaged(netns.cookie(namespace), true)
  mesh.putFrontend('10.96.0.10', SERVICE_ID)

  /** Uid of the backend at each index, from index 1. Backend u has address 127.1.0.u. */
  const backends: number[] = []
  let nextUid = 1

  function add(): void {
    const uid = nextUid
    nextUid = (nextUid % 200) + 1
    mesh.putBackend(uid, `127.1.0.${uid}`)
    mesh.putEndpoint(SERVICE_ID, 0, backends.length + 1, uid)
    backends.push(uid)
    mesh.putService(SERVICE_ID, {counts: [backends.length]})
  }

  /** Takes out the oldest, which is where a fallback to the first one would look. */
  function removeFirst(): void {
    const removed = backends[0] as number
    const last = backends.pop() as number
    if (backends.length > 0) {
      mesh.putEndpoint(SERVICE_ID, 0, 1, last)
      backends[0] = last
    }
    mesh.putService(SERVICE_ID, {counts: [backends.length]})
    using endpoints = bpf.openPinned(pin('km_endpoint'))
    endpoints.delete(encode(ENDPOINT.key, {serviceId: SERVICE_ID, priority: 0, index: backends.length + 1}))
    using map = bpf.openPinned(pin('km_backend'))
    map.delete(encode(BACKEND.key, {backendUid: removed}))
  }

  add()
  const stop = new SharedArrayBuffer(4)
  const workerData: ChurnData = {namespace, address: '10.96.0.10', port: 80, stop}
  const worker = new Worker(new URL('./churn-client.ts', import.meta.url), {
    workerData,
    trackUnmanagedFds: false,
  })
  const answered = once(worker, 'message') as Promise<[ChurnResult]>
  // Asked for now: the worker may be gone before its answer is read.
  const ended = once(worker, 'exit')
  for (let round = 0; round < ROUNDS; round++) {
    while (backends.length < MOST_ENDPOINTS) add()
    while (backends.length > 1) removeFirst()
    if (round % RELOAD_EVERY === 0) assert.equal(bpf.load(fixture.request()).replacedLinks.length, 2)
    acceptAll(listener)
    await sleep(5)
  }
  Atomics.store(new Int32Array(stop), 0, 1)
  const [{connects, peers, errors}] = await answered
  await ended
  closeSync(listener)
  assert.deepEqual(errors, [])
  assert.ok(connects > 100, `only ${connects} connects`)
  assert.ok(peers.length > 10, `only ${peers.length} endpoints were seen`)
})
