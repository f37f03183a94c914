// SPDX-License-Identifier: Apache-2.0
// Goal: a sidecar's redirection is short-circuited whatever holds it, and undone to the byte.
// Method: Istio's chains in a real namespace, in each backend, and connections that say which port took them.
import assert from 'node:assert/strict'
import {afterEach, beforeEach, describe, test} from 'node:test'
import {systemCommands} from '../../src/lib/adapters/commands.ts'
import {createNetns} from '../../src/lib/adapters/netns.ts'
import {createSidecarRules} from '../../src/lib/adapters/sidecar-rules.ts'
import type {SidecarRules} from '../../src/lib/ports.ts'
import {skipReason} from './kernel-fixture.ts'
import {BACKENDS, everywhere, FAMILIES, ISTIO_REDIRECT, RedirectedPod} from './redirected-pod.ts'

const PLAIN = '-m comment --comment kmesh.net/bypass -j RETURN'
const SIDECAR = {out: '15001', in: '15006'}
const DIRECT = {out: '8080', in: '8080'}

describe('rules against a sidecar', {skip: skipReason()}, () => {
  let pod: RedirectedPod
  let rules: SidecarRules

  beforeEach(() => {
    pod = new RedirectedPod(createNetns())
    rules = createSidecarRules(systemCommands(), createNetns(), {lockFile: pod.lockFile})
  })
  afterEach(() => pod[Symbol.asyncDispose]())

  for (const backend of BACKENDS) {
    test(`${backend}: connections of both families and directions bypass the sidecar, and meet it again`, async () => {
      await pod.serve()
      for (const family of FAMILIES) {
        assert.deepEqual(await pod.answers(family), DIRECT)
        pod.restore(backend, family, ISTIO_REDIRECT)
        assert.deepEqual(await pod.answers(family), SIDECAR)
      }
      const before = FAMILIES.map((family) => pod.save(backend, family).replace(/\[\d+:\d+\]/g, ''))
      assert.deepEqual(await rules.look(pod.path), {redirection: 'redirect', complete: false, present: false})
      assert.deepEqual(await rules.put(pod.path), {redirection: 'redirect', complete: true, present: true})
      assert.deepEqual(await rules.look(pod.path), {redirection: 'redirect', complete: true, present: true})
      for (const family of FAMILIES) assert.deepEqual(await pod.answers(family), DIRECT)
      assert.deepEqual(pod.standing(), everywhere(backend))
      await rules.remove(pod.path)
      for (const family of FAMILIES) assert.deepEqual(await pod.answers(family), SIDECAR)
      const after = FAMILIES.map((family) => pod.save(backend, family).replace(/\[\d+:\d+\]/g, ''))
      assert.deepEqual(after, before)
      assert.deepEqual(await rules.look(pod.path), {redirection: 'redirect', complete: false, present: false})
    })

    test(`${backend}: before the chains are there both backends get the rule, afterwards the other loses it`, async () => {
      await pod.serve()
      assert.deepEqual(await rules.put(pod.path), {redirection: 'none', complete: true, present: true})
      assert.deepEqual(await rules.look(pod.path), {redirection: 'none', complete: true, present: true})
      assert.deepEqual(pod.standing(), everywhere('nft', 'legacy'))
      pod.restore(backend, 'IPv4', ISTIO_REDIRECT)
      assert.deepEqual(await pod.answers('IPv4'), DIRECT)
      assert.deepEqual(await rules.look(pod.path), {redirection: 'redirect', complete: false, present: true})
      await rules.put(pod.path)
      assert.deepEqual(pod.standing(), everywhere(backend))
      assert.deepEqual(await pod.answers('IPv4'), DIRECT)
    })
  }

  test('a look makes no table of the legacy backend', async () => {
    assert.deepEqual(await rules.look(pod.path), {redirection: 'none', complete: false, present: false})
    await rules.remove(pod.path)
    pod.restore('nft', 'IPv4', ISTIO_REDIRECT)
    await rules.put(pod.path)
    await rules.remove(pod.path)
    assert.equal(pod.legacyTables(), '')
    assert.equal(pod.save('nft', 'IPv6').includes('-A'), false)
  })

  test('doubled, displaced and removed rules are repaired, and repeated nothing changes', async () => {
    pod.restore('nft', 'IPv4', ISTIO_REDIRECT)
    await rules.put(pod.path)
    pod.restore(
      'nft',
      'IPv4',
      `*nat\n-I PREROUTING 1 -p udp -j ACCEPT\n-A PREROUTING ${PLAIN}\n-D OUTPUT ${PLAIN}\n-A OUTPUT ${PLAIN}\nCOMMIT`,
    )
    pod.restore('legacy', 'IPv6', `*nat\n-A OUTPUT ${PLAIN}\nCOMMIT`)
    assert.deepEqual(await rules.look(pod.path), {redirection: 'redirect', complete: false, present: true})
    await rules.put(pod.path)
    assert.deepEqual(pod.standing(), everywhere('nft'))
    const before = pod.run('iptables-nft-save', ['-c']).replace(/^#.*\n/gm, '')
    const handles = pod.run('nft', ['-a', 'list', 'ruleset'])
    await rules.put(pod.path)
    assert.equal(pod.run('nft', ['-a', 'list', 'ruleset']), handles)
    assert.equal(pod.run('iptables-nft-save', ['-c']).replace(/^#.*\n/gm, ''), before)
  })

  test('rules of others keep every byte and counter', async () => {
    const theirs = `*nat
:odd"chain - [0:0]
-A PREROUTING -m comment --comment "a \\"b\\" \\\\ c" -j RETURN
-A PREROUTING -j RETURN
-A PREROUTING -s 10.0.0.0/8 -m comment --comment kmesh.net/bypass -j RETURN
-A OUTPUT -j RETURN
-A OUTPUT -m comment --comment "kmesh.net/bypass " -j RETURN
COMMIT
*mangle
:ISTIO_DROP - [0:0]
-A PREROUTING -m conntrack --ctstate INVALID -j ISTIO_DROP
COMMIT`
    for (const backend of BACKENDS) pod.restore(backend, 'IPv4', theirs)
    // Restore reads by lines; given as an argument a comment may hold their ends.
    for (const backend of BACKENDS)
      pod.run(`iptables-${backend}`, [
        '-w',
        '5',
        '-t',
        'nat',
        '-A',
        'OUTPUT',
        '-m',
        'comment',
        '--comment',
        `x\n-A OUTPUT ${PLAIN}\nCOMMIT`,
        '-j',
        'ACCEPT',
      ])
    const all = () =>
      BACKENDS.map((backend) => pod.run(`iptables-${backend}-save`, ['-c']).replace(/^#.*\n/gm, ''))
    const before = all()
    assert.deepEqual(await rules.look(pod.path), {redirection: 'none', complete: false, present: false})
    await rules.put(pod.path)
    assert.notDeepEqual(all(), before)
    await rules.remove(pod.path)
    assert.deepEqual(all(), before)
  })

  test('chains in both backends: both keep the rule', async () => {
    pod.restore('legacy', 'IPv4', ISTIO_REDIRECT)
    pod.restore('nft', 'IPv4', ISTIO_REDIRECT)
    await rules.put(pod.path)
    assert.deepEqual(pod.standing(), everywhere('nft', 'legacy'))
  })

  for (const backend of BACKENDS) {
    test(`${backend}: TPROXY is named, and nothing changes`, async () => {
      pod.restore(backend, 'IPv4', ISTIO_REDIRECT)
      pod.restore(
        backend,
        'IPv4',
        `*mangle
:ISTIO_DIVERT - [0:0]
:ISTIO_INBOUND - [0:0]
:ISTIO_TPROXY - [0:0]
-A ISTIO_TPROXY ! -d 127.0.0.1/32 -p tcp -j TPROXY --on-port 15006 --on-ip 0.0.0.0 --tproxy-mark 0x539/0xffffffff
COMMIT`,
      )
      assert.deepEqual(await rules.put(pod.path), {redirection: 'tproxy', complete: false, present: false})
      assert.deepEqual(pod.standing(), [])
    })
  }

  test("rules of nftables' own are named, and nothing changes", async () => {
    pod.run('nft', ['-f', '-'], 'table inet istio-proxy-nat {\n chain istio-output {\n }\n}\n')
    assert.deepEqual(await rules.put(pod.path), {redirection: 'nftables', complete: false, present: false})
    assert.deepEqual(pod.standing(), [])
    pod.run('nft', ['delete', 'table', 'inet', 'istio-proxy-nat'])
    pod.run('nft', ['-f', '-'], 'table inet of-others {\n chain output {\n }\n}\n')
    assert.deepEqual(await rules.put(pod.path), {redirection: 'none', complete: true, present: true})
  })

  test('a thousand chains are listed to the end', async () => {
    const chains = Array.from({length: 3000}, (_, index) => `chain c${index} {\n}`).join('\n')
    pod.run(
      'nft',
      ['-f', '-'],
      `table inet a {\n${chains}\n}\ntable inet z {\n chain istio-output {\n }\n}\n`,
    )
    assert.equal((await rules.look(pod.path)).redirection, 'nftables')
  })

  test('where IPv6 is switched off in the namespace nothing fails', async () => {
    pod.run('sh', ['-c', 'echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6'])
    assert.deepEqual(await rules.put(pod.path), {redirection: 'none', complete: true, present: true})
    await rules.remove(pod.path)
    assert.deepEqual(pod.standing(), [])
  })

  test('at once: one rule', async () => {
    await Promise.all([rules.put(pod.path), rules.put(pod.path), rules.put(pod.path)])
    assert.deepEqual(pod.standing(), everywhere('nft', 'legacy'))
    await Promise.all([rules.put(pod.path), rules.remove(pod.path)])
    assert.deepEqual(pod.standing(), [])
  })

  test('a path without a namespace is named', async () => {
    await assert.rejects(rules.look('/run/netns/kmt-not-there'), /kmt-not-there/)
  })
})
