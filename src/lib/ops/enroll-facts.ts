// SPDX-License-Identifier: Apache-2.0
/** Asks the daemons of some nodes what planner and interop need: version, readiness, pods. */
import type {DaemonTarget} from '../model/api.ts'
import {backendOf, memoryWarnings} from '../model/backend.ts'
import {absentNode, type NodeFacts, unreachableNode} from '../model/plan-node.ts'
import {compareText, type ReportError, type ReportWarning, reportErrorOf} from '../model/report.ts'
import type {Admin, AdminDialer, Clock} from '../ports.ts'
import type {DaemonAccess} from './access.ts'
import {listDaemons} from './daemons.ts'
import {readDialect} from './dialect.ts'
import {mapConcurrent} from './enroll-concurrent.ts'

export interface FactsRequest {
  /** Nodes of interest; each node comes back. */
  readonly nodes: Iterable<string>
  readonly daemons: readonly DaemonTarget[]
  readonly dialer: AdminDialer
  readonly clock: Clock
  readonly concurrency: number
  readonly signal: AbortSignal
}

export interface Facts {
  readonly byNode: ReadonlyMap<string, NodeFacts>
  /** Open endpoints of the daemons that answered; the dialer closes them. */
  readonly admins: ReadonlyMap<string, Admin>
  readonly errors: readonly ReportError[]
}

/** Every daemon of the mesh; none at all is no error here, each pod then says so. */
export async function daemonTargets(access: DaemonAccess): Promise<readonly DaemonTarget[]> {
  return [...(await listDaemons(access)).values()].map((daemon) => daemon.target)
}

/** A daemon that does not answer is an error of its node, never of the others. */
export async function gatherFacts(request: FactsRequest): Promise<Facts> {
  const daemons = new Map(request.daemons.map((daemon) => [daemon.node, daemon]))
  const byNode = new Map<string, NodeFacts>()
  const admins = new Map<string, Admin>()
  const errors: ReportError[] = []
  await mapConcurrent([...new Set(request.nodes)], request.concurrency, async (node) => {
    const daemon = daemons.get(node)
    if (daemon === undefined) return void byNode.set(node, absentNode(node))
    const admin = request.dialer.dial(daemon)
    const startMs = request.clock.monotonicMs()
    try {
      byNode.set(node, await askDaemon(admin, node, request.signal))
      admins.set(node, admin)
    } catch (thrown) {
      if (request.signal.aborted) throw thrown
      byNode.set(node, unreachableNode(node))
      const elapsedMs = request.clock.monotonicMs() - startMs
      errors.push(reportErrorOf(thrown, {node, pod: daemon.pod?.name ?? null, elapsedMs}))
    }
  })
  return {byNode, admins, errors: errors.sort((a, b) => compareText(a.node, b.node))}
}

/** Daemons that capture nothing for real. */
export function memoryFindings(byNode: Facts['byNode']): ReportWarning[] {
  const nodes = [...byNode.values()].filter(({backend}) => backend === 'memory').map(({node}) => node)
  return memoryWarnings(nodes.sort(compareText), 'no connection of these pods is redirected')
}

/** One after the other over one connection; a daemon's node has more to do than to answer us. */
async function askDaemon(admin: Admin, node: string, signal: AbortSignal): Promise<NodeFacts> {
  const {version, capabilities} = await readDialect(admin, signal)
  const {ready} = await admin.call('ready', {}, {signal})
  const entries = capabilities.includes('enrollment') ? await admin.call('enrollment', {}, {signal}) : null
  return {
    node,
    daemon: ready ? 'ready' : 'notReady',
    // Daemons of the Go dialect do not tell: they leave sidecar pods out and act on running pods.
    sidecarPolicy: version.sidecarPolicy ?? 'exclude',
    existingPods: version.existingPods ?? 'live',
    capabilities,
    backend: backendOf(version),
    enrollment: entries === null ? null : new Map(entries.map((entry) => [entry.uid, entry])),
  }
}
