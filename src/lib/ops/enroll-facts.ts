// SPDX-License-Identifier: Apache-2.0
/** Asks the daemons of some nodes what planner and interop need: version, readiness, pods. */
import type {DaemonTarget} from '../model/api.ts'
import {backendOf, memoryWarnings} from '../model/backend.ts'
import {absentNode, type NodeFacts, unreachableNode} from '../model/plan-node.ts'
import {compareText, type ReportError, type ReportWarning} from '../model/report.ts'
import type {Admin, AdminDialer, Clock} from '../ports.ts'
import type {DaemonAccess} from './access.ts'
import {askDaemons} from './ask-daemons.ts'
import {listDaemons} from './daemons.ts'
import {readDialect} from './dialect.ts'

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

/** A daemon that does not answer is an error of its node, never of the others. @throws when the signal is aborted. */
export async function gatherFacts(request: FactsRequest): Promise<Facts> {
  const daemons = new Map(request.daemons.map((daemon) => [daemon.node, daemon]))
  const nodes = [...new Set(request.nodes)]
  const byNode = new Map(nodes.filter((node) => !daemons.has(node)).map((node) => [node, absentNode(node)]))
  const admins = new Map<string, Admin>()
  const targets = nodes.flatMap((node) => daemons.get(node) ?? [])
  const outcomes = await askDaemons(
    request,
    targets.map((target) => ({target, ready: true, podObject: null})),
    async (admin, {target}) => {
      const facts = await askDaemon(admin, target.node, request.signal)
      admins.set(target.node, admin)
      return facts
    },
    {keepOpen: true},
  )
  request.signal.throwIfAborted()
  for (const outcome of outcomes) {
    const {node} = outcome.daemon.target
    byNode.set(node, 'error' in outcome ? unreachableNode(node) : outcome.value)
  }
  const errors = outcomes.flatMap((outcome) => ('error' in outcome ? [outcome.error] : []))
  return {byNode, admins, errors: errors.sort((a, b) => compareText(a.node, b.node))}
}

/** Daemons that capture nothing for real. */
export function memoryFindings(byNode: Facts['byNode']): ReportWarning[] {
  const nodes = [...byNode.values()].filter(({backend}) => backend === 'memory').map(({node}) => node)
  return memoryWarnings(nodes.sort(compareText), 'no connection of these pods is redirected')
}

/** One after the other over one connection; a daemon's node has more to do than to answer us. */
async function askDaemon(admin: Admin, node: string, signal: AbortSignal): Promise<NodeFacts> {
  const {version, capabilities, row} = await readDialect(admin, signal)
  const {ready} = await admin.call('ready', {}, {signal})
  const entries = capabilities.includes('enrollment') ? await admin.call('enrollment', {}, {signal}) : null
  return {
    node,
    daemon: ready ? 'ready' : 'notReady',
    // Daemons of the Go dialect do not tell: they leave sidecar pods out and act on running pods.
    sidecarPolicy: version?.sidecarPolicy ?? 'exclude',
    existingPods: version?.existingPods ?? 'live',
    capabilities,
    rules: row.enrollment,
    backend: backendOf(version),
    enrollment: entries === null ? null : new Map(entries.map((entry) => [entry.uid, entry])),
  }
}
