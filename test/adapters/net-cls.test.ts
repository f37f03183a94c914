// SPDX-License-Identifier: Apache-2.0
// Goal: a pod is known by the class of its cgroup: put on it and all below, taken back, and the hooks act on it.
// Method: cgroup v1 net_cls of this kernel, pods of both cgroup drivers; this process moves in and connects.
import assert from 'node:assert/strict'
import {execFileSync} from 'node:child_process'
import {closeSync, mkdirSync, mkdtempSync, readFileSync, rmdirSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {after, before, describe, test} from 'node:test'
import {createBpf} from '../../src/lib/adapters/bpf.ts'
import {createPodClasses} from '../../src/lib/adapters/net-cls.ts'
import {createNetns} from '../../src/lib/adapters/netns.ts'
import type {PodClasses} from '../../src/lib/ports.ts'
import {KernelFixture, skipReason} from './kernel-fixture.ts'
import {MeshMaps} from './mesh-maps.ts'
import {dial} from './sockets.ts'

const CLASSID = 0x1000
const A = 'aaaaaaaa-1111-2222-3333-444444444444'
const B = 'bbbbbbbb-1111-2222-3333-444444444444'

function reason(): string | false {
  const skip = skipReason()
  if (skip !== false || process.env['KMESH_REQUIRE_KERNEL'] === '1') return skip
  return /^net_cls\t/m.test(readFileSync('/proc/cgroups', 'utf8')) ? false : 'needs net_cls of cgroup v1'
}

describe('net_cls', {skip: reason()}, () => {
  const name = `kmt${process.pid}`
  const made: string[] = []
  let mount: string
  let classes: PodClasses
  let podA: string
  let podB: string

  before(() => {
    mount = mkdtempSync(join(tmpdir(), `${name}-net-cls-`))
    execFileSync('mount', ['-t', 'cgroup', '-o', 'net_cls', name, mount])
    classes = createPodClasses(mount)
    podA = cgroup(name, 'kubepods', 'burstable', `pod${A}`)
    cgroup(name, 'kubepods', 'burstable', `pod${A}`, 'container', 'nested')
    const uid = B.replaceAll('-', '_')
    podB = cgroup(name, 'kubepods.slice', 'kubepods-besteffort.slice', `kubepods-besteffort-pod${uid}.slice`)
  })
  after(() => {
    for (const path of made.reverse()) rmdirSync(path)
    execFileSync('umount', [mount])
    rmdirSync(mount)
  })

  function cgroup(...parts: string[]): string {
    const path = parts.reduce((parent, part) => {
      const child = join(parent, part)
      if (!made.includes(child)) {
        mkdirSync(child)
        made.push(child)
      }
      return child
    }, mount)
    return path
  }

  function classidOf(...parts: string[]): number {
    return Number(readFileSync(join(...parts, 'net_cls.classid'), 'utf8'))
  }

  test('found below either driver; put on everything below, also on what is made later; taken back', () => {
    classes.requireAvailable()
    assert.throws(() => createPodClasses(tmpdir()).requireAvailable(), {code: 'NoNetCls'})
    for (const [uid, path] of [
      [A, podA],
      [B, podB],
    ] as const) {
      assert.equal(classes.get(uid), 0)
      assert.equal(classes.put(uid, CLASSID), true)
      assert.equal(classes.put(uid, CLASSID), true, 'again')
      assert.equal(classidOf(path), CLASSID)
      assert.equal(classes.get(uid), CLASSID)
    }
    assert.equal(classidOf(podA, 'container', 'nested'), CLASSID)
    assert.equal(classidOf(cgroup(name, 'kubepods', 'burstable', `pod${A}`, 'late')), CLASSID)
    assert.equal(classes.take(A, CLASSID), true)
    assert.equal(classes.take(A, CLASSID), false)
    assert.deepEqual(
      [classidOf(podA), classidOf(podA, 'late'), classidOf(podA, 'container', 'nested')],
      [0, 0, 0],
    )
    assert.equal(classidOf(podB), CLASSID, 'another pod keeps its own')
    classes.take(B, CLASSID)
  })

  test('pods without a cgroup, and classes of somebody else', () => {
    const none = 'cccccccc-1111-2222-3333-444444444444'
    assert.deepEqual(
      [classes.get(none), classes.put(none, CLASSID), classes.take(none, CLASSID)],
      [undefined, false, false],
    )
    writeFileSync(join(podA, 'container/nested/net_cls.classid'), '66\n', {flag: 'r+'})
    assert.throws(() => classes.put(A, CLASSID), {code: 'ForeignClassid', message: /nested has classid 0x42/})
    assert.equal(classidOf(podA), 0, 'nothing was written')
    classes.take(A, CLASSID)
    assert.equal(classidOf(podA, 'container', 'nested'), 66)
    writeFileSync(join(podA, 'container/nested/net_cls.classid'), '0\n', {flag: 'r+'})
  })

  test('the hooks redirect a task of that class, without an entry in km_manage, over both families', () => {
    using fixture = new KernelFixture()
    const netns = createNetns()
    const bpf = createBpf()
    const pod = fixture.addNamespace('pod', ['fd00:1::1/128'])
    fixture.joinCgroup()
    bpf.load(fixture.request())
    const mesh = new MeshMaps(bpf, (map) => fixture.pin(`map/${map}`))
    for (const [id, service, backend] of [
      [1, '10.96.0.10', '127.1.0.1'],
      [2, 'fd00:96::10', 'fd00:1::1'],
    ] as const) {
      mesh.putBackend(id, backend)
      mesh.putService(100 + id, {counts: [1]})
      mesh.putEndpoint(100 + id, 0, 1, id)
      mesh.putFrontend(service, 100 + id)
    }
    const listeners = ['127.1.0.1', 'fd00:1::1'].map((address) => netns.listen(pod, address, 8080))
    const peers = () => ['10.96.0.10', 'fd00:96::10'].map((address) => dial(netns, pod, address, 80))
    const unreached = peers()
    const before = `${/^\d+:net_cls:(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))?.[1]}`
    try {
      for (const peer of unreached) assert.equal(typeof peer, 'number', 'an errno: nothing has that address')
      writeFileSync(join(podA, 'container/cgroup.procs'), String(process.pid))
      assert.deepEqual(peers(), unreached, 'the class is 0')
      classes.put(A, CLASSID)
      assert.deepEqual(peers(), ['127.1.0.1:8080', '[fd00:1::1]:8080'])
      classes.take(A, CLASSID)
      assert.deepEqual(peers(), unreached)
      classes.put(A, CLASSID + 1)
      assert.deepEqual(peers(), unreached, 'another class')
      classes.take(A, CLASSID + 1)
    } finally {
      writeFileSync(join(mount, before, 'cgroup.procs'), String(process.pid))
      for (const fd of listeners) closeSync(fd)
    }
  })
})
