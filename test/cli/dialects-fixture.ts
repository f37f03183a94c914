// SPDX-License-Identifier: Apache-2.0
/** A cluster whose nodes run a Go daemon each, of every version and in both modes; one run of a command asks all. */
import {mkdtempSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {startFakeApi} from '../fakes/api-server.ts'
import {type CliResult, runCli} from '../fakes/cli.ts'
import {GO_MODES, GO_VERSIONS, type GoMode, type GoVersion} from '../fakes/go-daemon/dialects.ts'
import {DAEMON_ADDRESS} from '../fakes/go-daemon/dumps.ts'
import {type GoDaemon, type GoDaemonOptions, startDaemon} from '../fakes/go-daemon/server.ts'

export interface Cell {
  readonly version: GoVersion
  readonly mode: GoMode
  readonly node: string
}

const nodeOf = (version: GoVersion, mode: GoMode): string => `${version.replaceAll('.', '-')}-${mode}`

/** In the order of their nodes, which is that of every report. */
export const CELLS: readonly Cell[] = GO_VERSIONS.flatMap((version) =>
  GO_MODES.map((mode) => ({version, mode, node: nodeOf(version, mode)})),
).sort((a, b) => (a.node < b.node ? -1 : 1))

export interface DialectCluster {
  readonly daemons: ReadonlyMap<string, GoDaemon>
  /** Every daemon as it was at the start. */
  reset(): void
  run(words: readonly string[]): Promise<CliResult>
  close(): Promise<void>
}

/** Namespace `shop` is labelled; each node has one pod of it, which has the label `none`. */
export async function startDialectCluster(
  override: GoDaemonOptions['override'] = () => undefined,
): Promise<DialectCluster> {
  const daemons = new Map<string, GoDaemon>()
  for (const {version, mode, node} of CELLS)
    daemons.set(node, await startDaemon({version, mode, seed: 7, override}))
  const mode = 'istio.io/dataplane-mode'
  const shop = {
    metadata: {name: 'shop', uid: 'u-shop', resourceVersion: '1', labels: {[mode]: 'kmesh', team: 'shop'}},
  }
  const pods = CELLS.map(({node}, index) => ({
    metadata: {name: node, namespace: 'shop', uid: `u-${node}`, labels: {[mode]: 'none', app: 'web'}},
    spec: {nodeName: node, containers: []},
    status: {
      phase: 'Running',
      podIPs: [{ip: `10.1.0.${index}`}],
      conditions: [{type: 'Ready', status: 'True'}],
    },
  }))
  const web = {
    metadata: {name: 'web', namespace: 'shop'},
    spec: {clusterIP: '10.96.0.80', ports: [{port: 80, targetPort: 8080}]},
  }
  const slice = {
    metadata: {name: 'web-1', namespace: 'shop', labels: {'kubernetes.io/service-name': 'web'}},
    addressType: 'IPv4',
    ports: [{name: '', port: 8080}],
    endpoints: CELLS.map(({node}, index) => ({
      addresses: [`10.1.0.${index}`],
      targetRef: {kind: 'Pod', name: node},
    })),
  }
  const named: Readonly<Record<string, object>> = {
    '/api/v1/namespaces/shop': {kind: 'Namespace', ...shop},
    '/api/v1/namespaces/shop/services/web': {kind: 'Service', ...web},
    ...Object.fromEntries(
      pods.map((pod) => [`/api/v1/namespaces/shop/pods/${pod.metadata.name}`, {kind: 'Pod', ...pod}]),
    ),
  }
  const api = await startFakeApi({
    nodes: [...daemons].map(([name, {port}]) => ({name, daemon: port, podIp: DAEMON_ADDRESS})),
    objects: {
      '/api/v1/namespaces': [shop],
      '/api/v1/namespaces/shop': [],
      '/api/v1/pods': pods,
      '/api/v1/namespaces/shop/pods': pods,
      '/api/v1/services': [web],
      '/apis/discovery.k8s.io/v1/endpointslices': [slice],
      '/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices': [slice],
    },
    intercept: ({method, url = ''}) =>
      method === 'GET' && Object.hasOwn(named, url)
        ? {status: 200, body: JSON.stringify(named[url])}
        : undefined,
  })
  const home = mkdtempSync(join(tmpdir(), 'kmt-dialects-'))
  return {
    daemons,
    reset: () => {
      for (const daemon of daemons.values()) daemon.reset()
    },
    run: (words) => runCli([...words, '--kubeconfig', api.kubeconfig], {env: {XDG_STATE_HOME: home}}),
    close: async () => {
      for (const daemon of daemons.values()) await daemon.close()
      await api.close()
      rmSync(home, {recursive: true})
    },
  }
}
