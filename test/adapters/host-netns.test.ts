// SPDX-License-Identifier: Apache-2.0
// Goal: a namespace that the runtime names is reached from a container, too, where the host's /proc lies elsewhere.
// Method: a folder stands for the host's /proc; the namespace has its name only below process 1's root.
import assert from 'node:assert/strict'
import {mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {test} from 'node:test'
import {createHostNetns} from '../../src/lib/adapters/host-netns.ts'
import {KernelFixture, skipReason} from './kernel-fixture.ts'

test('paths of the host', {skip: skipReason()}, () => {
  using kernel = new KernelFixture()
  const folder = mkdtempSync(join(tmpdir(), 'kmt-netns-'))
  try {
    const path = kernel.addNamespace('a')
    const identity = statSync(path).ino
    assert.equal(createHostNetns('/proc')(path), path)
    mkdirSync(join(folder, 'proc/1/root/run/netns'), {recursive: true})
    symlinkSync(path, join(folder, 'proc/1/root/run/netns/hosted'))
    const reach = createHostNetns(join(folder, 'proc'))
    // Runtimes say /var/run, which is an absolute link on the host.
    for (const named of ['/run/netns/hosted', '/var/run/netns/hosted']) {
      const reached = reach(named)
      assert.equal(reached, `${folder}/proc/1/root/run/netns/hosted`)
      assert.equal(statSync(reached).ino, identity)
    }
    // What is mounted into the container at its own place.
    assert.equal(reach(path), path)
    writeFileSync(join(folder, 'file'), '')
    for (const wrong of [join(folder, 'file'), join(folder, 'missing'), folder, '/etc']) {
      assert.throws(() => reach(wrong), {code: 'BadNetns'})
      assert.throws(() => createHostNetns('/proc')(wrong), {code: 'BadNetns'})
    }
  } finally {
    rmSync(folder, {recursive: true})
  }
})
