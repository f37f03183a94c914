// SPDX-License-Identifier: Apache-2.0
// Goal: a program enters its cgroup only when it is in its network namespace: who finds a process in the cgroup of a pod
// takes its namespace for the pod's. One that takes too long is ended with all that it has started.
// Method: a fifo in place of cgroup.procs holds the program there; its namespace is looked at meanwhile. A shell that
// waits for a child, which would keep the output open for long.
import assert from 'node:assert/strict'
import {execFileSync} from 'node:child_process'
import {existsSync, mkdtempSync, readFileSync, readlinkSync, rmSync, statSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {test} from 'node:test'
import {setTimeout as sleep} from 'node:timers/promises'
import {systemCommands} from '../../src/lib/adapters/commands.ts'
import {KernelFixture, skipReason} from './kernel-fixture.ts'

test('a program is in its network namespace before it is in its cgroup', {skip: skipReason()}, async () => {
  using fixture = new KernelFixture()
  const namespacePath = fixture.addNamespace('start')
  const directory = mkdtempSync(join(tmpdir(), `kmt${process.pid}-start-`))
  const fifo = join(directory, 'cgroup.procs')
  const outputFile = join(directory, 'output')
  execFileSync('mkfifo', [fifo])
  const request = {
    file: 'true',
    args: [],
    outputFile,
    namespacePath,
    cgroupPath: directory,
    env: {PATH: '/bin'},
  }
  const running = await systemCommands().start(request)
  try {
    await untilOpening(running.pid)
    assert.equal(
      readlinkSync(`/proc/${running.pid}/ns/net`),
      `net:[${statSync(namespacePath).ino}]`,
      'where it is while it enters the cgroup',
    )
    assert.equal(readFileSync(fifo, 'utf8'), '0\n')
    assert.deepEqual(await running.exited, {exitCode: 0, signal: null})
  } finally {
    running.signal('SIGKILL')
    rmSync(directory, {recursive: true})
  }
})

/** The shell sleeps until somebody reads the fifo. */
test('too late: what it has started ends with it, and nobody waits for that', async () => {
  const directory = mkdtempSync(join(tmpdir(), `kmt${process.pid}-late-`))
  const pidFile = join(directory, 'pid')
  try {
    const script = `sh -c 'echo $$ > ${pidFile}; exec sleep 20'; true`
    const startedMs = performance.now()
    const request = {file: '/bin/sh', args: ['-c', script], timeoutMs: 500}
    await assert.rejects(systemCommands().run(request), /SIGKILL/)
    assert.ok(performance.now() - startedMs < 10_000)
    const isAlive = () => existsSync(`/proc/${readFileSync(pidFile, 'utf8').trim()}/ns/net`)
    for (let waits = 0; isAlive() && waits < 100; waits += 1) await sleep(20)
    assert.equal(isAlive(), false)
  } finally {
    rmSync(directory, {recursive: true})
  }
})

async function untilOpening(pid: number): Promise<void> {
  for (let waitedMs = 0; waitedMs < 5000; waitedMs += 20) {
    if (isSleepingShell(pid)) return
    await sleep(20)
  }
  throw new Error('it does not get to its cgroup')
}

function isSleepingShell(pid: number): boolean {
  const isShell = readFileSync(`/proc/${pid}/comm`, 'utf8') === 'sh\n'
  return isShell && /^State:\s+S/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
}
