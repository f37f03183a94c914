// SPDX-License-Identifier: Apache-2.0
// Goal: one control connect of a CNI plugin of another make enrolls both families of a pod; its entry stays while
// the namespace lives, with or without a process, and is collected after it.
// Method: the real object, a namespace that is only mounted, as runtimes make it; the agent's collector with real ports.
import assert from 'node:assert/strict'
import {closeSync} from 'node:fs'
import {describe, test} from 'node:test'
import {createBpf} from '../../src/lib/adapters/bpf.ts'
import {createNetns} from '../../src/lib/adapters/netns.ts'
import {createProc} from '../../src/lib/adapters/proc.ts'
import {StrayCookies} from '../../src/lib/agent/stray-cookies.ts'
import {memoryLog} from '../agent/fakes.ts'
import {fakeClock} from '../fakes/clock.ts'
import {KernelFixture, skipReason} from './kernel-fixture.ts'
import {MeshMaps} from './mesh-maps.ts'
import {connect, dial, setNonBlocking, socketAddress} from './sockets.ts'

const NOTHING = {cookies: new Set<string>(), running: new Set<string>(), addresses: new Set<string>()}

function putService(mesh: MeshMaps, id: number, address: string, backend: string): void {
  mesh.putBackend(id, backend)
  mesh.putService(100 + id, {counts: [1]})
  mesh.putEndpoint(100 + id, 0, 1, id)
  mesh.putFrontend(address, 100 + id)
}

describe('entries of another CNI plugin', {skip: skipReason()}, () => {
  for (const control of ['0.0.0.2', '::2']) {
    test(`${control}: both families, kept while the namespace lives, collected after it`, async () => {
      using fixture = new KernelFixture()
      const bpf = createBpf()
      const netns = createNetns()
      const pod = fixture.addNamespace('pod', ['fd00:1::1/128'])
      fixture.ip('pod', 'route', 'add', '0.0.0.2/32', 'dev', 'lo')
      fixture.ip('pod', '-6', 'route', 'add', '::2/128', 'dev', 'lo')
      fixture.joinCgroup()
      bpf.load(fixture.request())
      const mesh = new MeshMaps(bpf, (map) => fixture.pin(`map/${map}`))
      putService(mesh, 1, '10.96.0.10', '127.1.0.1')
      putService(mesh, 2, 'fd00:96::10', 'fd00:1::1')
      const listeners = ['127.1.0.1', 'fd00:1::1'].map((address) => netns.listen(pod, address, 8080))
      const fd = netns.socket(pod, control.includes(':') ? 6 : 4)
      setNonBlocking(fd)
      connect(fd, socketAddress(control, 929))
      closeSync(fd)
      const peers = ['10.96.0.10', 'fd00:96::10'].map((address) => dial(netns, pod, address, 80))
      for (const listener of listeners) closeSync(listener)
      assert.deepEqual(peers, ['127.1.0.1:8080', '[fd00:1::1]:8080'])

      using manage = bpf.openPinned(fixture.pin('map/km_manage'))
      const [clock, log] = [fakeClock(), memoryLog()]
      const strays = new StrayCookies({manage, proc: createProc('/proc'), netns, clock, log})
      const entries = () => [...manage.read()].reduce((sum, {count}) => sum + count, 0)
      for (let round = 0; round < 6; round += 1) {
        await strays.collect(() => NOTHING)
        await clock.advance(30_000)
      }
      assert.equal(entries(), 1, log.lines.join('\n'))
      fixture.removeNamespace('pod')
      await strays.collect(() => NOTHING)
      await clock.advance(119_000)
      await strays.collect(() => NOTHING)
      assert.equal(entries(), 1, 'not before its time')
      await clock.advance(1000)
      await strays.collect(() => NOTHING)
      assert.equal(entries(), 0, log.lines.join('\n'))
      assert.match(log.lines.join('\n'), /removed the entry of namespace \d+: nothing of it is left/)
    })
  }
})
