// SPDX-License-Identifier: Apache-2.0
// Goal: the kubeconfig of the plugin reaches the cluster as the agent does, and needs no other file.
// Method: written, read by the code that reads every kubeconfig, and compared with what went in.
import assert from 'node:assert/strict'
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {test} from 'node:test'
import {kubeAccess} from '../../src/lib/adapters/kube-access.ts'
import {loadConnection} from '../../src/lib/adapters/kubeconfig.ts'
import {kubeconfigText} from '../../src/lib/cni/install-kubeconfig.ts'
import type {KubeAccess} from '../../src/lib/ports.ts'

const NOTHING: KubeAccess = {
  server: 'https://[fd00::1]:6443/base',
  ca: undefined,
  serverName: undefined,
  skipsVerification: false,
  certificate: undefined,
  key: undefined,
  token: undefined,
}

const CASES: Readonly<Record<string, KubeAccess>> = {
  token: {
    ...NOTHING,
    token: 'abc.def_ghi-1',
    ca: '-----BEGIN CERTIFICATE-----\nä\n',
    serverName: 'kubernetes',
  },
  certificate: {...NOTHING, certificate: 'C\n', key: 'K\n', ca: 'CA\n'},
  unverified: {...NOTHING, server: 'http://127.0.0.1:8080', token: 't', skipsVerification: true},
}

for (const [name, access] of Object.entries(CASES)) {
  test(`with ${name}`, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'kmt-kubeconfig-'))
    try {
      writeFileSync(join(folder, 'kubeconfig'), kubeconfigText(access))
      const connection = await loadConnection({kubeconfig: join(folder, 'kubeconfig')})
      assert.deepEqual(await kubeAccess(connection), access)
    } finally {
      rmSync(folder, {recursive: true})
    }
  })
}

test('without anything to show there is none', () => {
  assert.throws(() => kubeconfigText(NOTHING), /neither a token nor a certificate/)
  assert.throws(() => kubeconfigText({...NOTHING, certificate: 'C'}), /neither a token nor a certificate/)
})
