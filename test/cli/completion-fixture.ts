// SPDX-License-Identifier: Apache-2.0
/** A cluster with names that a shell would act on, and a folder with nothing of this machine in it. */
import assert from 'node:assert/strict'
import {mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {type FakeApi, type FakeApiOptions, startFakeApi} from '../fakes/api-server.ts'
import type {CliResult} from '../fakes/cli.ts'
import {type FakeDaemon, startOwnDaemon} from '../fakes/daemons.ts'

export const HOSTILE = [
  '$(touch PWNED)',
  '`touch PWNED`',
  "'; touch PWNED; '",
  '"; touch PWNED; "',
  'a\ntouch PWNED',
  '\u001b[31mred',
  '\u0007bell',
  'two words',
  '--yes',
  '*',
  '{a,b}',
  'x\ty',
  ':0',
]

const named = (names: readonly string[]) => names.map((name) => ({metadata: {name}}))

export interface CompletionCluster {
  readonly api: FakeApi
  readonly daemon: FakeDaemon
  readonly folder: string
  /** Environment of a user whose home is empty. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** A kubeconfig whose context has characters at which shells cut words. */
  readonly otherConfig: string
  close(): Promise<void>
}

export async function startCompletionCluster(more: Partial<FakeApiOptions> = {}): Promise<CompletionCluster> {
  const daemon = await startOwnDaemon({maps: {km_frontend: [], km_told: []}})
  const api = await startFakeApi({
    nodes: [
      {name: 'worker-1', daemon: daemon.port},
      {name: 'edge-1', daemon: null},
      ...HOSTILE.map((name) => ({name, daemon: null})),
    ],
    objects: {
      '/api/v1/namespaces': named(['shop', 'store', 'kmesh-system', ...HOSTILE]),
      '/api/v1/namespaces/shop/pods': named(['web-1', 'cart-1', ...HOSTILE]),
      '/apis/apps/v1/namespaces/shop/deployments': named(['web', ...HOSTILE]),
      '/apis/apps/v1/deployments': named(['web', 'api']),
      '/api/v1/namespaces/default/pods': named(['other-1']),
    },
    ...more,
  })
  const folder = mkdtempSync(join(tmpdir(), 'kmt-completion-'))
  const home = join(folder, 'home')
  mkdirSync(home)
  const otherConfig = join(folder, 'other.yaml')
  writeFileSync(
    otherConfig,
    JSON.stringify({
      contexts: named(['admin@eu:prod', ...HOSTILE]).map((row) => ({
        ...row.metadata,
        context: {cluster: 'c', user: 'u'},
      })),
    }),
  )
  return {
    api,
    daemon,
    folder,
    otherConfig,
    env: {
      PATH: process.env['PATH'],
      HOME: home,
      KUBECONFIG: api.kubeconfig,
      NODE_DISABLE_COMPILE_CACHE: '1',
      // What is shown is looked at here, not how soon.
      KMESHCTL_COMPLETION_TIMEOUT_MS: '30000',
    },
    close: async () => {
      await api.close()
      await daemon.close()
      rmSync(folder, {recursive: true})
    },
  }
}

/** Silent and good, whatever happened. */
export function linesOf({code, stdout, stderr}: CliResult): string[] {
  assert.deepEqual([code, stderr], [0, ''])
  return stdout.trimEnd().split('\n')
}
