// SPDX-License-Identifier: Apache-2.0
/** What an operator should know before an install: other meshes, other agents, nodes that lose theirs. */
import {DeniedError} from '../errors.ts'
import {type KubeObject, type NodeObject, type Pod, RESOURCES} from '../model/kube.ts'
import {DAEMON_NAME, type InstallSettings, installOf} from '../model/manifests-settings.ts'
import type {DaemonSet} from '../model/manifests-workload.ts'
import {compareText, type ReportWarning} from '../model/report.ts'
import type {Kube} from '../ports.ts'
import type {ObjectPlan} from './install-objects.ts'

const ENFORCE = 'pod-security.kubernetes.io/enforce'
const SELECTOR = `app=${DAEMON_NAME}`

export async function installWarnings(
  kube: Kube,
  settings: InstallSettings,
  plans: readonly ObjectPlan[],
  signal: AbortSignal,
): Promise<ReportWarning[]> {
  const set = plans.find(({object}) => object.kind === 'DaemonSet')
  const warnings = await Promise.all([
    otherMeshes(kube, settings, signal),
    otherAgents(kube, settings, set?.current, signal),
    lostNodes(kube, set, signal),
  ])
  return [...warnings.flat(), ...strictNamespace(plans), ...localImage(settings)]
}

/** A Go Kmesh is a DaemonSet with this label too; two data planes on one node refuse each other's maps. */
async function otherMeshes(
  kube: Kube,
  settings: InstallSettings,
  signal: AbortSignal,
): Promise<ReportWarning[]> {
  try {
    const {items} = await kube.list<DaemonSet>(RESOURCES.daemonsets, {labelSelector: SELECTOR, signal})
    return items
      .filter((set) => installOf(set) !== settings.namespace)
      .map(({metadata}) => ({
        code: 'OtherKmesh',
        message: `there is another Kmesh: DaemonSet ${metadata.namespace}/${metadata.name}; agents on its nodes will refuse to start beside it`,
      }))
  } catch (error) {
    if (!(error instanceof DeniedError)) throw error
    const message = 'not permitted to list DaemonSets in the whole cluster: another Kmesh would not be seen'
    return [{code: 'NotChecked', message}]
  }
}

/** Pods that commands would take for agents, and that nothing here manages. */
async function otherAgents(
  kube: Kube,
  {namespace}: InstallSettings,
  current: KubeObject | undefined,
  signal: AbortSignal,
): Promise<ReportWarning[]> {
  const {items} = await kube.list<Pod>({...RESOURCES.pods, namespace}, {labelSelector: SELECTOR, signal})
  const uid = current?.metadata.uid
  const strangers = items.filter(
    ({metadata}) => uid === undefined || !metadata.ownerReferences?.some((owner) => owner.uid === uid),
  )
  if (strangers.length === 0) return []
  const names = strangers.map(({metadata}) => metadata.name).sort(compareText)
  const message = `pods ${names.slice(0, 5).join(', ')}${names.length > 5 ? ', ...' : ''} in ${namespace} have the label ${SELECTOR} and belong to no install`
  return [{code: 'OtherAgents', message}]
}

/** Nodes that the new selector leaves out keep maps and programs, and nobody updates them any more. */
async function lostNodes(
  kube: Kube,
  plan: ObjectPlan | undefined,
  signal: AbortSignal,
): Promise<ReportWarning[]> {
  if (plan?.action !== 'update') return []
  const before = (plan.current as DaemonSet).spec?.template?.spec?.nodeSelector ?? {}
  const after = (plan.body as DaemonSet).spec?.template?.spec?.nodeSelector ?? {}
  const {items} = await kube.list<NodeObject>(RESOURCES.nodes, {signal})
  const isIn = (selector: Readonly<Record<string, string>>, node: NodeObject): boolean =>
    Object.entries(selector).every(([key, value]) => node.metadata.labels?.[key] === value)
  return items
    .filter((node) => isIn(before, node) && !isIn(after, node))
    .map(({metadata}) => ({
      code: 'NodeLosesAgent',
      node: metadata.name ?? null,
      message: `node ${metadata.name} loses its agent; its pods stay redirected by maps that nobody updates: run 'kmesh-daemon uninstall' there, or uninstall first`,
    }))
}

function strictNamespace(plans: readonly ObjectPlan[]): ReportWarning[] {
  const kept = plans.find(({object, action}) => object.kind === 'Namespace' && action === 'keep')
  const level = kept?.current?.metadata.labels?.[ENFORCE]
  if (level === undefined || level === 'privileged') return []
  const message = `namespace ${kept?.object.metadata.name} has ${ENFORCE}=${level}: the agents' pods will be refused there`
  return [{code: 'PodSecurity', message}]
}

function localImage({image}: InstallSettings): ReportWarning[] {
  if (image.includes('/')) return []
  const message = `image ${image} names no registry: every node must have it already (deploy/Dockerfile builds it; --image names another one)`
  return [{code: 'LocalImage', message}]
}
