// SPDX-License-Identifier: Apache-2.0
/** Daemons whose maps are in memory, said wherever somebody could take them for the kernel. */
import type {Backend, VersionReply} from './api.ts'
import type {ReportWarning} from './report.ts'

const SHOWN_NODES = 3

/** A daemon that does not tell has its maps in the kernel: only ours can do otherwise. */
export function backendOf(version: VersionReply | null): Backend {
  return version?.backend ?? 'kernel'
}

/** `dual-engine (memory)`; the kernel goes without saying. */
export function modeText(mode: string | null, backend: Backend | null): string | null {
  return backend === 'memory' ? `${mode ?? 'unknown mode'} (memory)` : mode
}

/**
 * One for all of them; none where there is none.
 * @param nodes - of daemons with backend `memory`
 * @param consequence - what that means for what was asked
 */
export function memoryWarnings(nodes: readonly string[], consequence: string): ReportWarning[] {
  if (nodes.length === 0) return []
  const names = nodes.slice(0, SHOWN_NODES).join(', ')
  const more = nodes.length > SHOWN_NODES ? ` and ${nodes.length - SHOWN_NODES} more` : ''
  return [
    {
      code: 'MemoryBackend',
      message: `maps of ${names}${more} are in memory, not in a kernel: ${consequence}`,
    },
  ]
}
