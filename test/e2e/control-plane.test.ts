// SPDX-License-Identifier: Apache-2.0
// Goal: programs of a real control plane that die come back, and one that cannot start is named with what it said.
// Method: SIGKILL of etcd and kube-apiserver of KUBEBUILDER_ASSETS; scripts in their place, which need no such folder.
import assert from 'node:assert/strict'
import {chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {after, before, suite, test} from 'node:test'
import {RESOURCES} from '../../src/lib/model/kube.ts'
import {leftovers, machineState} from '../machine-state.ts'
import {eventually, SANDBOX_ONLY, type Sandbox, sandboxUp} from './harness.ts'

const assets = process.env['KUBEBUILDER_ASSETS']
const NO_ASSETS = 'KUBEBUILDER_ASSETS is not set: it names a folder with etcd and kube-apiserver'

suite('programs that do not start', {skip: SANDBOX_ONLY}, () => {
  const folder = mkdtempSync(join(tmpdir(), 'kmt-assets-'))
  after(() => rmSync(folder, {recursive: true}))

  test('what it said is told; nothing is left', async () => {
    const before = machineState()
    for (const [name, text] of [
      ['etcd', 'exec sleep 1000'],
      ['kube-apiserver', 'echo "unknown flag: --x" >&2; exit 3'],
    ] as const) {
      writeFileSync(join(folder, name), `#!/bin/sh\n${text}\n`)
      chmodSync(join(folder, name), 0o755)
    }
    await assert.rejects(
      sandboxUp('e2e-noplane', '--control-plane', folder),
      /kube-apiserver ended: exit status 3: unknown flag: --x/,
    )
    await eventually('nothing left', async () =>
      leftovers(before, machineState()).length === 0 ? true : undefined,
    )
  })
})

suite('programs that die', {skip: SANDBOX_ONLY || (assets ? false : NO_ASSETS)}, () => {
  let sandbox: Sandbox
  before(async () => {
    sandbox = await sandboxUp('e2e-plane', '--empty', '--nodes', '1', '--control-plane', assets ?? '')
  })
  after(async () => {
    await sandbox?.down()
  })

  /** Process of the control plane by its program's name. */
  function pidOf(program: string): number | undefined {
    const mounts = readFileSync('/proc/mounts', 'utf8').split('\n')
    const cgroups = mounts.map((line) => line.split(' ')).find(([, , type]) => type === 'cgroup2')?.[1]
    const procs = readFileSync(`${cgroups}/kmeshctl/${sandbox.name}/control-plane/cgroup.procs`, 'utf8')
    return procs
      .trim()
      .split('\n')
      .map(Number)
      .find((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')[0]?.endsWith(`/${program}`))
  }

  for (const program of ['kube-apiserver', 'etcd']) {
    test(`${program} is started again, with everything that was written`, async () => {
      const path = {...RESOURCES.configmaps, namespace: 'default'}
      const name = `kept-${program}`
      await sandbox.kube.create(path, {apiVersion: 'v1', kind: 'ConfigMap', metadata: {name}})
      const old = pidOf(program) ?? assert.fail(`${program} does not run`)
      process.kill(old, 'SIGKILL')
      await eventually(
        `a new ${program}`,
        async () => {
          const now = pidOf(program)
          return now !== undefined && now !== old ? true : undefined
        },
        20_000,
      )
      await eventually('the API', async () => sandbox.kube.get({...path, name}), 30_000)
    })
  }
})
