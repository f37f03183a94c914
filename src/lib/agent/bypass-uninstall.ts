// SPDX-License-Identifier: Apache-2.0
/** Gives sidecars their traffic back when Kmesh leaves the node. */
import {messageOf} from '../errors.ts'
import type {Log, PodNamespace, Proc, SidecarRules, StateFiles} from '../ports.ts'
import {BYPASSED_FILE, type BypassedPod, keptBypassed} from './bypass-state.ts'

export interface BypassUninstallParts {
  readonly files: StateFiles
  readonly proc: Proc
  readonly rules: SidecarRules
  readonly log: Log
}

/** @returns false where rules could not be taken out; it has been said, and done again it tries again */
export async function uninstallBypass({files, proc, rules, log}: BypassUninstallParts): Promise<boolean> {
  const kept = keptBypassed(files, log).map(([, pod]) => pod)
  const found =
    kept.length === 0 ? new Map() : await proc.podNamespaces(new Set(kept.map((pod) => pod.processUid)))
  let isClean = true
  for (const pod of kept) {
    const path = pathOf(pod, found, proc)
    // A namespace that is gone has taken its rules along.
    if (path === undefined) continue
    try {
      await rules.remove(path)
      log.info(`pod ${pod.namespace}/${pod.pod}: the sidecar has its traffic again`)
    } catch (error) {
      isClean = false
      log.error(
        `pod ${pod.namespace}/${pod.pod}: cannot give the sidecar its traffic back: ${messageOf(error)}`,
      )
    }
  }
  if (isClean) files.remove(BYPASSED_FILE)
  return isClean
}

function pathOf(
  {processUid, netnsPath}: BypassedPod,
  found: ReadonlyMap<string, PodNamespace>,
  proc: Proc,
): string | undefined {
  const ofNode = proc.nodeNamespaces()
  const paths = [found.get(processUid)?.path, netnsPath].filter((path) => path !== undefined)
  return paths.find((path) => {
    const identity = proc.identityOf(path)
    return identity !== undefined && !ofNode.has(identity)
  })
}
