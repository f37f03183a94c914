// SPDX-License-Identifier: Apache-2.0
/** Real connections from a pod of a sandbox, by the client side of its echo program. */
import {existsSync, readdirSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {systemCommands} from '../adapters/commands.ts'
import {CommandError, KmeshError, UsageError} from '../errors.ts'
import type {PathAddress} from '../model/path-connect.ts'
import type {TracedConnection} from '../model/path-trace.ts'
import {readPodRecords, runRootOf, type SandboxPaths} from './state.ts'
import {pathsOf, stateOf} from './where.ts'

/** One connection may take five seconds to fail. */
const LIMIT_MS = 120_000

/**
 * The sandbox whose API server this is.
 * @throws UsageError where it is none, KmeshError where it has no pod network
 */
export function sandboxOfServer(server: string): SandboxPaths {
  const found = sandboxes().find((paths) => originOf(stateOf(paths)?.server ?? '') === originOf(server))
  if (found === undefined) {
    throw new UsageError(`--trace connects for real, in a sandbox only: ${server} is none on this machine`, {
      parameter: '--trace',
      hints: ['kmeshctl sandbox up makes one; without --trace nothing is connected'],
    })
  }
  if (stateOf(found)?.backend !== 'memory') return found
  throw new KmeshError(`sandbox ${found.name} has backend memory: there is no pod network to connect in`, {
    code: 'NoPodNetwork',
  })
}

function sandboxes(): readonly SandboxPaths[] {
  const root = runRootOf(process.geteuid?.() ?? -1, process.env)
  if (!existsSync(root)) return []
  const folders = readdirSync(root, {withFileTypes: true}).filter((entry) => entry.isDirectory())
  return folders.map(({name}) => pathsOf(name))
}

function originOf(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).origin : undefined
}

export interface ConnectRequest extends PathAddress {
  readonly namespace: string
  readonly pod: string
  /** One after the other. */
  readonly count: number
}

/** Never throws for a connection that failed: it is in the answer. @throws KmeshError `NotFound`, `CommandFailed` */
export async function connectFromPod(
  paths: SandboxPaths,
  {namespace, pod, address, port, count}: ConnectRequest,
): Promise<readonly TracedConnection[]> {
  const record = readPodRecords(paths).find((one) => one.namespace === namespace && one.name === pod)
  const container = record?.containers.find(({pid}) => pid !== null)
  if (record === undefined || container === undefined) {
    throw new KmeshError(`sandbox ${paths.name} runs no pod ${namespace}/${pod}`, {code: 'NotFound'})
  }
  const echo = join(dirname(process.argv[1] ?? ''), 'echo.js')
  const stdout = await systemCommands()
    .run({
      file: process.execPath,
      args: [echo, 'connect', address, String(port), '--count', String(count)],
      namespacePath: record.networkNamespace,
      cgroupPath: container.cgroup,
      user: container.user,
      group: container.group,
      env: {...container.env},
      timeoutMs: LIMIT_MS,
    })
    .catch((error) => {
      // Its exit status says that a connection failed; what it printed says which.
      if (error instanceof CommandError && error.stdout !== '') return error.stdout
      throw error
    })
  // The last line has the sums.
  const lines = stdout.trim().split('\n').slice(0, -1)
  return lines.map((line) => JSON.parse(line) as TracedConnection)
}
