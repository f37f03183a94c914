// SPDX-License-Identifier: Apache-2.0
/** One line a node: its daemon, what it says, and what is wrong. Finding faults is no failure here. */
import {DeniedError, UnreachableError} from '../errors.ts'
import {memoryWarnings} from '../model/backend.ts'
import {type NodeObject, RESOURCES} from '../model/kube.ts'
import {compareText, type Report, type ReportError, type ReportWarning} from '../model/report.ts'
import type {StatusItem} from '../model/status.ts'
import type {DaemonAccess} from './access.ts'
import {type DaemonSearch, findDaemons, kubeOf, listDaemons} from './daemons.ts'
import {fanOut} from './fan-out.ts'
import {askStatus, type DaemonStatus} from './status-ask.ts'

/** @param onItem - gets each line as it comes, in no order. */
export async function readStatus(
  access: DaemonAccess,
  onItem?: (item: StatusItem) => Promise<void> | undefined,
): Promise<Report<StatusItem>> {
  const {search, warnings} = await searchNodes(access)
  const {answers, errors, summary} = await fanOut(
    access,
    search,
    (admin, daemon) => askStatus(access, admin, daemon),
    ({target}, value) => onItem?.(answeredItem(target.node, target.pod?.name ?? null, value)),
  )
  const unanswered = errors.map((error) => failedItem(error))
  for (const item of unanswered) await onItem?.(item)
  const items = [
    ...answers.map(({daemon, value}) =>
      answeredItem(daemon.target.node, daemon.target.pod?.name ?? null, value),
    ),
    ...unanswered,
  ].sort((a, b) => compareText(a.node, b.node))
  const isPodsDenied = answers.some(({value}) => value.podsDenied)
  const inMemory = items.filter(({backend}) => backend === 'memory').map(({node}) => node)
  const found = [...warnings, ...memoryWarnings(inMemory, 'no connection is redirected there')]
  return {
    kind: 'StatusList',
    summary: {...summary, problems: items.filter(({problems}) => problems.length > 0).length},
    items,
    // A daemon that fails is a finding and stands in its line; what was not looked at is none.
    errors: errors.filter(({code}) => code === 'Interrupted' || code === 'NotSampled'),
    warnings: isPodsDenied ? [...found, PODS_DENIED] : found,
  }
}

const PODS_DENIED: ReportWarning = {
  code: 'PodsDenied',
  message: 'no right to list pods: enrolled and total pods of Go daemons are unknown',
}

/** Every node of the cluster with its daemon, as far as nodes may be listed; or the nodes that were chosen. */
async function searchNodes(
  access: DaemonAccess,
): Promise<{search: DaemonSearch; warnings: readonly ReportWarning[]}> {
  const {daemonUrl, nodes, nodeSelector} = access.choice
  if (daemonUrl !== undefined || nodes.length > 0 || nodeSelector !== undefined) {
    return {search: await findDaemons(access), warnings: []}
  }
  const [daemons, all] = await Promise.all([listDaemons(access), nodeNames(access)])
  if (all === undefined) {
    return {search: await findDaemons(access), warnings: [NODES_DENIED]}
  }
  const missing = all.filter((node) => !daemons.has(node)).map((node) => ({node}))
  if (daemons.size === 0 && missing.length === 0) {
    throw new UnreachableError('find', 'the cluster has no nodes and no daemons', {code: 'NoDaemon'})
  }
  const found = [...daemons.values()].sort((a, b) => compareText(a.target.node, b.target.node))
  return {search: {found, missing}, warnings: []}
}

const NODES_DENIED: ReportWarning = {
  code: 'NodesDenied',
  message: 'no right to list nodes: only nodes with a daemon are shown',
}

/** Undefined when they may not be listed. */
async function nodeNames(access: DaemonAccess): Promise<string[] | undefined> {
  try {
    const {signal} = access
    const {items} = await kubeOf(access).list<NodeObject>(RESOURCES.nodes, {metadataOnly: true, signal})
    return items.map(({metadata}) => metadata.name ?? '').sort(compareText)
  } catch (error) {
    if (error instanceof DeniedError && error.status === 403) return undefined
    throw error
  }
}

function answeredItem(node: string, daemon: string | null, status: DaemonStatus): StatusItem {
  const {podsDenied: _podsDenied, ...told} = status
  return {node, daemon, ...told}
}

const UNKNOWN = new Set(['NoDaemonOnNode', 'NotSampled', 'Interrupted'])

function failedItem({node, pod, code, message, phase}: ReportError): StatusItem {
  return {
    node: node ?? '',
    daemon: pod,
    mode: null,
    backend: null,
    version: null,
    ready: UNKNOWN.has(code) ? null : false,
    readyFrom: null,
    enrolledPods: null,
    totalPods: null,
    levels: {default: null, bpf: null},
    problems: [{code, message, phase}],
  }
}
