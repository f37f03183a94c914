// SPDX-License-Identifier: Apache-2.0
/** Gives each new pod a node: in turn over the nodes that are Ready, schedulable and selected. */
import {type NodeObject, objectKey, type Pod, RESOURCES} from '../../model/kube.ts'
import type {Kube} from '../../ports.ts'
import {labelsMatch} from './apps.ts'
import type {ControllerContext} from './context.ts'
import {createWorkQueue} from './work-queue.ts'

/** @returns function that stops it */
export function startScheduler({view, kube, clock, log}: ControllerContext): () => void {
  let turn = 0
  const queue = createWorkQueue('scheduling', clock, log, async (key) => {
    const pod = view.pods.get(key)
    if (pod === undefined || !needsNode(pod)) return
    const nodes = candidates(pod, view.nodes.values())
    const node = nodes[turn % Math.max(1, nodes.length)]
    if (node === undefined) return sayUnschedulable(kube, pod, new Date(clock.nowMs()).toISOString())
    turn += 1
    await bind(kube, pod, node)
  })
  view.pods.onChange((pod, _, isDeleted) => {
    if (!isDeleted && needsNode(pod) && view.nodes.synced) queue.add(objectKey(pod))
  })
  const retryAll = (): void => {
    for (const pod of view.pods.values()) if (needsNode(pod)) queue.add(objectKey(pod))
  }
  view.nodes.onChange((node, previous) => {
    if (previous === undefined || isUsable(node) !== isUsable(previous)) retryAll()
  })
  view.nodes.onSynced(retryAll)
  return queue.close
}

function needsNode(pod: Pod): boolean {
  return !pod.spec?.nodeName && pod.metadata.deletionTimestamp === undefined
}

function isUsable(node: NodeObject): boolean {
  const ready =
    node.status?.conditions?.some(({type, status}) => type === 'Ready' && status === 'True') ?? false
  return ready && node.spec?.unschedulable !== true && node.metadata.deletionTimestamp === undefined
}

/** Nodes that may run the pod, by name. */
export function candidates(pod: Pod, nodes: Iterable<NodeObject>): NodeObject[] {
  const selector = pod.spec?.nodeSelector
  const isSelected = (node: NodeObject): boolean =>
    selector === undefined ||
    Object.keys(selector).length === 0 ||
    labelsMatch(selector, node.metadata.labels)
  return [...nodes]
    .filter((node) => isUsable(node) && isSelected(node))
    .sort((left, right) => ((left.metadata.name ?? '') < (right.metadata.name ?? '') ? -1 : 1))
}

async function bind(kube: Kube, pod: Pod, node: NodeObject): Promise<void> {
  const {name = '', namespace = '', uid} = pod.metadata
  const binding = {
    apiVersion: 'v1',
    kind: 'Binding',
    metadata: {name, namespace, ...(uid ? {uid} : {})},
    target: {apiVersion: 'v1', kind: 'Node', name: node.metadata.name},
  }
  await kube.create({...RESOURCES.pods, namespace, name, subresource: 'binding'}, binding)
}

async function sayUnschedulable(kube: Kube, pod: Pod, nowText: string): Promise<void> {
  if (pod.status?.conditions?.some(({type, status}) => type === 'PodScheduled' && status === 'False')) return
  const {name = '', namespace = ''} = pod.metadata
  const condition = {
    type: 'PodScheduled',
    status: 'False',
    reason: 'Unschedulable',
    message: 'no node is Ready, schedulable and selected',
    lastTransitionTime: nowText.replace(/\.\d+Z$/, 'Z'),
  }
  const others = (pod.status?.conditions ?? []).filter(({type}) => type !== 'PodScheduled')
  const patch = {status: {conditions: [...others, condition]}}
  await kube.mergePatch({...RESOURCES.pods, namespace, name, subresource: 'status'}, patch)
}
