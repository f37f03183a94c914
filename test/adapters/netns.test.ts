// SPDX-License-Identifier: Apache-2.0
// Goal: work happens inside the namespace that was named, and the process is back afterwards whatever happened.
// Method: real namespaces with real sockets; a failing way back in a child process.
import assert from 'node:assert/strict'
import {execFileSync, spawnSync} from 'node:child_process'
import {once} from 'node:events'
import {closeSync, readdirSync, readlinkSync} from 'node:fs'
import net from 'node:net'
import {after, before, describe, test} from 'node:test'
import {createNetns, loadNetnsCalls} from '../../src/lib/adapters/netns.ts'
import {KernelError} from '../../src/lib/errors.ts'
import type {Netns} from '../../src/lib/ports.ts'
import {KernelFixture, skipReason} from './kernel-fixture.ts'
import {dial} from './sockets.ts'

const OWN = '/proc/thread-self/ns/net'

describe('network namespaces', {skip: skipReason()}, () => {
  let fixture: KernelFixture
  let netns: Netns
  let pod: string

  before(() => {
    fixture = new KernelFixture()
    netns = createNetns()
    pod = fixture.addNamespace('pod', ['fd00:2::1/128'])
  })
  after(() => fixture[Symbol.dispose]())

  test('what runs inside sees the other namespace, and so does a child that starts there', () => {
    const home = readlinkSync(OWN)
    const inside = netns.within(pod, () => ({
      own: readlinkSync(OWN),
      addresses: execFileSync('ip', ['-o', 'address'], {encoding: 'utf8'}),
    }))
    assert.notEqual(inside.own, home)
    assert.match(inside.addresses, /fd00:2::1/)
    assert.equal(readlinkSync(OWN), home)
  })

  test('an error inside comes out, and the way back is taken all the same', () => {
    const home = readlinkSync(OWN)
    assert.throws(
      () =>
        netns.within(pod, () => {
          throw new RangeError('inside')
        }),
      RangeError,
    )
    assert.equal(readlinkSync(OWN), home)
  })

  test('a promise from inside is refused: it would go on outside', () => {
    assert.throws(() => netns.within(pod, () => Promise.resolve(1)), {code: 'AsyncInNamespace'})
  })

  test('namespaces nest', () => {
    const home = readlinkSync(OWN)
    const other = fixture.addNamespace('other')
    const seen = netns.within(pod, () => {
      const outer = readlinkSync(OWN)
      const inner = netns.within(other, () => readlinkSync(OWN))
      return [outer, inner, readlinkSync(OWN)]
    })
    assert.equal(new Set([home, ...seen]).size, 3)
    assert.equal(seen[0], seen[2])
    assert.equal(readlinkSync(OWN), home)
  })

  test('a path that is no namespace is named', () => {
    for (const path of ['/run/netns/kmt-not-there', '/proc/self/ns/uts', '/etc/hostname']) {
      assert.throws(
        () => netns.within(path, () => assert.fail('must not run')),
        (thrown) => thrown instanceof KernelError && thrown.message.includes(path),
      )
    }
  })

  test('the cookie is one number a namespace, another for another', () => {
    const cookie = netns.cookie(pod)
    assert.ok(cookie > 0n)
    assert.equal(netns.cookie(pod), cookie)
    assert.notEqual(netns.cookie(OWN), cookie)
  })

  test('a listening descriptor serves inside, a fresh one connects from there', async () => {
    for (const address of ['127.0.0.1', 'fd00:2::1']) {
      const server = net.createServer((socket) => socket.end('inside'))
      server.listen({fd: netns.listen(pod, address, 7000)})
      await once(server, 'listening')
      const client = new net.Socket({fd: netns.socket(pod, address.includes(':') ? 6 : 4)})
      client.connect(7000, address)
      assert.equal(String((await once(client, 'data'))[0]), 'inside')
      client.destroy()
      server.close()
    }
  })

  test('both families may listen on one port', () => {
    const descriptors = ['0.0.0.0', '::'].map((address) => netns.listen(pod, address, 7001))
    assert.equal(dial(netns, pod, '127.0.0.1', 7001), '127.0.0.1:7001')
    assert.equal(dial(netns, pod, 'fd00:2::1', 7001), '[fd00:2::1]:7001')
    assert.throws(
      () => netns.listen(pod, '0.0.0.0', 7001),
      (thrown) => thrown instanceof KernelError && thrown.errno === 98 && thrown.message.includes('7001'),
    )
    for (const fd of descriptors) closeSync(fd)
  })

  test('no descriptor is left, also where it failed, and none reaches a child', () => {
    const open = (): number => readdirSync('/proc/self/fd').length
    const before = open()
    const fd = netns.listen(pod, '127.0.0.1', 7002)
    for (let n = 0; n < 50; n++) {
      netns.cookie(pod)
      closeSync(netns.socket(pod, 4))
      assert.throws(() => netns.listen(pod, '127.0.0.1', 7002), KernelError)
      assert.throws(() => netns.within('/nonexistent', () => 0), KernelError)
    }
    const target = readlinkSync(`/proc/self/fd/${fd}`)
    const childSockets = execFileSync('sh', ['-c', 'readlink /proc/self/fd/* || true'], {encoding: 'utf8'})
    assert.ok(!childSockets.includes(target), `${target} was inherited`)
    closeSync(fd)
    assert.equal(open(), before)
  })

  test('the process ends when it cannot come back', () => {
    const script = `
      import {createNetns, loadNetnsCalls} from ${JSON.stringify(import.meta.resolve('../../src/lib/adapters/netns.ts'))}
      const calls = loadNetnsCalls()
      let turn = 0
      const netns = createNetns({...calls, setns: (fd, type) => (++turn === 1 ? calls.setns(fd, type) : -1)})
      netns.within(${JSON.stringify(pod)}, () => 0)
      console.log('went on')
    `
    const child = spawnSync(process.execPath, ['--input-type=module', '-e', script], {encoding: 'utf8'})
    assert.equal(child.signal, 'SIGABRT')
    assert.match(child.stderr, /cannot return to the own network namespace/)
    assert.doesNotMatch(child.stdout, /went on/)
  })

  test('the way in fails cleanly where the kernel refuses', () => {
    const refusing = createNetns({...loadNetnsCalls(), setns: () => -1, errno: () => 1})
    assert.throws(
      () => refusing.within(pod, () => assert.fail('must not run')),
      (thrown) => thrown instanceof KernelError && thrown.errno === 1 && thrown.hints.length === 1,
    )
  })
})
