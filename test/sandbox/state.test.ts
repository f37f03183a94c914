// SPDX-License-Identifier: Apache-2.0
// Goal: where a sandbox keeps its things, and which names it may have. Method: values by hand.
import assert from 'node:assert/strict'
import {chmodSync, mkdtempSync, rmSync, symlinkSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {test} from 'node:test'
import {UsageError} from '../../src/lib/errors.ts'
import {
  cgroup2Mount,
  checkName,
  checkPrivate,
  podRecordFile,
  runRootOf,
  sandboxPaths,
  stateDirOf,
} from '../../src/lib/sandbox/state.ts'

const HYBRID = `tmpfs /sys/fs/cgroup tmpfs rw 0 0
cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0
`

test('the cgroup2 mount, hybrid and unified', () => {
  assert.equal(cgroup2Mount(HYBRID), '/sys/fs/cgroup/unified')
  assert.equal(cgroup2Mount('cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n'), '/sys/fs/cgroup')
  assert.throws(() => cgroup2Mount('proc /proc proc rw 0 0\n'), /no cgroup2 file system/)
})

test('the state directory follows XDG_STATE_HOME, HOME, and root', () => {
  assert.equal(stateDirOf('a', {XDG_STATE_HOME: '/x', HOME: '/h'}), '/x/kmeshctl/a')
  assert.equal(stateDirOf('a', {XDG_STATE_HOME: '', HOME: '/h'}), '/h/.local/state/kmeshctl/a')
  assert.equal(stateDirOf('a', {}), '/root/.local/state/kmeshctl/a')
})

test('paths of a name', () => {
  const paths = sandboxPaths('kmt-none', '/x/kmeshctl/kmt-none', HYBRID)
  assert.equal(paths.kubeconfig, '/x/kmeshctl/kmt-none/kubeconfig')
  assert.equal(paths.stateFile, '/run/kmeshctl/kmt-none/state.json')
  assert.equal(paths.bpfDir, '/run/kmeshctl/kmt-none/bpf')
  assert.equal(paths.cgroupRoot, '/sys/fs/cgroup/unified/kmeshctl/kmt-none')
  assert.equal(paths.namespacePrefix, 'kmx-kmt-none.')
  assert.equal(podRecordFile(paths, 'shop', 'web-1'), '/run/kmeshctl/kmt-none/pods/shop_web-1.json')
})

test('an ordinary user has no cgroups and namespaces, and a run folder of its own', () => {
  const runRoot = runRootOf(1000, {XDG_RUNTIME_DIR: '/run/user/1000'})
  const paths = sandboxPaths('kmt-none', '/h/kmeshctl/kmt-none', undefined, runRoot)
  assert.equal(paths.stateFile, '/run/user/1000/kmeshctl/kmt-none/state.json')
  assert.deepEqual([paths.cgroupRoot, paths.namespacePrefix], ['', ''])
  assert.equal(runRootOf(1000, {}), '/tmp/kmeshctl-1000')
  assert.equal(runRootOf(0, {XDG_RUNTIME_DIR: '/run/user/0'}), '/run/kmeshctl')
})

test('a run folder of somebody else, one that others can write, and a link are refused', () => {
  const folder = mkdtempSync(join(tmpdir(), 'kmt-private-'))
  const uid = process.geteuid?.() ?? -1
  try {
    checkPrivate(folder, uid)
    checkPrivate(join(folder, 'none'), uid)
    assert.throws(() => checkPrivate(folder, uid + 1), /not a folder that only this user can write/)
    symlinkSync(folder, join(folder, 'link'))
    assert.throws(() => checkPrivate(join(folder, 'link'), uid), /not a folder/)
    chmodSync(folder, 0o777)
    assert.throws(() => checkPrivate(folder, uid), /not a folder/)
  } finally {
    rmSync(folder, {recursive: true})
  }
})

for (const name of ['a', 'a-b', '1', 'x'.repeat(31)]) {
  test(`"${name}" may be a name`, () => assert.equal(checkName(name), name))
}

for (const name of ['', '-a', 'a-', 'A', 'a.b', 'a/b', '..', 'a b', 'x'.repeat(32)]) {
  test(`"${name}" may not`, () => assert.throws(() => checkName(name), UsageError))
}
