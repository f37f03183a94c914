// SPDX-License-Identifier: Apache-2.0
/**
 * The process that asks for live values, started by lib/cli/completion: a request on stdin, a JSON list of names
 * on stdout; nothing and exit status 1 where nobody answers. Whoever started it ends it when the time is up.
 */
import {readdirSync, readFileSync} from 'node:fs'
import type {LiveRequest} from './lib/cli/completion.ts'
import {
  type KubeFlagValues,
  kubeconfigNames,
  openClock,
  openDialer,
  openKube,
  stderrLog,
} from './lib/cli/wiring.ts'
import {RESOURCES} from './lib/model/kube.ts'
import {loggerNames, mapNames, nodeNames, objectNames, sandboxPodNames} from './lib/ops/completion.ts'
import {runRootOf, sandboxPaths, stateDirOf} from './lib/sandbox/state.ts'

/** Longer than anybody waits; the process that waits ends this one. */
const REQUEST_TIMEOUT_MS = 10_000

type Settings = LiveRequest['settings']

export async function printLiveValues(): Promise<void> {
  try {
    const request = JSON.parse(readFileSync(0, 'utf8')) as LiveRequest
    const names = await namesOf(request)
    await new Promise((resolve) => process.stdout.write(JSON.stringify(names), resolve))
  } catch {
    process.exitCode = 1
  }
}

async function namesOf({live, settings}: LiveRequest): Promise<readonly string[]> {
  if (live === 'sandboxes') return sandboxNames()
  if (live === 'contexts' || live === 'clusters' || live === 'users') {
    return kubeconfigNames(last(settings, 'kubeconfig'), live)
  }
  const signal = AbortSignal.timeout(REQUEST_TIMEOUT_MS)
  if (live === 'sandboxNamespaces' || live === 'sandboxPods') return sandboxObjects(live, settings, signal)
  const access = await openAccess(settings, signal)
  const {kube, namespace} = access
  if (live === 'loggers') return loggerNames(access)
  if (live === 'maps') return mapNames(access)
  if (live === 'nodes') return nodeNames(access)
  if (kube === undefined) return []
  if (live === 'namespaces') return objectNames(kube, RESOURCES.namespaces, signal)
  return objectNames(kube, {...RESOURCES[live], namespace}, signal)
}

async function openAccess(settings: Settings, signal: AbortSignal) {
  const clock = await openClock()
  const log = stderrLog('quiet')
  const daemonUrl = last(settings, 'daemon-url')
  const opened = daemonUrl === undefined ? await openKube(kubeFlags(settings), clock, log) : undefined
  const dialer = await openDialer({
    kube: opened?.kube,
    adminPort: Number(last(settings, 'admin-port') ?? 15_200),
    requestTimeoutMs: REQUEST_TIMEOUT_MS,
    clock,
  })
  return {
    kube: opened?.kube,
    namespace: last(settings, 'namespace') ?? opened?.namespace,
    dialer,
    clock,
    log,
    signal,
    concurrency: 1,
    choice: {
      daemonUrl,
      nodes: settings['node'] ?? [],
      nodeSelector: last(settings, 'node-selector'),
      allNodes: false,
      meshNamespace: last(settings, 'mesh-namespace') ?? 'kmesh-system',
      daemonSelector: last(settings, 'daemon-selector') ?? 'app=kmesh',
    },
  }
}

function kubeFlags(settings: Settings): KubeFlagValues {
  return {
    ...Object.fromEntries(Object.keys(settings).map((name) => [name, last(settings, name)])),
    'insecure-skip-tls-verify': last(settings, 'insecure-skip-tls-verify') === 'true',
    'as-group': settings['as-group'],
    'request-timeout': REQUEST_TIMEOUT_MS,
  }
}

function last(settings: Settings, name: string): string | undefined {
  return settings[name]?.at(-1)
}

/** Of the sandbox that the line names, through its own kubeconfig. */
async function sandboxObjects(
  live: 'sandboxNamespaces' | 'sandboxPods',
  settings: Settings,
  signal: AbortSignal,
): Promise<string[]> {
  const name = last(settings, 'name') ?? 'sandbox'
  const runRoot = runRootOf(process.geteuid?.() ?? -1, process.env)
  const paths = sandboxPaths(name, stateDirOf(name, process.env), undefined, runRoot)
  const {kube} = await openKube({kubeconfig: paths.kubeconfig}, await openClock(), stderrLog('quiet'))
  if (live === 'sandboxNamespaces') return objectNames(kube, RESOURCES.namespaces, signal)
  return sandboxPodNames(kube, last(settings, 'namespace'), signal)
}

/** Each has a folder there while it is up; a user sees the own ones. */
function sandboxNames(): string[] {
  return readdirSync(runRootOf(process.geteuid?.() ?? -1, process.env), {withFileTypes: true})
    .filter((entry) => entry.isDirectory())
    .map(({name}) => name)
}
