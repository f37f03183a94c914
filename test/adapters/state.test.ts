// SPDX-License-Identifier: Apache-2.0
// Goal: pods are found by both spellings of their uid, never by a process in the node's namespace; state files are
// replaced whole.
// Method: a folder that looks like /proc, and a temporary state directory.
import assert from 'node:assert/strict'
import {execFileSync} from 'node:child_process'
import {linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {test} from 'node:test'
import {createProc} from '../../src/lib/adapters/proc.ts'
import {createStateFiles} from '../../src/lib/adapters/state-files.ts'

const A = '0a000000-1111-2222-3333-444444444444'
const B = '0b000000-1111-2222-3333-444444444444'
const C = '0c000000-1111-2222-3333-444444444444'

/** @param sameAs - the process whose namespace this one shares */
function addProcess(proc: string, pid: number, cgroup: string, sameAs?: number): void {
  mkdirSync(join(proc, String(pid), 'ns'), {recursive: true})
  writeFileSync(join(proc, String(pid), 'cgroup'), `0::${cgroup}\n`)
  const namespace = join(proc, String(pid), 'ns/net')
  if (sameAs === undefined) writeFileSync(namespace, '')
  else linkSync(join(proc, String(sameAs), 'ns/net'), namespace)
}

test('pods by cgroupfs and systemd paths; the lowest process inside the pod counts', async () => {
  const proc = mkdtempSync(join(tmpdir(), 'kmt-proc-'))
  addProcess(proc, 1, '/init.scope')
  addProcess(proc, 20, `/kubepods/pod${A}`, 1)
  addProcess(proc, 30, `/kubepods/pod${A}/x`)
  addProcess(proc, 100, `/kubepods/pod${A}/y`, 30)
  addProcess(proc, 40, `/kubepods.slice/kubepods-pod${B.replaceAll('-', '_')}.slice/cri-containerd-1.scope`)
  addProcess(proc, 50, '/system.slice/ssh.service')
  writeFileSync(join(proc, 'uptime'), '1')
  const found = await createProc(proc).podNamespaces(new Set([A, B, C]))
  assert.deepEqual([...found].map(([uid, {path}]) => [uid, path]).sort(), [
    [A, join(proc, '30/ns/net')],
    [B, join(proc, '40/ns/net')],
  ])
  rmSync(proc, {recursive: true})
})

test('state files: made, replaced whole, removed; a missing one is undefined', async () => {
  const directory = join(mkdtempSync(join(tmpdir(), 'kmt-state-')), 'deep', 'state')
  const files = createStateFiles(directory)
  assert.equal(files.read('a'), undefined)
  files.write('a', 'first')
  files.write('a', 'second')
  await files.writeAsync('b', 'third')
  assert.deepEqual([files.read('a'), files.read('b')], ['second', 'third'])
  assert.deepEqual(readdirSync(directory).sort(), ['a', 'b'], 'nothing half-written is left')
  files.remove('a')
  files.remove('a')
  assert.equal(files.read('a'), undefined)
  rmSync(join(directory, '../..'), {recursive: true})
})

test('a full disk: the file stays what it was, the error names it, nothing half-written is left', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'kmt-full-'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'kmt-full', directory])
  try {
    const files = createStateFiles(directory)
    files.write('a', 'first')
    const tooMuch = 'x'.repeat(64 * 1024)
    const says = {code: 'StateNotWritten', message: /cannot write .*\/a: ENOSPC/}
    assert.throws(() => files.write('a', tooMuch), says)
    await assert.rejects(() => files.writeAsync('a', tooMuch), says)
    assert.deepEqual([files.read('a'), readdirSync(directory)], ['first', ['a']])
  } finally {
    execFileSync('umount', [directory])
    rmSync(directory, {recursive: true})
  }
})
