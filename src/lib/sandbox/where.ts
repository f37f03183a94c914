// SPDX-License-Identifier: Apache-2.0
/** Where the sandboxes of whoever calls are, and whether the kernel can carry one. */
import {existsSync, readFileSync} from 'node:fs'
import {KmeshError, messageOf} from '../errors.ts'
import type {Backend} from '../model/api.ts'
import {
  cgroup2Mount,
  checkPrivate,
  readJson,
  runRootOf,
  type SandboxPaths,
  type SandboxState,
  sandboxPaths,
  stateDirOf,
} from './state.ts'

const MEMORY_HINT = 'without it: kmeshctl sandbox up --backend memory'

/** @throws KmeshError `NeedsLinux`, `NeedsRoot`, `NoCgroup2`, `LibbpfMissing` where the kernel cannot, or may not, be used */
export async function requireKernel(): Promise<void> {
  const hints = [MEMORY_HINT]
  if (process.platform !== 'linux') {
    throw new KmeshError('backend kernel needs Linux: network namespaces, cgroups and eBPF', {
      code: 'NeedsLinux',
      hints,
    })
  }
  if (!isRoot()) {
    throw new KmeshError('backend kernel needs root: it makes network namespaces and loads eBPF programs', {
      code: 'NeedsRoot',
      hints,
    })
  }
  try {
    checkCapabilities()
    cgroup2Mount(readFileSync('/proc/mounts', 'utf8'))
    const {createBpf} = await import('../adapters/bpf.ts')
    createBpf()
  } catch (error) {
    const code = error instanceof KmeshError ? error.code : 'NoKernel'
    throw new KmeshError(`backend kernel cannot be used: ${messageOf(error)}`, {code, hints, cause: error})
  }
}

/** What namespaces, cgroups and eBPF take; root in a container may lack them. */
const NEEDED_CAPABILITIES = {CAP_NET_ADMIN: 12n, CAP_SYS_ADMIN: 21n} as const

function checkCapabilities(): void {
  // There with the bpf(2) system call only.
  if (!existsSync('/proc/sys/kernel/unprivileged_bpf_disabled')) {
    throw new KmeshError('this kernel has no BPF', {code: 'NoBpf'})
  }
  const effective = /^CapEff:\s*([0-9a-f]+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0'
  const missing = Object.entries(NEEDED_CAPABILITIES).filter(
    ([, bit]) => ((BigInt(`0x${effective}`) >> bit) & 1n) === 0n,
  )
  if (missing.length === 0) return
  const names = missing.map(([name]) => name).join(', ')
  throw new KmeshError(`root lacks ${names} here`, {code: 'NeedsRoot'})
}

function isRoot(): boolean {
  return process.geteuid?.() === 0
}

/** @throws KmeshError `ForeignDirectory` */
export function pathsOf(name: string): SandboxPaths {
  const uid = process.geteuid?.() ?? -1
  const runRoot = runRootOf(uid, process.env)
  checkPrivate(runRoot, uid)
  const mounts = isRoot() && process.platform === 'linux' ? readFileSync('/proc/mounts', 'utf8') : undefined
  return sandboxPaths(name, stateDirOf(name, process.env), mounts, runRoot)
}

/** An ordinary user sees only its own sandboxes, and must not be told that there is none where root has one. */
export function refuseRootsSandbox(name: string): void {
  if (isRoot() || !existsSync(`/run/netns/kmx-${name}.fabric`)) return
  throw new KmeshError(`sandbox ${name} runs on backend kernel, which needs root`, {
    code: 'NeedsRoot',
    hints: [`sudo kmeshctl ${process.argv.slice(2).join(' ')}`],
  })
}

/** The backend of the sandbox of that name, undefined where there is none. @throws KmeshError `NeedsRoot` */
export function backendOfSandbox(name: string): Backend | undefined {
  const state = stateOf(pathsOf(name))
  if (state === undefined) refuseRootsSandbox(name)
  return state === undefined ? undefined : (state.backend ?? 'kernel')
}

export function stateOf(paths: SandboxPaths): SandboxState | undefined {
  return readJson<SandboxState>(paths.stateFile)
}
